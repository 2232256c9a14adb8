"""Faults of our own while sending: descriptors, ports or memory used up, an egress proxy that fails.

They say nothing about the receiver. So nothing is counted and nothing is written: what failed waits again in
its lane, and what cannot be sent to *rests*. At first that is the host it happened to. Probes of others by
the same way, directly or through one proxy, tell how far it goes: when none of them comes about, or there are
none, the whole way rests, and with the last way everything. Every few seconds some of what rests is probed;
the first that comes about ends the rest of its way. There is no other end: what we cannot send now we could
not send after a quarter of an hour either.

A host that goes on failing *alone*, while others by the same way come about, waits for its own probe. After
a quarter of an hour of that it is *in doubt* whether the fault is ours: it is sent to again, and what fails
ends as the receiver's if it goes on. Probes go on too, and with a round in which nobody comes about it is
our fault again.

What may as well be the receiver's, as when a proxy answers and opens no tunnel, is no matter of this: nothing
rests for it, and it ends as the receiver's if it goes on.

Lanes at rest have no place. What comes for them while others work waits in tiers, longer each time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

from connector.core.outcome import Failure
from connector.engine.host import Host
from connector.engine.lane import Lane
from connector.engine.lanes import Lanes
from connector.engine.ports import Clock, Log
from connector.engine.probes import Probes, may_be_probed

ROUND_EVERY_MS: Final = 5_000
FIRST_ROUND_MS: Final = 1_000
"""A shortage may be over at once, and what it stopped would be tried, and fail, as often as it is."""
HOSTS_PER_ROUND: Final = 3
"""Of each way: so many hosts that fail, and so many others."""
ALONE_MAX_MS: Final = 900_000
"""As long as names and connections that fail are taken for our own."""

_CURES: Final = {
    "resources": "free or allow more file descriptors (ulimit -n), ports or memory",
    "proxy": "see that the egress proxy is up and admits this connector",
}


@dataclass(slots=True)
class Rest:
    """Since ``since_ms`` (monotonic) a host, or a way, fails for this ``reason`` (a kind of failure): nothing
    is sent to it, unless it is in doubt whose fault that is. ``why`` is one sentence for the operator, with
    the cure. ``alone_since_ms`` is since when a host's own probes fail while those of others come about; 0:
    they do not, or nobody knows."""

    reason: str
    why: str
    since_ms: int
    alone_since_ms: int = 0


class OwnFaults:
    """What rests. ``on_change`` is called when more of it does, ``on_end`` with the hosts that may be sent to
    again.

    ``everywhere`` says why nothing at all can be sent, if that is so."""

    def __init__(
        self,
        *,
        lanes: Lanes,
        probes: Probes,
        clock: Clock,
        log: Log,
        on_change: Callable[[], None],
        on_end: Callable[[Collection[Host]], None],
    ) -> None:
        self._lanes = lanes
        self._probes = probes
        self._clock = clock
        self._log = log
        self._on_change = on_change
        self._on_end = on_end
        self.hosts: dict[Host, Rest] = {}
        """At rest or in doubt, those asked longest ago first."""
        self.ways: dict[str, Rest] = {}
        """Those at rest altogether."""
        self._round_ms = 0
        self._asked: set[Host] = set()
        self._round: set[str] = set()  # ways that this round is about
        self._fine: set[str] = set()  # ways by which a probe of this round came about
        self.everywhere: Rest | None = None

    def met(self, host: Host, failure: Failure) -> None:
        """An attempt at ``host``, or a probe, ended as what is surely a fault of ours."""
        why = f"{failure.detail}; {_CURES[failure.kind]}"
        if (rest := self.hosts.get(host)) is not None:
            rest.reason, rest.why = failure.kind, why
        else:
            if not self.hosts:
                self._round_ms = 0
            self._rest(host, Rest(failure.kind, why, self._clock.monotonic_ms()))

    def is_in_doubt(self, host: Host) -> bool:
        """Whether what looks like a fault of ours may be this host's, which alone fails so."""
        return host in self.hosts and not host.is_at_rest

    def look(self) -> None:
        """Probe, if it is time. Call at every look."""
        if not self.hosts:
            return
        self._follow_lanes()
        now_ms, unix_ms = self._clock.monotonic_ms(), self._clock.now_ms()
        if self._asked or now_ms < self._round_ms:
            return
        self._round_ms = now_ms + (FIRST_ROUND_MS if not self._round_ms else ROUND_EVERY_MS)
        self._fine.clear()
        lanes = sorted(self._lanes, key=lambda lane: lane.proven_ms)  # the last of a host stands for it
        usable = {lane.host: lane for lane in lanes if may_be_probed(lane, unix_ms)}
        for way in {host.way for host in self.hosts} - {host.way for host in usable}:
            self._end(self._hosts_by(way))  # nobody is there to be probed, nor to be sent to
        self._round = {host.way for host in self.hosts}
        chosen = self._choose(usable, now_ms)
        self._asked = {lane.host for lane in chosen}
        for lane in chosen:
            self._probes.ask(lane, self._probed)
        if not chosen:
            self._end_round()

    def _choose(self, usable: dict[Host, Lane], now_ms: int) -> list[Lane]:
        """Whom to probe: of each way some that fail, and the most recently proven of those that do not.

        Of those that fail the most recently proven is always asked: it tells best whether what stopped all
        is over. The others take turns: those at rest, and then those in doubt, which are sent to anyway."""
        recent = sorted(usable.values(), key=lambda lane: lane.proven_ms, reverse=True)
        chosen: list[Lane] = []
        for way in self._round:
            failing = [
                usable[host]
                for host, rest in self.hosts.items()
                if host.way == way and host in usable and now_ms - rest.since_ms >= FIRST_ROUND_MS
            ]
            best = max(failing, key=lambda lane: lane.proven_ms, default=None)
            failing.sort(key=lambda lane: (lane is not best, not lane.host.is_at_rest))
            others = [lane for lane in recent if lane.host.way == way and lane.host not in self.hosts]
            for lane in failing[:HOSTS_PER_ROUND]:
                self.hosts[lane.host] = self.hosts.pop(lane.host)  # others' turn next time
            chosen += failing[:HOSTS_PER_ROUND] + others[:HOSTS_PER_ROUND]
        return chosen

    def _probed(self, host: Host, failure: Failure | None) -> None:
        self._asked.discard(host)
        if failure is not None and failure.is_ours:
            self.met(host, failure)
            rest = self.hosts[host]
            rest.alone_since_ms = rest.alone_since_ms or self._clock.monotonic_ms()
        else:
            self._fine.add(host.way)
            if host in self.hosts:
                self._came_about(host)
        if not self._asked:
            self._end_round()

    def _came_about(self, host: Host) -> None:
        """What holds for one that was at rest holds for the rest of its way, but for those whose own probes
        say otherwise while others' come about."""
        by_way = self._hosts_by(host.way)
        if host.way not in self.ways:
            by_way = [one for one in by_way if one is host or not self.hosts[one].alone_since_ms]
        self._end(by_way)

    def _end_round(self) -> None:
        """Ways by which nobody was reached rest altogether. By the others it is in doubt who is at fault,
        where one host has failed alone for long."""
        unreached = {host: rest for host, rest in self.hosts.items() if host.way in self._round - self._fine}
        for rest in unreached.values():
            rest.alone_since_ms = 0
        self._doubt_the_lone()
        for way, rest in {host.way: rest for host, rest in unreached.items()}.items():
            if way not in self.ways:
                self._log.error(
                    "nothing is sent for a fault of our own, probing",
                    way=f"through the proxy {way}" if way else "directly",
                    reason=rest.reason,
                    why=rest.why,
                )
            self.ways[way] = rest  # of the one that was asked last
        self._follow_lanes()
        self._on_change()

    def _follow_lanes(self) -> None:
        """The lanes may have changed: hosts that nobody leads to are forgotten, new ones rest with their
        way."""
        there = set(self._lanes.hosts)
        for host in [host for host in self.hosts if host not in there]:
            del self.hosts[host]
        for host in there:
            if host.way in self.ways and not host.is_at_rest:
                self._rest(host, replace(self.ways[host.way], alone_since_ms=0))
        for way in self.ways.keys() - {host.way for host in self.hosts}:
            del self.ways[way]
        self._see_everywhere()

    def _see_everywhere(self) -> None:
        ways = {lane.host.way for lane in self._lanes if not lane.is_parking}
        resting = [rest for way, rest in self.ways.items() if way in ways]
        self.everywhere = resting[0] if resting and len(resting) == len(ways) else None

    def _rest(self, host: Host, rest: Rest) -> None:
        self.hosts[host] = rest
        host.in_flight_max = 0

    def _doubt_the_lone(self) -> None:
        since_ms = self._clock.monotonic_ms() - ALONE_MAX_MS
        lone = [
            host for host, rest in self.hosts.items()
            if host.is_at_rest and 0 < rest.alone_since_ms <= since_ms
        ]  # fmt: skip
        for host in lone:
            host.in_flight_max = host.limit
            self._log.warning(
                "failing alone for long, no longer taken for a fault of our own",
                host=host.name,
                why=self.hosts[host].why,
            )
        if lone:
            self._on_end(lone)

    def _end(self, hosts: Collection[Host]) -> None:
        for way in {host.way for host in hosts}:
            if (rest := self.ways.pop(way, None)) is not None:
                self._log.warning("sending again", after=rest.why)
        for host in hosts:
            del self.hosts[host]
            host.in_flight_max = host.limit
        self._see_everywhere()
        self._on_end(hosts)

    def _hosts_by(self, way: str) -> list[Host]:
        return [host for host in self.hosts if host.way == way]
