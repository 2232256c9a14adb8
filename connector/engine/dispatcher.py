"""The dispatcher: deliveries through lanes to endpoints, and what comes of each attempt.

It takes deliveries, starts POSTs where a lane and the process have a place, has each answer judged and
routed by the core, and settles a delivery when it is accepted or when its letter is durable. Nothing
here decides what an answer means, and nothing here forgets a delivery: each one is in a lane's queue,
in flight, or in the outbox, until it is settled or given back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import assert_never

from connector.core.accounts import Accounts
from connector.core.event import Poison
from connector.core.judging import judge
from connector.core.ledger import Ledger, Ticket
from connector.core.outcome import Deferred, Delivered, Failure, Refused, Reply
from connector.core.record import Record
from connector.core.routing import OWN_FAULT_DELAY_MS, DeadLetter, Retry, Settle, divert, route
from connector.core.trail import Origin, PoisonTrail, Reason, Trail
from connector.engine.lanes import Delivery, Lane, Lanes
from connector.engine.outbox import Destination, Outbox, ToDeadLetters, ToParked, ToTier
from connector.engine.ports import Clock, Log, Sender
from connector.engine.settlement import Settlement


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchLimits:
    """``in_flight_max`` bounds the POSTs under way in this process, ``in_hand_max`` what is queued, in
    flight or being written: past it the pumps stop reading, which is the back-pressure (a record with
    more deliveries than the room left is taken whole). What has waited in a lane's queue for
    ``wait_max_ms`` is diverted."""

    in_flight_max: int
    in_hand_max: int
    wait_max_ms: int


class Dispatcher:
    """Moves deliveries. Implements :class:`~connector.engine.pump.Downstream`."""

    def __init__(
        self,
        *,
        sender: Sender,
        lanes: Lanes,
        outbox: Outbox,
        settlement: Settlement,
        accounts: Accounts,
        limits: DispatchLimits,
        clock: Clock,
        log: Log,
    ) -> None:
        self._sender = sender
        self._lanes = lanes
        self._outbox = outbox
        self._settlement = settlement
        self._accounts = accounts
        self._in_flight_max = limits.in_flight_max
        self._in_hand_max = limits.in_hand_max
        self._wait_max_ms = limits.wait_max_ms
        self._clock = clock
        self._log = log
        self._flying: set[Delivery] = set()
        self._abandoned: set[Delivery] = set()
        self._in_line: deque[Lane] = deque()  # lanes with something queued, waiting for a place
        self._waiting = 0
        self._is_full = False

    # ── room ────────────────────────────────────────────────────────────────────────────────────

    def has_room(self) -> bool:
        """Whether another record's deliveries may be taken. Once full, there is room again at three
        quarters, so that pumps are not woken for every single place."""
        letters = len(self._outbox.outgoing)
        if letters and self._outbox.blocked:
            return False
        in_hand = self._waiting + len(self._flying) + letters
        bound = self._in_hand_max * 3 // 4 if self._is_full else self._in_hand_max
        self._is_full = in_hand >= bound
        return not self._is_full

    @property
    def in_flight(self) -> int:
        """POSTs under way."""
        return len(self._flying)

    @property
    def queued(self) -> int:
        """Deliveries that wait in a lane for a place."""
        return self._waiting

    def deliveries_in_hand(self) -> int:
        """Counted where they are held: queued, in flight, and being written."""
        writing = sum(1 for ticket in self._outbox.tickets if ticket.owing)
        flying = sum(1 for delivery in self._flying if delivery not in self._abandoned)
        return self._waiting + flying + writing

    # ── taking ──────────────────────────────────────────────────────────────────────────────────

    def take(self, delivery: Delivery) -> None:
        """Take a delivery in hand: start it, queue it, park it or divert it."""
        self._accounts.deliveries_taken += 1
        lane = delivery.lane
        if lane.subscription.paused:
            self._send(delivery, ToParked(), self._trail(delivery))
        elif not lane.queue and lane.has_place() and len(self._flying) < self._in_flight_max:
            self._start(delivery)
        else:
            now_ms = self._clock.monotonic_ms()
            if lane.enqueue(delivery, now_ms):
                self._waiting += 1
                self._line_up(lane)
            else:
                self._divert(delivery, "full lane", lane.drain_estimate_ms(now_ms))

    def bury(self, ticket: Ticket, record: Record, poison: Poison) -> None:
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

    def evict(self, lanes: Iterable[Lane]) -> None:
        """These lanes may not keep their queue: their subscription is paused, or was removed. What is in
        flight goes on; a removed subscription's deliveries go to a tier, where every worker gets the
        time to hear of it before they count as deleted."""
        for lane in lanes:
            for delivery in self._unqueue(lane, lambda _: True):
                if lane.is_live:
                    self._send(delivery, ToParked(), self._trail(delivery))
                else:
                    self._divert(delivery, "subscription removed", 0)

    def sweep(self) -> None:
        """Divert what has waited in a queue for longer than the budget, and what a lane has no room for
        now that its pace is known. Called at every look: a record whose other deliveries are settled
        must not be held open by the slowest lane, nor the process's room be filled by it."""
        now_ms = self._clock.monotonic_ms()
        overdue_ms = now_ms - self._wait_max_ms
        for lane in self._lanes:
            if not lane.queue:
                continue
            estimate_ms = lane.drain_estimate_ms(now_ms)
            for delivery in self._unqueue(lane, lambda one: one.queued_ms < overdue_ms):
                self._divert(delivery, "waited too long", estimate_ms)
            for _ in range(len(lane.queue) - lane.room(now_ms)):
                self._waiting -= 1
                self._divert(lane.queue.pop(), "full lane", estimate_ms)  # the youngest

    def pass_on(self, ticket: Ticket, record: Record, trail: Trail, destination: Destination) -> None:
        """Take a delivery that is not to be tried straight to where it goes."""
        self._accounts.deliveries_taken += 1
        self._write(destination, record, trail, ticket)

    def postpone(self, ticket: Ticket, record: Record, trail: Trail, why: str) -> None:
        """Divert a delivery that cannot be tried for a fault of our own."""
        self._accounts.diverted[why] += 1
        where = divert(estimate_ms=OWN_FAULT_DELAY_MS, tiers=self._outbox.tiers)
        onwards = trail.to_tier(not_before_ms=0, standstill_ms=where.tier_ms)
        self.pass_on(ticket, record, onwards, ToTier(where.tier_ms))

    # ── partitions that leave ───────────────────────────────────────────────────────────────────

    def withdraw(self, ledgers: Collection[Ledger]) -> None:
        leaving = set(ledgers)
        # Begun: a delivery of it is settled, in flight or being written. Giving back the rest of such a
        # record would repeat what is done of it.
        begun = {delivery.ticket for delivery in self._flying} | set(self._outbox.tickets)
        for lane in self._lanes:
            for delivery in self._unqueue(lane, lambda one: one.ticket.ledger in leaving):
                ticket = delivery.ticket
                if ticket.ledger.is_live and (ticket.settled_deliveries or ticket in begun):
                    self._divert(delivery, "partition leaves", 0)
                else:
                    self._release()
        self._outbox.withdraw({ledger for ledger in leaving if not ledger.is_live})

    def has_under_way(self, ledgers: Collection[Ledger]) -> bool:
        leaving = set(ledgers)
        return any(one.ticket.ledger in leaving for one in self._flying if one not in self._abandoned) or any(
            ticket.ledger in leaving for ticket in self._outbox.tickets
        )

    def divert_queued(self, tickets: Collection[Ticket], why: str) -> None:
        leaving = set(tickets)
        for lane in self._lanes:
            for delivery in self._unqueue(lane, lambda one: one.ticket in leaving):
                self._divert(delivery, why, 0)

    def abandon(self, tickets: Collection[Ticket], why: str) -> None:
        self.divert_queued(tickets, why)
        leaving = set(tickets)
        for delivery in [one for one in self._flying if one.ticket in leaving]:
            if delivery not in self._abandoned:
                # Its POST goes on and may yet succeed: one duplicate, against holding up all the rest.
                self._abandoned.add(delivery)
                delivery.lane.is_in_the_way = True
                self._divert(delivery, why, 0)

    # ── attempts ────────────────────────────────────────────────────────────────────────────────

    def _start(self, delivery: Delivery) -> None:
        lane = delivery.lane
        now_ms = self._clock.now_ms()
        headers, body = lane.composer.compose(delivery.event, now_ms // 1_000)
        subscription = lane.subscription
        if len(body) > subscription.body_bytes_max:
            detail = f"The body has {len(body)} bytes; body_bytes_max is {subscription.body_bytes_max}."
            self._bury_delivery(delivery, self._trail(delivery), "oversize", detail=detail)
            return
        delivery.started_ms = now_ms
        delivery.body = body
        lane.in_flight += 1
        lane.attempts += 1
        self._flying.add(delivery)
        self._sender.post(lane.endpoint, headers, body, subscription.timeout_ms, delivery, self._answered)

    def _answered(self, delivery: Delivery, answer: Reply | Failure) -> None:
        lane = delivery.lane
        lane.in_flight -= 1
        self._flying.discard(delivery)
        now_ms = self._clock.now_ms()
        self._accounts.attempt_ms.add(now_ms - delivery.started_ms)
        dialect = lane.subscription.dialect
        outcome = judge(answer, accepted=dialect.accepted, gone_is_final=dialect.gone_is_final, now_ms=now_ms)
        lane.finished(self._clock.monotonic_ms(), has_failed=not isinstance(outcome, Delivered))
        if delivery in self._abandoned:
            self._abandoned.discard(delivery)
            self._accounts.late_answers += 1
            if isinstance(outcome, Deferred) and outcome.retry_after_ms:
                # Its letter is on a tier already and does not know.
                lane.not_before_ms = max(lane.not_before_ms, now_ms + outcome.retry_after_ms)
            self._settlement.make_room()
        elif isinstance(outcome, Delivered):
            self._accounts.attempts[outcome.status] += 1
            self._accounts.accepted += 1
            if delivery.trail is None and delivery.record.timestamp_ms >= 0:
                self._accounts.freshness_ms.add(max(0, now_ms - delivery.record.timestamp_ms))
            self._settlement.settle_delivery(delivery.ticket)
        else:
            self._failed(delivery, answer, outcome, now_ms)
        if self._in_line or lane.queue:
            self._line_up(lane)
            self._start_waiting()

    def _failed(
        self, delivery: Delivery, answer: Reply | Failure, outcome: Deferred | Refused, now_ms: int
    ) -> None:
        lane = delivery.lane
        self._accounts.attempts[outcome.error_class] += 1
        if not delivery.ticket.ledger.is_live:
            self._accounts.late_answers += 1
            self._release()
            return  # the next owner of its partition reads the record again
        before = self._trail(delivery)
        body_sha256 = sha256(delivery.body).hexdigest()
        if before.body_sha256 and before.body_sha256 != body_sha256:
            self._accounts.bodies_changed += 1
        trail = before.failed(
            outcome, started_ms=delivery.started_ms, ended_ms=now_ms, body_sha256=body_sha256
        )
        subscription = lane.subscription
        where = route(
            outcome,
            attempt=before.attempt + 1,
            ladder_ms=subscription.ladder_ms,
            first_attempt_ms=trail.first_attempt_ms or delivery.started_ms,
            max_age_ms=subscription.max_age_ms,
            tiers=self._outbox.tiers,
            now_ms=now_ms,
        )
        self._say(delivery, trail, where)
        match where:
            case Retry(tier_ms=tier_ms, not_before_ms=not_before_ms):
                standstill_ms = 0 if isinstance(outcome, Refused) or outcome.is_counted else tier_ms
                onwards = trail.to_tier(not_before_ms=not_before_ms, standstill_ms=standstill_ms)
                self._send(delivery, ToTier(tier_ms), onwards)
            case DeadLetter(reason):
                reply_body = answer.body if isinstance(answer, Reply) else b""
                self._bury_delivery(delivery, trail, reason, reply_body=reply_body)
            case Settle():
                raise AssertionError("what failed is not settled")
            case _:
                assert_never(where)

    def _say(self, delivery: Delivery, trail: Trail, where: Retry | DeadLetter | Settle) -> None:
        self._log.info(
            "attempt failed",
            subscription=trail.subscription_id,
            event_id=trail.event_id,
            event_type=trail.event_type,
            record=str(delivery.record),
            attempt=trail.attempt,
            error_class=trail.error_class,
            why=trail.detail,
            took_ms=trail.failed_at_ms - delivery.started_ms,
            retry_in_ms=where.tier_ms if isinstance(where, Retry) else None,
            dead_letter=where.reason if isinstance(where, DeadLetter) else None,
        )

    # ── letters ─────────────────────────────────────────────────────────────────────────────────

    def _divert(self, delivery: Delivery, why: str, estimate_ms: int) -> None:
        self._accounts.diverted[why] += 1
        where = divert(estimate_ms=estimate_ms, tiers=self._outbox.tiers)
        trail = self._trail(delivery).to_tier(not_before_ms=0, standstill_ms=where.tier_ms)
        self._send(delivery, ToTier(where.tier_ms), trail)

    def _bury_delivery(
        self, delivery: Delivery, trail: Trail, reason: Reason, *, reply_body: bytes = b"", detail: str = ""
    ) -> None:
        dead = trail.dead(reason, reply_body=reply_body, detail=detail)
        self._send(delivery, ToDeadLetters(reason), dead)

    def _send(self, delivery: Delivery, destination: Destination, trail: Trail) -> None:
        self._write(destination, delivery.record, trail, delivery.ticket)

    def _write(self, destination: Destination, record: Record, trail: Trail, ticket: Ticket) -> None:
        self._outbox.send(
            destination, record, trail, ticket, lambda where: self._written(ticket, where), self._release
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

    def _release(self) -> None:
        """A delivery is given back unsettled: the next owner of its partition reads its record again."""
        self._accounts.deliveries_released += 1
        self._settlement.make_room()

    def _buried(self, ticket: Ticket) -> None:
        self._accounts.records_poison += 1
        self._settlement.settle_record(ticket)

    def _trail(self, delivery: Delivery) -> Trail:
        return delivery.trail or Trail(
            subscription_id=delivery.lane.subscription.id,
            event_id=delivery.event.id,
            event_type=delivery.event.type,
            origin=Origin.of(delivery.record),
        )

    # ── the line for places ─────────────────────────────────────────────────────────────────────

    def _line_up(self, lane: Lane) -> None:
        if lane.queue and not lane.is_queued and lane.has_place():
            lane.is_queued = True
            self._in_line.append(lane)

    def _start_waiting(self) -> None:
        """Give free places to lanes in turn, one each."""
        line = self._in_line
        while line and len(self._flying) < self._in_flight_max:
            lane = line.popleft()
            lane.is_queued = False
            if lane.queue and lane.has_place():
                delivery = lane.next()
                self._waiting -= 1
                self._start(delivery)
                self._line_up(lane)

    def _unqueue(self, lane: Lane, is_leaving: Callable[[Delivery], bool]) -> list[Delivery]:
        leaving = [one for one in lane.queue if is_leaving(one)]
        if leaving:
            lane.queue = deque(one for one in lane.queue if not is_leaving(one))
            self._waiting -= len(leaving)
        return leaving
