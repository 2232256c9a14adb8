"""The dispatcher: deliveries through lanes to endpoints, and what comes of each attempt.

It takes deliveries, starts POSTs where a lane and the process have a place, has each answer judged and
routed by the core, and settles a delivery when it is accepted or when its letter is durable. Nothing
here decides what an answer means, and nothing here forgets a delivery: each one is in a lane's queue,
in flight, or in the outbox, until it is settled or given back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from connector.core.accounts import Accounts
from connector.core.disabling import DisableRules
from connector.core.judging import judge
from connector.core.outage import Outage
from connector.core.outcome import Deferred, Delivered, Failure, Refused, Reply
from connector.engine.delivery import Delivery
from connector.engine.departures import Departures, trail_of
from connector.engine.exclusion import Exclusion, News, Operator
from connector.engine.handing_over import HandingOver
from connector.engine.lane import Lane
from connector.engine.lanes import Lanes
from connector.engine.outage_watch import OutageWatch
from connector.engine.outbox import Outbox
from connector.engine.parked import Parked
from connector.engine.places import Places
from connector.engine.ports import Clock, Log, Sender, Spawn
from connector.engine.probes import Probes
from connector.engine.round import Round
from connector.engine.setbacks import Setbacks
from connector.engine.settlement import Settlement


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchLimits:
    """``in_flight_max`` bounds the POSTs under way in this process, ``host_in_flight_max`` those to one host;
    ``in_hand_max`` what is queued, in flight or being written: past it the pumps stop reading, which is the
    back-pressure (a record with more deliveries than the room left is taken whole). What has waited in a
    lane's queue for ``wait_max_ms`` is diverted, a retry later (:data:`RETRY_WAIT_MAX_MS`)."""

    in_flight_max: int
    host_in_flight_max: int
    in_hand_max: int
    wait_max_ms: int


RETRY_WAIT_MAX_MS = 30_000
"""So long a retry may wait in the queue of a lane that works. No sibling waits for it, so it may stay until
the next tier would have brought it back."""


