"""Departures: deliveries that leave this process as letters, and what is settled when one is durable.

Each way out is one method: a try later, turned away, diverted, parked, dead, poison. All of them end in one
place, where the letter is written and its delivery settled once the broker has it. Nothing here decides which
way a delivery goes.
"""

from __future__ import annotations

from typing import assert_never

from connector.core.accounts import Accounts
from connector.core.breaker import Breaker
from connector.core.event import Poison
from connector.core.ladder import fit
from connector.core.ledger import Ticket
from connector.core.record import Record
from connector.core.routing import OWN_FAULT_DELAY_MS, Retry, shut_out
from connector.core.trail import Origin, PoisonTrail, Reason, Trail
from connector.engine.delivery import Delivery
from connector.engine.outbox import Destination, Outbox, ToDeadLetters, ToParked, ToTier
from connector.engine.ports import Clock, Log
from connector.engine.settlement import Settlement


class Departures:
    """Writes letters for deliveries and settles them."""

    def __init__(
        self, *, outbox: Outbox, settlement: Settlement, accounts: Accounts, clock: Clock, log: Log
    ) -> None:
        self._outbox = outbox
        self._settlement = settlement
        self._accounts = accounts
        self._clock = clock
        self._log = log

    # ── of deliveries ───────────────────────────────────────────────────────────────────────────

    def retry(self, delivery: Delivery, trail: Trail, where: Retry, *, is_counted: bool) -> None:
        """It failed and is tried again later."""
        standstill_ms = 0 if is_counted else where.tier_ms
        onwards = trail.to_tier(not_before_ms=where.not_before_ms, standstill_ms=standstill_ms)
        self._send(delivery, ToTier(where.tier_ms), onwards)

    def divert(self, delivery: Delivery, why: str) -> None:
        """It cannot stay, and is to be tried soon."""
        self._divert(delivery, trail_of(delivery), why, self._outbox.tiers[0])

    def make_room(self, delivery: Delivery, why: str) -> None:
        """Its lane has no room for it. When nothing moves there, it waits longer each time."""
        tiers, trail, lane = self._outbox.tiers, trail_of(delivery), delivery.lane
        now_ms = self._clock.monotonic_ms()
        if rest_ms := lane.rest_ms(now_ms):
            tier_ms = shut_out(rest_ms=rest_ms, turns=_turns(trail), tiers=tiers)
        else:
            tier_ms = lane.take_tier(tiers, now_ms)
        self._divert(delivery, trail, why, tier_ms)

    def _divert(self, delivery: Delivery, trail: Trail, why: str, tier_ms: int) -> None:
        self._accounts.diverted[why] += 1
        self._send(delivery, ToTier(tier_ms), trail.to_tier(not_before_ms=0, standstill_ms=tier_ms))

    def turn_away(self, ticket: Ticket, record: Record, trail: Trail, breaker: Breaker, now_ms: int) -> None:
        """The ``breaker`` of its lane is open at ``now_ms`` (Unix). What the endpoint asked for is kept to
        exactly; a cool-down is our own guess, and waited out in long steps."""
        rest_ms = max(breaker.until_ms - now_ms, 0)
        if breaker.why == "retry-after":
            self._accounts.diverted["retry-after"] += 1
            onwards = trail.to_tier(not_before_ms=max(trail.not_before_ms, breaker.until_ms))
            self._write(ToTier(fit(rest_ms, self._outbox.tiers)), record, onwards, ticket)
        else:
            self._accounts.diverted["breaker open"] += 1
            tier_ms = shut_out(rest_ms=rest_ms, turns=_turns(trail), tiers=self._outbox.tiers)
            self._write(ToTier(tier_ms), record, trail.to_tier(not_before_ms=0), ticket)

    def park(self, delivery: Delivery) -> None:
        """Its subscription is paused or disabled."""
        self._send(delivery, ToParked(), trail_of(delivery))

    def bury(
        self, delivery: Delivery, trail: Trail, reason: Reason, *, reply_body: bytes = b"", detail: str = ""
    ) -> None:
        """It is a dead letter."""
        dead = trail.dead(reason, reply_body=reply_body, detail=detail)
        self._send(delivery, ToDeadLetters(reason), dead)

    def release(self) -> None:
        """A delivery is given back unsettled: the next owner of its partition reads its record again."""
        self._accounts.deliveries_released += 1
        self._settlement.make_room()

    # ── of records that never became, or no longer are, deliveries of a lane ────────────────────

    def pass_on(self, ticket: Ticket, record: Record, trail: Trail, destination: Destination) -> None:
        """Take a delivery that is not to be tried straight to where it goes."""
        self._accounts.deliveries_taken += 1
        self._write(destination, record, trail, ticket)

    def postpone(self, ticket: Ticket, record: Record, trail: Trail, why: str) -> None:
        """Divert a delivery that cannot be tried for a fault of our own, for longer each time."""
        self._accounts.diverted[why] += 1
        tier_ms = shut_out(rest_ms=OWN_FAULT_DELAY_MS, turns=_turns(trail), tiers=self._outbox.tiers)
        onwards = trail.to_tier(not_before_ms=0, standstill_ms=tier_ms)
        self.pass_on(ticket, record, onwards, ToTier(tier_ms))

    def bury_deleted(self, ticket: Ticket, record: Record, trail: Trail) -> None:
        """Nobody has heard of its subscription for longer than workers may disagree about which there are."""
        dead = trail.dead("deleted", detail="Its subscription is in no subscriptions file any more.")
        self.pass_on(ticket, record, dead, ToDeadLetters("deleted"))

    def bury_record(self, ticket: Ticket, record: Record, poison: Poison) -> None:
        """Write a poison record to the dead letters; its ticket is settled when that is durable."""
        trail = PoisonTrail(
            origin=Origin.of(record),
            code=poison.code,
            detail=poison.detail,
            failed_at_ms=self._clock.now_ms(),
        )
        self._log.warning("poison record", record=str(record), code=poison.code, why=poison.detail)
        self._outbox.send(
            ToDeadLetters("poison"), record, trail, ticket, lambda _: self._buried(ticket),
            self._settlement.make_room,
        )  # fmt: skip

    # ── the end of each ─────────────────────────────────────────────────────────────────────────

    def _send(self, delivery: Delivery, destination: Destination, trail: Trail) -> None:
        self._write(destination, delivery.record, trail, delivery.ticket)

    def _write(self, destination: Destination, record: Record, trail: Trail, ticket: Ticket) -> None:
        self._outbox.send(
            destination, record, trail, ticket, lambda where: self._written(ticket, where), self.release
        )

    def _written(self, ticket: Ticket, where: Destination) -> None:
        match where:
            case ToTier(tier_ms):
                self._accounts.to_tiers[tier_ms] += 1
            case ToParked():
                self._accounts.parked += 1
            case ToDeadLetters(reason):
                self._accounts.dead[reason] += 1
            case _:
                assert_never(where)
        self._settlement.settle_delivery(ticket)

    def _buried(self, ticket: Ticket) -> None:
        self._accounts.records_poison += 1
        self._settlement.settle_record(ticket)


def trail_of(delivery: Delivery) -> Trail:
    """Its past; of a first attempt, the beginning of one."""
    return delivery.trail or Trail(
        subscription_id=delivery.lane.subscription.id,
        event_id=delivery.event.id,
        event_type=delivery.event.type,
        origin=Origin.of(delivery.record),
    )


def _turns(trail: Trail) -> int:
    """How often it went to a tier without having been tried."""
    return max(trail.hop - trail.attempt, 0)
