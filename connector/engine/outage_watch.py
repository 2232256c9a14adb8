"""The watch for outages: when nobody can be reached, the fault is ours, and nobody is billed for it.

Names that do not resolve and connections that are not made, across many hosts at once, close the places:
intake stops, what is queued stays queued, and what fails meanwhile goes back to its queue with nothing
counted. Every few seconds a few hosts are tried with one delivery each; the first that answers opens them
again, and so does time (:mod:`connector.core.outage` has the numbers). While what waits is for too few hosts
to tell by, a trickle comes in and waits too: those few may be dead when all others are well again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from connector.core.accounts import Accounts
from connector.core.outage import Outage
from connector.core.outcome import Failure, Reply
from connector.engine.lane import Delivery, Host
from connector.engine.lanes import Lanes
from connector.engine.places import Places
from connector.engine.ports import Clock, Log

REACHED_EVERY_MS: Final = 1_000
"""How often a host that answers is told to the watch for outages."""
TRICKLE_PER_LOOK: Final = 10
"""Deliveries that may come in from one look to the next, for want of probes. Few, since those whose lane is
full go to the tiers."""
TRICKLE_MAX: Final = 200
"""So many more than there were when the places were closed may be in hand for that."""


class OutageWatch:
    """Closes and opens ``places``. ``why`` says why they are closed; empty while they are open."""

    def __init__(
        self,
        *,
        outage: Outage,
        lanes: Lanes,
        places: Places,
        accounts: Accounts,
        start: Callable[[Delivery], None],
        clock: Clock,
        log: Log,
        on_open: Callable[[], None],
    ) -> None:
        self._outage = outage
        self._lanes = lanes
        self._places = places
        self._accounts = accounts
        self._start = start
        self._clock = clock
        self._log = log
        self._on_open = on_open
        self._next_probe = 0
        self._in_hand_max = 0
        self._taken_max = 0
        self.why = ""

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

    @property
    def may_take(self) -> bool:
        """While closed: whether a delivery may be taken in hand all the same, to wait and be a probe."""
        return self._accounts.deliveries_taken < self._taken_max

    def look(self) -> None:
        """While closed: probe, let a few in for want of probes, and open once it is time."""
        self._follow()
        if self.why:
            self._probe()
            self._trickle()

    def _probe(self) -> None:
        now_ms = self._clock.monotonic_ms()
        lanes = list(self._lanes)
        first = self._next_probe
        for number in range(first, first + len(lanes)):
            lane = lanes[number % len(lanes)]
            if self._places.may_probe(lane) and self._outage.may_probe(lane.host.name, now_ms):
                self._next_probe = (number + 1) % len(lanes)  # others' turn: these may really be dead
                self._places.waiting -= 1
                self._start(lane.next())

    def _trickle(self) -> None:
        now_ms = self._clock.now_ms()
        hosts = {lane.host.name for lane in self._lanes if lane.waiting and lane.has_place(now_ms)}
        is_wanted = self._outage.lacks_probes(hosts)
        room = min(TRICKLE_PER_LOOK, self._in_hand_max - self._in_hand) if is_wanted else 0
        self._taken_max = self._accounts.deliveries_taken + room

    @property
    def _in_hand(self) -> int:
        return self._places.waiting + len(self._places.flying)

    def _follow(self) -> None:
        is_held = self._outage.is_held(self._clock.monotonic_ms())
        if is_held and not self.why:
            self.why = self._outage.why
            self._places.is_closed = True
            self._in_hand_max = self._in_hand + TRICKLE_MAX
            self._taken_max = 0  # until the next look
            for lane in self._lanes:
                lane.host.quiet_until_ms = 0  # the next answer is news
            self._forgive()
            self._log.error("nobody can be reached: intake holds, probing", why=self.why)
        elif not is_held and self.why:
            self._log.warning("sending again", after=self.why)
            self.why = ""
            self._places.is_closed = False
            self._forgive()  # once more: others may have told of theirs meanwhile
            self._on_open()

    def _forgive(self) -> None:
        """Breakers that the outage has opened already, here or at workers that told us, say nothing about
        their endpoints."""
        for lane in self._lanes:
            if lane.breaker.why in ("dns", "connect", "timeout"):
                lane.breaker.reset()