class Dispatcher:
    """Moves deliveries. ``handing_over`` gives them up again."""

    def __init__(
        self,
        *,
        sender: Sender,
        lanes: Lanes,
        outbox: Outbox,
        departures: Departures,
        settlement: Settlement,
        accounts: Accounts,
        limits: DispatchLimits,
        disabling: DisableRules,
        outage: Outage,
        news: News,
        parked: Parked,
        operator: Operator,
        spawn: Spawn,
        clock: Clock,
        log: Log,
    ) -> None:
        self._sender = sender
        self._lanes = lanes
        self._round = Round(lanes)
        self._outbox = outbox
        self._leave = departures
        self._settlement = settlement
        self._accounts = accounts
        self._in_hand_max = limits.in_hand_max
        self._wait_max_ms = limits.wait_max_ms
        self._clock = clock
        self._log = log
        self._places = Places(
            in_flight_max=limits.in_flight_max,
            clock=clock,
            start=self._start,
        )
        self._exclusion = Exclusion(
            places=self._places,
            departures=departures,
            rules=disabling,
            news=news,
            parked=parked,
            operator=operator,
            clock=clock,
            log=log,
        )
        self._watch = OutageWatch(
            outage=outage,
            lanes=lanes,
            places=self._places,
            probes=Probes(sender, accounts, spawn),
            clock=clock,
            log=log,
            on_open=self._opened,
            on_forgive=self._exclusion.forgiven,
        )
        self.handing_over = HandingOver(places=self._places, outbox=outbox, departures=departures)
        self._abandoned = self.handing_over.abandoned
        self._setbacks = Setbacks(outbox=outbox, departures=departures, accounts=accounts, log=log)
        self._is_full = False
        self._unix_ms = clock.now_ms() - clock.monotonic_ms()  # when the monotonic clock was 0; see _start

    # ── room ────────────────────────────────────────────────────────────────────────────────────

    def has_room(self) -> bool:
        """Whether another record's deliveries may be taken. Once full, there is room again at three
        quarters, so that pumps are not woken for every single place. There is none while the fault is
        ours."""
        if self._outbox.is_blocked or self._watch.why:
            return False
        in_hand = self._places.waiting + len(self._places.flying) + len(self._outbox.outgoing)
        bound = self._in_hand_max * 3 // 4 if self._is_full else self._in_hand_max
        self._is_full = in_hand >= bound
        return not self._is_full

    @property
    def in_flight(self) -> int:
        """POSTs under way."""
        return len(self._places.flying)

    @property
    def queued(self) -> int:
        """Deliveries that wait in a lane for a place."""
        return self._places.waiting

    @property
    def outage(self) -> str:
        """Why nothing is sent, while the fault seems to be ours; empty otherwise."""
        return self._watch.why

    @property
    def outage_reason(self) -> str:
        """The same in one word: ``unreachable``, ``resources`` or ``proxy``."""
        return self._watch.reason

    @property
    def holds(self) -> dict[str, str]:
        """What cannot be sent now for a fault of ours, and why."""
        return self._watch.holds

    @property
    def hosts_at_rest(self) -> Counter[str]:
        """How many hosts are not sent to for a fault of our own, by its kind."""
        return Counter(rest.reason for host, rest in self._watch.own.hosts.items() if host.is_at_rest)

    def deliveries_in_hand(self) -> int:
        """Counted where they are held: queued, in flight, and being written."""
        writing = sum(1 for ticket in self._outbox.tickets if ticket.owing)
        flying = sum(1 for delivery in self._places.flying if delivery not in self._abandoned)
        return self._places.waiting + flying + writing

    # ── taking ──────────────────────────────────────────────────────────────────────────────────

    def take(self, delivery: Delivery) -> None:
        """Take a delivery in hand: start it, queue it, park it or divert it."""
        self._accounts.deliveries_taken += 1
        lane = delivery.lane
        is_parking = lane.disabled is not None or lane.subscription.paused
        if is_parking and not self._exclusion.may_probe(lane):
            self._exclusion.park(delivery)
        elif self._places.may_start(lane):
            self._start(delivery)
        elif lane.is_shut(now_ms := self._clock.now_ms()):
            self._exclusion.turn_away(delivery, now_ms)
        elif not self._places.enqueue(delivery, self._clock.monotonic_ms()):
            self._leave.make_room(delivery, "full lane")

    def changed(self, evicted: Iterable[Lane]) -> None:
        """The subscriptions have changed. The lanes that were evicted may not keep their queue: their
        subscription is paused, or was removed. What is in flight goes on; a removed subscription's
        deliveries go to a tier, where every worker gets the time to hear of it before they count as
        deleted."""
        for lane in evicted:
            for delivery in self._places.take_out(lane, lambda _: True):
                if lane.is_live:
                    self._exclusion.park(delivery)
                else:
                    self._leave.divert(delivery, "subscription removed")
        self._serve_all()

    def heard(self, lane: Lane) -> None:
        """Other workers have told something of this lane, and it was applied."""
        if lane.disabled is not None:
            self._exclusion.stop_using(lane)
        elif lane.breaker.state == "open":
            if not self._watch.why:  # else it stays here: what was told may be our fault too
                self._exclusion.shut(lane)
        else:
            self._places.line_up(lane)
            self._places.serve()

    def look(self) -> None:
        """Divert what has waited in a queue for longer than the budget, and what a lane has no room for
        now that its pace is known: a record whose other deliveries are settled must not be held open by the
        slowest lane, nor the process's room be filled by it. While the fault is ours, probe instead."""
        now_ms = self._clock.monotonic_ms()
        self._unix_ms = self._clock.now_ms() - now_ms
        self._watch.look()
        if self._watch.why:
            return
        self._exclusion.look()
        for lane in self._round.next():
            lane.expire(now_ms)
        overdue_ms = now_ms - self._wait_max_ms
        for lane in self._places.queued:
            retry_overdue_ms = now_ms - RETRY_WAIT_MAX_MS if lane.is_proven else overdue_ms
            for delivery in self._places.take_out(lane, _waits_since(overdue_ms, retry_overdue_ms)):
                self._leave.make_room(delivery, "waited too long")
            for delivery in self._places.take_surplus(lane, now_ms):
                self._leave.make_room(delivery, "full lane")
            self._places.line_up(lane)  # a breaker's cool-down may be over
        self._places.serve()

    # ── attempts ────────────────────────────────────────────────────────────────────────────────

    def _start(self, delivery: Delivery) -> None:
        """Begin its POST; a body that is too large is a dead letter instead."""
        lane = delivery.lane
        # One clock for both times: reading another is a thirtieth of what the engine does for a delivery. A
        # step of the Unix clock is followed at the next look.
        monotonic_ms = self._clock.monotonic_ms()
        now_ms = self._unix_ms + monotonic_ms
        headers, body = lane.composer.compose(delivery.event, now_ms // 1_000)
        subscription = lane.subscription
        if len(body) > subscription.body_bytes_max:
            detail = f"The body has {len(body)} bytes; body_bytes_max is {subscription.body_bytes_max}."
            self._leave.bury(delivery, trail_of(delivery), "oversize", detail=detail)
            return
        if lane.breaker.state != "closed":
            lane.breaker.begin_probe()
            delivery.is_probe = True
        delivery.started_ms = now_ms
        delivery.since_ms = monotonic_ms
        delivery.body = body
        lane.attempts += 1
        self._places.occupy(delivery)
        self._sender.post(lane.endpoint, headers, body, subscription.timeout_ms, delivery, self._answered)

    def _answered(self, delivery: Delivery, answer: Reply | Failure) -> None:
        lane, accounts = delivery.lane, self._accounts
        monotonic_ms = self._clock.monotonic_ms()
        took_ms = monotonic_ms - delivery.since_ms
        now_ms = delivery.started_ms + took_ms  # as in _start
        accounts.attempt_ms.add(took_ms)
        subscription = lane.subscription
        outcome = judge(
            answer,
            accepted=subscription.dialect.accepted,
            gone_is_final=subscription.dialect.gone_is_final,
            final_statuses=subscription.final_statuses,
            now_ms=now_ms,
        )
        if isinstance(outcome, Delivered):
            if monotonic_ms >= delivery.host.quiet_until_ms:
                self._watch.observe(delivery.host, answer, monotonic_ms)
            has_changed = lane.succeeded(delivery, monotonic_ms)
            if lane.disabled is not None and delivery.resets == lane.resets:
                self._exclusion.accepted(lane, now_ms)
            if outcome.retry_after_ms:
                has_changed |= lane.hold_off(delivery, now_ms + outcome.retry_after_ms, now_ms)
            self._places.vacate(delivery)
            if self._abandoned and delivery in self._abandoned:
                self._late(delivery)
            else:
                accounts.attempts[outcome.status] += 1
                accounts.accepted += 1
                since_ms = delivery.record.timestamp_ms
                if delivery.trail is None and since_ms >= 0:
                    accounts.freshness_ms.add(now_ms - since_ms if now_ms > since_ms else 0)
                self._settlement.settle_delivery(delivery.ticket)
            if has_changed:
                self._exclusion.breaker_changed(lane)
        else:
            self._not_accepted(delivery, answer, outcome, took_ms, monotonic_ms)
        if lane.queue or lane.retries:
            self._places.line_up(lane)
        if self._places.line:
            self._places.serve()

    def _not_accepted(
        self,
        delivery: Delivery,
        answer: Reply | Failure,
        outcome: Deferred | Refused,
        took_ms: int,
        monotonic_ms: int,
    ) -> None:
        lane, now_ms = delivery.lane, self._clock.now_ms()
        if isinstance(answer, Failure) and isinstance(outcome, Deferred) and answer.is_ours:
            is_doubtful = self._watch.own.is_in_doubt(delivery.host)
            answer = replace(answer, is_doubtful=is_doubtful)
            outcome = replace(outcome, is_doubtful=is_doubtful)
        if isinstance(outcome, Refused) and delivery.resets != lane.resets:
            outcome = outcome.doubted()  # perhaps by another URL
        elif isinstance(outcome, Deferred) and outcome.is_doubtful:
            is_given_up = delivery.is_probe and lane.breaker.failures > 0
            outcome = trail_of(delivery).without_doubt(outcome, is_given_up=is_given_up)
        self._watch.observe(delivery.host, answer, monotonic_ms)
        is_put_back = False
        if isinstance(answer, Failure) and isinstance(outcome, Deferred):
            if self._watch.why:
                outcome = replace(outcome, is_counted=False, is_doubtful=False)
            is_ours = not outcome.is_counted and not outcome.is_doubtful
            is_put_back = is_ours and self._may_wait_here(delivery)
        has_changed = lane.failed(delivery, outcome, now_ms, monotonic_ms)
        self._places.vacate(delivery)
        if delivery in self._abandoned:
            self._late(delivery)
        elif is_put_back:
            self._accounts.attempts[outcome.error_class] += 1
            self._places.put_back(delivery)
        else:
            self._setbacks.take(delivery, answer, outcome, took_ms=took_ms, now_ms=now_ms)
        if has_changed:
            self._exclusion.breaker_changed(lane)
        if delivery.resets == lane.resets and (isinstance(outcome, Refused) or outcome.is_counted):
            self._exclusion.failed(lane, outcome, now_ms)

    def _late(self, delivery: Delivery) -> None:
        """It was given up before its answer came."""
        self._abandoned.discard(delivery)
        self._accounts.late_answers += 1
        self._settlement.make_room()

    def _may_wait_here(self, delivery: Delivery) -> bool:
        lane = delivery.lane
        return lane.is_live and not lane.is_parking and self.handing_over.may_stay(delivery)

    def _opened(self) -> None:
        now_ms = self._clock.monotonic_ms()
        for lane in self._lanes:
            lane.wait_anew(now_ms)
        self._settlement.make_room()
        self._serve_all()

    def _serve_all(self) -> None:
        self._places.line_up_anew(self._lanes)
        self._places.serve()


def _waits_since(fresh_ms: int, retry_ms: int) -> Callable[[Delivery], bool]:
    """Whether a delivery has waited since before that (monotonic)."""
    return lambda one: one.since_ms < (fresh_ms if one.trail is None else retry_ms)
