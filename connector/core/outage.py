"""Whether the fault is ours: names and connections that fail across many hosts at once.

When DNS is down or egress is cut, every endpoint looks dead. Walking all their ladders to the dead letters
would bill the world for our fault, so intake is held instead. Held is half-open: a few deliveries go on,
and the first that gets through lifts it. After a quarter of an hour it lifts anyway and failures are
ordinary again, until something got through: a hold must not become an outage of its own.

Only hosts that answered within the last hour say anything about us; one that never did, or has been gone for
long, is an ordinary failure, and so is a handful of dead ones. A host counts once a second, so that a
busy one weighs no more than a quiet one. Holding intake is the engine's.
"""

from __future__ import annotations

from collections import deque
from itertools import takewhile
from typing import Final

HOSTS_MIN: Final = 10
WINDOW_MS: Final = 30_000
FAILED_SHARE_PERCENT: Final = 90
PROVEN_MS: Final = 3_600_000
"""How long an answer proves that a host is there."""

HOLD_MAX_MS: Final = 900_000
PROBE_EVERY_MS: Final = 5_000
PROBE_HOSTS: Final = 3
HOSTS_MAX: Final = 20_000
"""As many as there may be subscriptions; beyond it the host that answered longest ago is forgotten."""

_COUNT_EVERY_MS: Final = 1_000
_NEVER_MS: Final = -PROVEN_MS


class Outage:
    """One process's view. All times are monotonic ms. ``why`` is one sentence for the operator, of the hold
    in force or the last one; empty once something got through."""

    __slots__ = (
        "_failed", "_held_until_ms", "_is_tripped", "_probed", "_probed_ms", "_reached", "_window", "why",
    )  # fmt: skip

    def __init__(self) -> None:
        self.why = ""
        self._held_until_ms = 0
        self._is_tripped = False  # held, or was and nothing got through since
        self._reached: dict[str, int] = {}  # host → when last, oldest first
        self._failed: dict[str, int] = {}  # proven host → when last within the window, oldest first
        self._window: deque[_Second] = deque()
        self._probed: set[str] = set()
        self._probed_ms = 0

    def observe(self, host: str, *, is_reached: bool, now_ms: int) -> None:
        """An attempt at ``host`` ended: with a reply of any kind, or for want of a name or a connection."""
        reached_ms = self._reached.get(host, _NEVER_MS)
        if not is_reached:
            if not self._is_tripped and now_ms - reached_ms < PROVEN_MS:
                self._count_failure(host, now_ms)
        elif self._is_tripped or now_ms - reached_ms >= _COUNT_EVERY_MS:
            self._count_reply(host, now_ms)

    def is_held(self, now_ms: int) -> bool:
        """Whether failures are taken for our own."""
        return now_ms < self._held_until_ms

    def may_probe(self, host: str, now_ms: int) -> bool:
        """While held: whether one delivery to ``host`` may go. True for three proven hosts every five
        seconds, once each; whoever asks must send."""
        if now_ms - self._probed_ms >= PROBE_EVERY_MS:
            self._probed_ms = now_ms
            self._probed.clear()
        if len(self._probed) == PROBE_HOSTS or host in self._probed or host not in self._reached:
            return False
        self._probed.add(host)
        return True

    def _count_reply(self, host: str, now_ms: int) -> None:
        self._reached.pop(host, None)
        self._reached[host] = now_ms
        if len(self._reached) > HOSTS_MAX:
            del self._reached[next(iter(self._reached))]
        if self._is_tripped:
            self._lift()
        self._second(now_ms).reached += 1

    def _count_failure(self, host: str, now_ms: int) -> None:
        if now_ms - self._failed.get(host, _NEVER_MS) < _COUNT_EVERY_MS:
            return
        self._failed.pop(host, None)
        self._failed[host] = now_ms
        self._second(now_ms).failed += 1
        self._judge(now_ms)

    def _judge(self, now_ms: int) -> None:
        since_ms = now_ms - WINDOW_MS
        self._forget_failures(since_ms)
        failed = sum(second.failed for second in self._window)
        tried = failed + sum(second.reached for second in self._window)
        if failed * 100 < tried * FAILED_SHARE_PERCENT:
            return
        answered = takewhile(lambda host: self._reached[host] > since_ms, reversed(self._reached))
        hosts = len({*self._failed, *answered})
        if hosts < HOSTS_MIN:
            return
        self._is_tripped = True
        self._held_until_ms = now_ms + HOLD_MAX_MS
        self._probed_ms = now_ms
        self._probed.clear()
        self.why = (
            f"{failed * 100 // tried} % of the attempts at {hosts} hosts that answered within the hour "
            "found no name or no connection: DNS or the network is down on our side."
        )

    def _lift(self) -> None:
        self.why = ""
        self._is_tripped = False
        self._held_until_ms = 0
        self._failed.clear()
        self._window.clear()

    def _forget_failures(self, since_ms: int) -> None:
        while self._failed:
            oldest = next(iter(self._failed))
            if self._failed[oldest] > since_ms:
                return
            del self._failed[oldest]

    def _second(self, now_ms: int) -> _Second:
        """The counts of this second; those that left the window are dropped."""
        window = self._window
        if not window or now_ms - window[-1].since_ms >= _COUNT_EVERY_MS:
            window.append(_Second(now_ms))
            while now_ms - window[0].since_ms >= WINDOW_MS:
                window.popleft()
        return window[-1]


class _Second:
    """How many hosts were tried in one second, and what came of it."""

    __slots__ = ("failed", "reached", "since_ms")

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        self.reached = 0
        self.failed = 0
