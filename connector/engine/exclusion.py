"""Exclusion: lanes that nothing is sent to for a while or for long, and where their deliveries go meanwhile.

A lane is shut while its breaker is open: what waits there is turned away to the tiers. It is disabled when
its endpoint has failed for days, or is gone: what it gets is parked, but for a probe now and then, and the
probe that is accepted enables it again. The other workers are told of each change, and the operator of those
that last. When a breaker opens, and when a subscription is disabled, is the core's to say.

Nobody is disabled for failing before the other workers were asked. The question is news of the failures like
any other; whoever knows of a later success, or has one then, says so (:mod:`connector.engine.knowledge`), and
the run of failures is over. So nothing is told of successes but where a worker sees none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Protocol

from connector.core.disabling import Disabled, DisableRules, disable, disable_gone, next_probe_ms
from connector.core.outcome import Deferred, Refused
from connector.engine.delivery import Delivery
from connector.engine.departures import Departures, trail_of
from connector.engine.lane import Lane
from connector.engine.parked import Parked
from connector.engine.places import Places
from connector.engine.ports import Clock, Log

ANSWERED_MS: Final = 3_000
"""By then everybody has heard a question and has been heard: news takes a second at most each way."""


class News(Protocol):
    """How other workers are told of a lane."""

    def tell(self, lane: Lane) -> None:
        """Something that was learnt of its endpoint has changed."""

    @property
    def is_heard(self) -> bool:
        """Whether news arrive, ours and those of others."""


class Operator(Protocol):
    """How the operator is told of a lane."""

    def disabled(self, lane: Lane) -> None:
        """It was disabled by itself just now."""

    def enabled(self, subscription_id: str, was: Disabled) -> None:
        """It has accepted a probe, and is enabled again."""


class Exclusion:
    """Empties lanes that may not be used, and says which delivery may try one all the same."""

    def __init__(
        self,
        *,
        places: Places,
        departures: Departures,
        rules: DisableRules,
        news: News,
        parked: Parked,
        operator: Operator,
        clock: Clock,
        log: Log,
    ) -> None:
        self._places = places
        self._leave = departures
        self._rules = rules
        self._news = news
        self._parked = parked
        self._operator = operator
        self._clock = clock
        self._log = log
        self._asked: dict[Lane, int] = {}
        """Lanes that have failed for long enough here → since when (monotonic ms) the others are asked."""

    # ── for a while ─────────────────────────────────────────────────────────────────────────────

    def breaker_changed(self, lane: Lane) -> None:
        """By what an attempt of ours has told."""
        breaker = lane.breaker
        if breaker.state == "open":
            self.shut(lane)
        self._news.tell(lane)
        self._log.info(
            "breaker",
            subscription=lane.subscription.id,
            state=breaker.state,
            why=breaker.why,
            until_ms=breaker.until_ms,
        )

    def forgiven(self, lane: Lane) -> None:
        """Its breaker was closed: a fault of ours had opened it. If it was we who told so, the others hear
        that it is over; what another worker has found out for itself is not for us to deny."""
        if not lane.is_shut_by_others:
            self._news.tell(lane)

    def shut(self, lane: Lane) -> None:
        """Its breaker is open: nothing waits here."""
        now_ms = self._clock.now_ms()
        for delivery in self._places.take_out(lane, lambda _: True):
            self.turn_away(delivery, now_ms)

    def turn_away(self, delivery: Delivery, now_ms: int) -> None:
        """To a tier: the breaker of its lane is open at ``now_ms`` (Unix)."""
        trail, breaker = trail_of(delivery), delivery.lane.breaker
        self._leave.turn_away(delivery.ticket, delivery.record, trail, breaker, now_ms)

    # ── for long ────────────────────────────────────────────────────────────────────────────────
    #
    # What was under way when its subscription was removed decides nothing, and no operator hears of it.

    def accepted(self, lane: Lane, now_ms: int) -> None:
        """It is disabled, and has accepted an attempt at ``now_ms`` (Unix)."""
        assert lane.disabled is not None, "else it is nothing new"
        if not lane.is_live:
            return
        self._log.warning("enabled again", subscription=lane.subscription.id)
        self._operator.enabled(lane.subscription.id, lane.disabled)
        lane.forget(now_ms)
        self._news.tell(lane)

    def failed(self, lane: Lane, outcome: Deferred | Refused, now_ms: int) -> None:
        """An attempt that counts was not accepted at ``now_ms`` (Unix)."""
        if not lane.is_live:
            return
        disabled = lane.disabled
        if isinstance(outcome, Refused) and outcome.reason == "gone":
            gone = disable_gone(outcome.detail, self._rules, now_ms=now_ms)
            if disabled is None:
                self._disable(lane, gone)
            elif disabled.probes_at_ms < gone.probes_at_ms:
                self._probe_again(lane, disabled, gone.probes_at_ms)
        elif disabled is None:
            if lane.failures.is_over(now_ms, self._rules) and lane not in self._asked:
                self._ask(lane)
        elif now_ms >= disabled.probes_at_ms:  # else it began before it was disabled
            probes_at_ms = next_probe_ms(self._rules, since_ms=disabled.since_ms, now_ms=now_ms)
            self._probe_again(lane, disabled, probes_at_ms)

    def look(self) -> None:
        """Disable what has failed for too long, and nobody knows better."""
        if not self._asked:
            return
        now_ms, asked_before_ms = self._clock.now_ms(), self._clock.monotonic_ms() - ANSWERED_MS
        for lane in [lane for lane, asked_ms in self._asked.items() if asked_ms <= asked_before_ms]:
            del self._asked[lane]
            if not lane.is_live or lane.disabled is not None:
                continue
            if not lane.failures.is_over(now_ms, self._rules):
                continue  # somebody has had a success
            if self._news.is_heard:
                self._disable(lane, disable(lane.failures.in_words(now_ms), self._rules, now_ms=now_ms))
            else:
                self._ask(lane)  # nobody may have heard

    def stop_using(self, lane: Lane) -> None:
        """It is disabled: what waits here is parked."""
        for delivery in self._places.take_out(lane, lambda _: True):
            self.park(delivery)

    def park(self, delivery: Delivery) -> None:
        """Its lane is paused or disabled. By a detour until all know that something will be parked for it."""
        if self._parked.is_announced(delivery.lane.subscription.id):
            self._leave.park(delivery)
        else:
            self._leave.divert(delivery, "parking is announced")

    def may_probe(self, lane: Lane) -> bool:
        """Whether a delivery that comes now finds out if this lane, which parks, works again: one at a time
        once the probe is due, until one was answered."""
        disabled = lane.disabled
        if disabled is None or lane.subscription.paused or lane.in_flight or lane.waiting:
            return False
        now_ms = self._clock.now_ms()
        return now_ms >= disabled.probes_at_ms and not lane.is_shut(now_ms)

    def _probe_again(self, lane: Lane, disabled: Disabled, probes_at_ms: int) -> None:
        lane.disabled = replace(disabled, probes_at_ms=probes_at_ms)
        self._news.tell(lane)

    def _ask(self, lane: Lane) -> None:
        self._asked[lane] = self._clock.monotonic_ms()
        self._news.tell(lane)

    def _disable(self, lane: Lane, disabled: Disabled) -> None:
        self._log.error("disabled", subscription=lane.subscription.id, why=disabled.why)
        lane.disabled = disabled
        self._news.tell(lane)
        self._operator.disabled(lane)
        self.stop_using(lane)
