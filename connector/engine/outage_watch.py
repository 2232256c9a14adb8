"""The watch for faults of our own: when nothing can be sent, intake holds and nobody is billed for it.

Two things close the places. Names that do not resolve and connections that are not made, across many hosts at
once, are taken for an outage on our side (:mod:`connector.core.outage` says when, and when no longer). And
what cannot be sent for want of descriptors, ports, memory or a proxy is our fault by its kind
(:mod:`connector.engine.own_faults` finds out how far it goes). Either way intake stops, what is queued stays
queued, what fails meanwhile goes back to its queue with nothing counted, and hosts are probed until one can
be reached. Nothing is taken in for that: a probe needs no delivery.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from connector.core.outage import UNREACHABLE, Outage
from connector.core.outcome import Failure, Reply
from connector.engine.host import Host
from connector.engine.lane import Lane
from connector.engine.lanes import Lanes
from connector.engine.own_faults import OwnFaults
from connector.engine.places import Places
from connector.engine.ports import Clock, Log
from connector.engine.probes import Probes, may_be_probed

REACHED_EVERY_MS: Final = 1_000
"""How often a host that answers is told to the watch for outages."""


class OutageWatch:
    """Closes and opens ``places``. ``why`` says why they are closed, ``reason`` the same in one word; both
    are empty while they are open."""

    def __init__(
        self,
        *,
        outage: Outage,
        lanes: Lanes,
        places: Places,
        probes: Probes,
        clock: Clock,
        log: Log,
        on_open: Callable[[], None],
        on_forgive: Callable[[Lane], None],
    ) -> None:
        self._outage = outage
        self._lanes = lanes
        self._places = places
        self._probes = probes
        self._clock = clock
        self._log = log
        self._on_open = on_open
        self._on_forgive = on_forgive
        self.own = OwnFaults(
            lanes=lanes, probes=probes, clock=clock, log=log, on_change=self._follow, on_end=self._rest_ended
        )
        self.why = ""
        self.reason = ""

    def observe(self, host: Host, answer: Reply | Failure, now_ms: int) -> None:
        """An attempt at ``host`` ended at ``now_ms`` (monotonic). That it was answered need not be told while
        the host is quiet."""
        if isinstance(answer, Reply):
            host.quiet_until_ms = now_ms + REACHED_EVERY_MS
            self._outage.observe(host.name, is_reached=True, now_ms=now_ms)
            self._follow()
        elif answer.is_unreached:
            host.quiet_until_ms = 0  # the next answer is news
            self._outage.observe(host.name, is_reached=False, now_ms=now_ms)
            self._follow()
        elif answer.is_ours:
            self.own.met(host, answer)

    @property
    def holds(self) -> dict[str, str]:
        """What cannot be sent now, and why."""
        if self.why:
            return {"sending": self.why}
        ways = self.own.ways.items()
        return {f"sending through {way}" if way else "sending directly": rest.why for way, rest in ways}

    def look(self) -> None:
        """Probe if there is reason to, and open once it is time."""
        self.own.look()
        self._follow()
        if self.reason == UNREACHABLE:
            self._probe()

    def _probe(self) -> None:
        unix_ms = self._clock.now_ms()
        lanes = {lane.host.name: lane for lane in self._lanes if may_be_probed(lane, unix_ms)}
        for name in self._outage.probes(lanes.keys(), self._clock.monotonic_ms()):
            self._probes.ask(lanes[name], self._probed)

    def _probed(self, host: Host, failure: Failure | None) -> None:
        now_ms = self._clock.monotonic_ms()
        if failure is not None and failure.is_ours:
            self.own.met(host, failure)
        elif failure is None or not failure.is_unreached:
            self._outage.observe(host.name, is_reached=True, now_ms=now_ms)
        self._follow()

    def _follow(self) -> None:
        reason = why = ""
        if self._outage.is_held(self._clock.monotonic_ms()):
            reason, why = UNREACHABLE, self._outage.why
        elif (rest := self.own.everywhere) is not None:
            reason, why = rest.reason, rest.why
        was, was_why = self.reason, self.why
        self.reason, self.why = reason, why  # the sentence may be another for the same reason
        if reason == was:
            return
        if UNREACHABLE in (was, reason):
            self._forgive()  # at its end once more: others may have told of theirs meanwhile
        if not was:
            self._places.is_closed = True
            for lane in self._lanes:
                lane.host.quiet_until_ms = 0  # the next answer is news
            self._log.error("nothing can be sent: intake holds, probing", reason=reason, why=why)
        elif not reason:
            self._log.warning("intake goes on", after=was_why)
            self._places.is_closed = False
            self._on_open()

    def _rest_ended(self, hosts: Collection[Host]) -> None:
        self._follow()
        if not self.why:
            now_ms = self._clock.monotonic_ms()
            for lane in self._lanes_to(hosts):
                lane.wait_anew(now_ms)
            for host in hosts:
                self._places.reopen(host)
            self._places.serve()

    def _lanes_to(self, hosts: Collection[Host]) -> list[Lane]:
        there = set(hosts)
        return [lane for lane in self._lanes if lane.host in there]

    def _forgive(self) -> None:
        """Breakers that the outage has opened already, here or at workers that told us, say nothing about
        their endpoints."""
        for lane in self._lanes:
            if lane.breaker.why in ("dns", "connect", "forbidden", "timeout"):
                lane.breaker.reset()
                self._on_forgive(lane)
