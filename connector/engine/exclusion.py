"""Exclusion: lanes that nothing is sent to for a while or for long, and where their deliveries go meanwhile.

A lane is shut while its breaker is open: what waits there is turned away to the tiers. It is disabled when
its endpoint has failed for days, or is gone: what it gets is parked, but for a probe now and then, and the
probe that is accepted enables it again. The other workers are told of each change, and the operator of those
that last. When a breaker opens, and when a subscription is disabled, is the core's to say.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from connector.core.disabling import Disabled, DisableRules, disable, next_probe_ms, why_disable
from connector.core.outcome import Delivered, Outcome
from connector.engine.departures import Departures, trail_of
from connector.engine.lane import Delivery, Lane
from connector.engine.places import Places
from connector.engine.ports import Clock, Log


class News(Protocol):
    """How other workers are told of a lane."""

    def tell(self, lane: Lane) -> None:
        """Something that was learnt of its endpoint has changed."""

    def is_parking_announced(self, subscription_id: str) -> bool:
        """Whether it may be parked: all know that there is something to look for later."""


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
        operator: Operator,
        clock: Clock,
        log: Log,
    ) -> None:
        self._places = places
        self._leave = departures
        self._rules = rules
        self._news = news
        self._operator = operator
        self._clock = clock
        self._log = log

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

    def judge(self, lane: Lane, outcome: Outcome, now_ms: int) -> None:
        """An attempt ended at ``now_ms`` (Unix): disable what has failed for too long, enable what has
        accepted a probe."""
        if not isinstance(outcome, Delivered):
            why = why_disable(outcome, lane.failures, self._rules, now_ms=now_ms)
            if why and lane.disabled is None:
                self._disable(lane, why, now_ms)
        elif lane.disabled is not None:
            self._log.warning("enabled again", subscription=lane.subscription.id)
            self._operator.enabled(lane.subscription.id, lane.disabled)
            lane.forget(now_ms)
            self._news.tell(lane)

    def stop_using(self, lane: Lane) -> None:
        """It is disabled: what waits here is parked."""
        for delivery in self._places.take_out(lane, lambda _: True):
            self.park(delivery)

    def park(self, delivery: Delivery) -> None:
        """Its lane is paused or disabled. By a detour until all know that something will be parked for it."""
        if self._news.is_parking_announced(delivery.lane.subscription.id):
            self._leave.park(delivery)
        else:
            self._leave.divert(delivery, "parking is announced", 0)

    def may_probe(self, lane: Lane) -> bool:
        """Whether a delivery that comes now finds out if this lane, which parks, works again: one, when the
        probe is due."""
        disabled, now_ms = lane.disabled, self._clock.now_ms()
        if lane.subscription.paused or disabled is None or now_ms < disabled.probes_at_ms:
            return False
        if lane.is_shut(now_ms):
            return False  # it would be turned away, and the next probe be hours off
        probes_at_ms = next_probe_ms(self._rules, since_ms=disabled.since_ms, now_ms=now_ms)
        lane.disabled = replace(disabled, probes_at_ms=probes_at_ms)
        self._news.tell(lane)
        return True

    def _disable(self, lane: Lane, why: str, now_ms: int) -> None:
        self._log.error("disabled", subscription=lane.subscription.id, why=why)
        lane.disabled = disable(why, self._rules, now_ms=now_ms)
        self._news.tell(lane)
        self._operator.disabled(lane)
        self.stop_using(lane)
