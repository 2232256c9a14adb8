"""The tier intake: a letter on a retry tier becomes a delivery again when it is due.

The broker stamps each letter when it is written, so a partition's letters become due in offset order
and its head speaks for all. A letter is left at the head until it is due, at most for the length of
its tier, whatever our clock says; then it is tried, hops on (its *not before* is further away), or ends
(its subscription is gone).

A delivery on a tier uses its subscription as it is now: current URL, secrets, dialect and ladder.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import assert_never

from connector.core.accounts import Accounts
from connector.core.event import Decoded, Event, NeedsSchema, Poison, Skipped
from connector.core.headers import HeaderFault, decode
from connector.core.ladder import Hop, Release, Wait, due_at, release, tolerance_ms
from connector.core.ledger import Regressed, Ticket
from connector.core.letters import delivery_id, source_record
from connector.core.record import Record
from connector.core.topic_names import tier_delay_ms
from connector.core.trail import Trail
from connector.engine.delivery import Delivery
from connector.engine.departures import Departures
from connector.engine.dispatcher import Dispatcher
from connector.engine.flow import Flow
from connector.engine.intake import TAKEN, Held, NotDue, Taken
from connector.engine.lane import Lane
from connector.engine.lanes import Lanes
from connector.engine.outbox import Outbox, ToDeadLetters, ToTier
from connector.engine.ports import Clock, Decoder, SchemaAnswer, SchemaReady, SchemaUnknown, SchemaUnreachable
from connector.engine.schemas import SchemaWait
from connector.engine.settlement import Settlement

UNHEARD_GRACE_MS = 15 * 60_000
"""How long a subscription may be unheard of before its deliveries count as deleted: workers may see a
new subscriptions file at different times."""
UNHEARD_MAX = 10_000
"""Bound of what is remembered of unheard subscriptions; the oldest are forgotten, which only prolongs
their grace."""
COPIES_MAX = 20_000
"""How many letters are remembered to recognise a second copy of one."""
HOPS_BY_CLOCK_MAX = 20
"""What has hopped more often waits until it is known to have been here for its whole tier, whatever the
clocks say: to a clock that is ahead every letter is due at once, and one that cannot be tried would hop
without end or pause."""
TICK_MIN_MS = 250
TICK_MAX_MS = 1_000
TICKS_PER_TIER = 20
"""A tier is released in ticks, so that a busy one is not paused and fetched again for every letter: a
twentieth of its delay, within these bounds."""


class TierIntake:
    """Implements :class:`~connector.engine.intake.Intake` for the tiers' topics."""

    def __init__(
        self,
        *,
        prefix: str,
        decoder: Decoder,
        schemas: SchemaWait,
        lanes: Lanes,
        dispatcher: Dispatcher,
        departures: Departures,
        outbox: Outbox,
        settlement: Settlement,
        accounts: Accounts,
        clock: Clock,
    ) -> None:
        self._prefix = prefix
        self._decode = decoder.decode
        self._schemas = schemas
        self._lanes = lanes
        self._dispatcher = dispatcher
        self._departures = departures
        self._outbox = outbox
        self._settlement = settlement
        self._accounts = accounts
        self._clock = clock
        self._unheard: OrderedDict[str, int] = OrderedDict()
        self._seen: OrderedDict[tuple[str, int, int], Ticket] = OrderedDict()

    def viewed(self) -> None:
        """The subscriptions have changed: those that are there now are waited for anew once they are gone."""
        for id_ in [id_ for id_ in self._unheard if self._lanes.get(id_) is not None]:
            del self._unheard[id_]

    def take(self, flow: Flow, record: Record) -> Taken | NotDue | Held:
        tier_ms = tier_delay_ms(self._prefix, record.topic)
        assert tier_ms is not None, "only tiers are subscribed to"
        decoded = decode(record.headers)
        if isinstance(decoded, HeaderFault) or record.unreadable:
            why = decoded.why if isinstance(decoded, HeaderFault) else record.unreadable
            return Held(f"not a letter of ours: {why}")
        trail = decoded.trail
        now_ms = self._clock.now_ms()
        due_ms = due_at(append_ms=record.timestamp_ms, tier_ms=tier_ms, not_before_ms=trail.not_before_ms)
        # By the broker's clock and ours; and whatever they say, no longer than the tier since it is known.
        waited_ms = flow.log_ends.waited_ms(record.offset, self._clock.monotonic_ms())
        rest_ms = min(due_ms - now_ms, tier_ms + tolerance_ms(tier_ms) - waited_ms)
        if trail.hop > HOPS_BY_CLOCK_MAX:
            rest_ms = max(rest_ms, tier_ms - waited_ms)
        if rest_ms > 0:
            return self._not_due(tier_ms, rest_ms)
        step = release(
            tier_ms=tier_ms, not_before_ms=trail.not_before_ms, now_ms=now_ms, tiers=self._outbox.tiers
        )
        if isinstance(step, Wait):
            return self._not_due(tier_ms, step.until_ms - now_ms)
        self._accounts.records_read += 1
        self._accounts.tier_records_read += 1
        ticket = flow.ledger.admit(record)
        if ticket is None:
            self._accounts.records_already_done += 1
            self._accounts.records_settled += 1
        elif isinstance(ticket, Regressed):
            self._accounts.records_regressed += 1
            self._accounts.records_settled += 1
        else:
            self._deliver(flow, ticket, source_record(record, decoded), trail, step)
        return TAKEN

    def _not_due(self, tier_ms: int, rest_ms: int) -> NotDue:
        tick_ms = min(max(tier_ms // TICKS_PER_TIER, TICK_MIN_MS), TICK_MAX_MS)
        return NotDue(self._clock.monotonic_ms() + max(rest_ms, min(tick_ms, tier_ms // 4)))

    def _deliver(self, flow: Flow, ticket: Ticket, record: Record, trail: Trail, step: Release | Hop) -> None:
        ticket.owing = 1
        if self._is_copy(ticket, trail):
            self._accounts.deliveries_taken += 1
            self._accounts.dropped_copies += 1
            self._settlement.settle_delivery(ticket)
        elif isinstance(step, Hop):
            self._accounts.tier_records_hopped += 1
            onwards = trail.to_tier(not_before_ms=trail.not_before_ms)
            self._departures.pass_on(ticket, record, onwards, ToTier(step.tier_ms))
        else:
            self._try(flow, ticket, record, trail)

    def _try(self, flow: Flow, ticket: Ticket, record: Record, trail: Trail) -> None:
        lane = self._lanes.get(trail.subscription_id)
        if lane is None:
            self._unheard_of(ticket, record, trail)
            return
        if lane.is_shut(now_ms := self._clock.now_ms()) and not lane.subscription.paused:
            self._accounts.deliveries_taken += 1
            self._departures.turn_away(ticket, record, trail, lane.breaker, now_ms)
        else:
            self._become(flow, ticket, record, trail, lane, self._decode(record))

    def _become(
        self, flow: Flow, ticket: Ticket, record: Record, trail: Trail, lane: Lane, decoded: Decoded
    ) -> None:
        match decoded:
            case Event():
                self._dispatcher.take(Delivery(ticket, record, decoded, lane, trail))
            case NeedsSchema(ref):
                self._schemas.wait(
                    ref,
                    until_ms=0,
                    is_patient=False,
                    ticket=ticket,
                    done=lambda answer: self._answered(flow, ticket, record, trail, answer),
                )
            case Poison(code, detail):
                self._spoil(ticket, record, trail, f"{code}: {detail}")
            case Skipped(why):
                self._spoil(ticket, record, trail, f"no event any more: {why}")
            case _:
                assert_never(decoded)

    def _answered(
        self, flow: Flow, ticket: Ticket, record: Record, trail: Trail, answer: SchemaAnswer
    ) -> None:
        if flow.is_draining or not ticket.ledger.is_live:
            return  # its next owner reads it again
        match answer:
            case SchemaReady():
                self._try(flow, ticket, record, trail)  # its subscription may have changed meanwhile
            case SchemaUnknown(detail):
                self._spoil(ticket, record, trail, f"unknown-schema: {detail}")
            case SchemaUnreachable():
                self._departures.postpone(ticket, record, trail, "registry unreachable")
            case _:
                assert_never(answer)

    def _unheard_of(self, ticket: Ticket, record: Record, trail: Trail) -> None:
        now_ms = self._clock.monotonic_ms()
        since_ms = self._unheard.setdefault(trail.subscription_id, now_ms)
        if len(self._unheard) > UNHEARD_MAX:
            self._unheard.popitem(last=False)
        if now_ms - since_ms >= UNHEARD_GRACE_MS:
            self._departures.bury_deleted(ticket, record, trail)
        else:
            self._departures.postpone(ticket, record, trail, "subscription unheard of")

    def _spoil(self, ticket: Ticket, record: Record, trail: Trail, detail: str) -> None:
        """It was an event when it was first sent: its format or schema has changed since."""
        self._end(ticket, record, trail.dead("poison", detail=detail))

    def _end(self, ticket: Ticket, record: Record, trail: Trail) -> None:
        assert trail.reason is not None, "a dead letter says why"
        self._departures.pass_on(ticket, record, trail, ToDeadLetters(trail.reason))

    def _is_copy(self, ticket: Ticket, trail: Trail) -> bool:
        """Whether this very letter (delivery, generation, hop) was taken before and is accounted for.

        A crash between the write of a letter and the commit behind it leaves two. But a letter that we
        had in hand and gave back unsettled is no copy when we read it again: dropping it would lose it.
        """
        named = (delivery_id(trail.origin, trail.subscription_id), trail.generation, trail.hop)
        first = self._seen.get(named)
        if first is not None and (first.is_settled or first.ledger.is_live):
            return True
        self._seen[named] = ticket
        if len(self._seen) > COPIES_MAX:
            self._seen.popitem(last=False)
        return False
