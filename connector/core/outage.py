"""Whether the fault is ours: names and connections that fail across many hosts at once.

When DNS is down or egress is cut, every endpoint looks dead. Walking all their ladders to the dead letters
would bill the world for our fault, so intake is held instead. Held is half-open: a few deliveries go on,
and the first that gets through lifts it. After a quarter of an hour it lifts anyway and failures are
ordinary again, until something got through: a hold must not become an outage of its own.

Only hosts that answered within the last hour say anything about us; one that never did, or has been gone for
long, is an ordinary failure, and so is a handful of dead ones. A host counts once, by its last attempt within
half a minute: so a busy one weighs no more than a quiet one, and nobody has to wait until older successes are
forgotten while breakers open. Holding intake is the engine's.
"""

from __future__ import annotations

from collections.abc import Iterable
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

_NEVER_MS: Final = -PROVEN_MS


class Outage:
    """One process's view. All times are monotonic ms. ``why`` is one sentence for the operator, of the hold
    in force or the last one; empty once something got through."""

    __slots__ = (
        "_failed",
        "_held_until_ms",
        "_is_tripped",
        "_probed",
        "_probed_ms",
        "_reached",
        "_tried",
        "why",
    )

    def __init__(self) -> None:
        self.why = ""
        self._held_until_ms = 0
        self._is_tripped = False  # held, or was and nothing got through since
        self._reached: dict[str, int] = {}  # host → when last, oldest first
        self._failed: dict[str, int] = {}  # proven host whose last attempt failed → when, oldest first
        self._probed: set[str] = set()
        self._tried: set[str] = set()  # all that were probed in this hold
        self._probed_ms = 0

    def observe(self, host: str, *, is_reached: bool, now_ms: int) -> None:
        """An attempt at ``host`` ended: with a reply of any kind, or for want of a name or a connection."""
        if is_reached:
            self._count_reply(host, now_ms)
        elif not self._is_tripped and now_ms - self._reached.get(host, _NEVER_MS) < PROVEN_MS:
            self._failed.pop(host, None)
            self._failed[host] = now_ms
            self._judge(now_ms)

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
        self._tried.add(host)
        return True

    def lacks_probes(self, hosts: Iterable[str]) -> bool:
        """While held: whether, of the ``hosts`` that could be probed now, fewer than three proven ones are
        still untried in this hold. Those that were tried in vain may be dead, whatever ails us."""
        return len((self._reached.keys() & hosts) - self._tried) < PROBE_HOSTS

    def _count_reply(self, host: str, now_ms: int) -> None:
        self._failed.pop(host, None)
        self._reached.pop(host, None)
        self._reached[host] = now_ms
        if len(self._reached) > HOSTS_MAX:
            del self._reached[next(iter(self._reached))]
        if self._is_tripped:
            self._lift()

    def _judge(self, now_ms: int) -> None:
        since_ms = now_ms - WINDOW_MS
        self._forget_failures(since_ms)
        failed = len(self._failed)
        answered = self._answered(since_ms, failed * 100 // FAILED_SHARE_PERCENT - failed)
        if answered is None or failed + answered < HOSTS_MIN:
            return
        self._is_tripped = True
        self._held_until_ms = now_ms + HOLD_MAX_MS
        self._probed_ms = now_ms
        self._probed.clear()
        self._tried.clear()
        self.why = (
            f"{failed} of the {failed + answered} hosts that were tried last, and answered within the hour, "
            "have no name or take no connection: DNS or the network is down on our side."
        )

    def _answered(self, since_ms: int, at_most: int) -> int | None:
        """How many hosts answered last, since then; ``None``: more than ``at_most``, however many."""
        answered = 0
        for host, reached_ms in reversed(self._reached.items()):
            if reached_ms <= since_ms:
                break
            if host not in self._failed:
                answered += 1
                if answered > at_most:
                    return None
        return answered

    def _lift(self) -> None:
        self.why = ""
        self._is_tripped = False
        self._held_until_ms = 0
        self._failed.clear()

    def _forget_failures(self, since_ms: int) -> None:
        while self._failed:
            oldest = next(iter(self._failed))
            if self._failed[oldest] > since_ms:
                return
            del self._failed[oldest]
