"""Whether the fault is ours: names, addresses and connections that fail across many hosts at once.

When DNS is down or egress is cut, every endpoint looks dead. Walking all their ladders to the dead letters
would bill the world for our fault, so intake is held instead, while a few hosts are probed: the first that
is reached lifts it. After a quarter of an hour it lifts anyway and failures are ordinary again, until
somebody was reached: a hold must not become an outage of its own.

Only hosts that answered within the last hour say anything about us; one that never did, or has been gone for
long, is an ordinary failure, and so is a handful of dead ones. Nor does one that has not answered since the
last hold was lifted: what still fails then is not ours, and the few that work would be held again and again
for the many that do not. A host counts once, by its last attempt within half a minute: so a busy one weighs
no more than a quiet one, and nobody has to wait until older successes are forgotten while breakers open.
Holding intake, and probing, is the engine's.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

UNREACHABLE: Final = "unreachable"
"""The reason of such a hold; those of others are kinds of failure."""

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
        "_lifted_ms",
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
        self._lifted_ms = _NEVER_MS  # when a hold was lifted last
        self._tried: set[str] = set()  # probed in this hold, of those not all
        self._probed_ms = 0

    def observe(self, host: str, *, is_reached: bool, now_ms: int) -> None:
        """An attempt at ``host``, or a probe, ended: it was met, or there was no name or no connection."""
        if is_reached:
            self._count_reply(host, now_ms)
        elif not self._is_tripped and self._is_proven(host, now_ms):
            self._failed.pop(host, None)
            self._failed[host] = now_ms
            self._judge(now_ms)

    def is_held(self, now_ms: int) -> bool:
        """Whether failures are taken for our own."""
        return now_ms < self._held_until_ms

    def probes(self, hosts: Collection[str], now_ms: int) -> list[str]:
        """While held: which of ``hosts`` to probe now. Three every five seconds, those that answered last
        first, and each once before any comes again; whoever asks must probe them."""
        if now_ms - self._probed_ms < PROBE_EVERY_MS:
            return []
        self._probed_ms = now_ms
        proven = [host for host in reversed(self._reached) if host in hosts]
        if self._tried.issuperset(proven):
            self._tried.clear()
        chosen = [host for host in proven if host not in self._tried][:PROBE_HOSTS]
        self._tried.update(chosen)
        return chosen

    def _is_proven(self, host: str, now_ms: int) -> bool:
        reached_ms = self._reached.get(host, _NEVER_MS)
        return now_ms - reached_ms < PROVEN_MS and reached_ms >= self._lifted_ms

    def _count_reply(self, host: str, now_ms: int) -> None:
        self._failed.pop(host, None)
        self._reached.pop(host, None)
        self._reached[host] = now_ms
        if len(self._reached) > HOSTS_MAX:
            del self._reached[next(iter(self._reached))]
        if self._is_tripped:
            self._lift(now_ms)

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
        self._tried.clear()
        self.why = (
            f"{failed} of the {failed + answered} hosts that were tried last, and answered within the hour, "
            "have no name, a forbidden address, or take no connection: DNS or the network fails on our side."
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

    def _lift(self, now_ms: int) -> None:
        self.why = ""
        self._lifted_ms = now_ms
        self._is_tripped = False
        self._held_until_ms = 0
        self._failed.clear()

    def _forget_failures(self, since_ms: int) -> None:
        while self._failed:
            oldest = next(iter(self._failed))
            if self._failed[oldest] > since_ms:
                return
            del self._failed[oldest]
