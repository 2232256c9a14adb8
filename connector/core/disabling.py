"""When a subscription is disabled by itself, and when a disabled one is tried again.

An endpoint that takes nothing for days costs attempts, room and letters, and nobody reads its alerts any
more. Long *and* often: an endpoint that is called once a day must not be disabled after one bad
night, nor a busy one after a minute. Where the dialect says that 410 means gone for good, one is enough.

To have failed for days is a statement about all workers: one whose way is blocked sees nothing but failures
of an endpoint that accepts everything from the others. So a run of failures ends with whoever's success, and
they tell each other that it goes on, while somebody may still know better, and that it is over, so that a
restart does not bring it back. Asking the others, parking the backlog, telling the operator and enabling
again are the engine's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

PROBE_MAX_MS: Final = 24 * 3_600_000
RUN_TOLD_EVERY_MS: Final = 3_600_000
"""So often is a run of failures told while it goes on: whoever succeeded meanwhile says so while it still
knows. A restart makes what it had not said seem older by so much at most."""
UNTOLD_MAX_MS: Final = 24 * 3_600_000
"""No more of a time without news of failures counts as failing: so far apart are those of an endpoint that is
called once a day."""
NEVER_MS: Final = 2**53 - 1
"""When a probe is due that is never made: later than any, also to a release that does not know of this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableRules:
    """Disabled is what failed for ``after_ms`` without a success between, in ``attempts`` or more.
    0 attempts: never for failing. It is tried again after ``probe_first_ms``, and what is gone for good only
    if ``probes_gone``."""

    after_ms: int = 5 * 24 * 3_600_000
    attempts: int = 20
    probe_first_ms: int = 3_600_000
    probes_gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Disabled:
    """Since when (Unix ms), why (one sentence for the operator), and when the next probe is due (Unix ms;
    :data:`NEVER_MS`: it is enabled by a reset alone)."""

    since_ms: int
    why: str
    probes_at_ms: int


class FailureRun:
    """Failures in a row: ``attempts`` of them, the first at ``since_ms`` (Unix); both 0 without any.
    ``told_success_ms`` is the last success that another worker told of (Unix; 0: none). Of failures that
    several workers saw, the most that one of them counts are known. What the newest news say of it all have
    heard: ``known_attempts`` failures, since ``known_at_ms`` (Unix)."""

    __slots__ = ("attempts", "known_at_ms", "known_attempts", "since_ms", "told_success_ms")

    def __init__(self) -> None:
        self.since_ms = 0
        self.attempts = 0
        self.told_success_ms = 0
        self.known_attempts = 0
        self.known_at_ms = 0

    def succeeded(self) -> None:
        """Here."""
        self.since_ms = 0
        self.attempts = 0

    def failed(self, now_ms: int) -> None:
        """An attempt failed by the endpoint's fault."""
        if not self.attempts:
            self.since_ms = now_ms
        self.attempts += 1

    def told_of_success(self, at_ms: int) -> None:
        """Another worker has succeeded then (Unix; 0: never)."""
        self.told_success_ms = max(self.told_success_ms, at_ms)
        if self.attempts and at_ms > self.since_ms:
            self.succeeded()

    def resumed(self, now_ms: int) -> None:
        """It was not tried for a while, on purpose: what failed before says nothing of today. The others
        hear of it as of a success."""
        self.told_of_success(now_ms)

    def told_of_run(self, since_ms: int, attempts: int, *, told_at_ms: int, now_ms: int) -> None:
        """Another worker told at ``told_at_ms`` that it has seen so many fail since then (all Unix), and
        nobody knows of a success after. While all workers were down nothing was tried."""
        if attempts:
            since_ms += max(0, now_ms - told_at_ms - UNTOLD_MAX_MS)
            self.since_ms = min(self.since_ms, since_ms) if self.attempts else since_ms
            self.attempts = max(self.attempts, attempts)

    def all_know(self, attempts: int, now_ms: int) -> None:
        """Of so many failures (0: of no run), ours or another's, from ``now_ms`` on (Unix)."""
        self.known_attempts = attempts
        self.known_at_ms = now_ms

    def is_news(self, now_ms: int) -> bool:
        """Whether the others are to be told: that a run is over of which they know, or that one goes on."""
        if not self.attempts:
            return self.known_attempts > 0
        quiet_ms = now_ms - max(self.since_ms, self.known_at_ms)
        return self.attempts > self.known_attempts and quiet_ms >= RUN_TOLD_EVERY_MS

    def is_over(self, now_ms: int, rules: DisableRules) -> bool:
        """Whether it has been long and often enough."""
        return 0 < rules.attempts <= self.attempts and now_ms - self.since_ms >= rules.after_ms

    def in_words(self, now_ms: int) -> str:
        """One sentence for the operator."""
        days = (now_ms - self.since_ms) // (24 * 3_600_000)
        return f"{self.attempts} attempts in a row have failed, for {days} days."


def disable(why: str, rules: DisableRules, *, now_ms: int) -> Disabled:
    """Disabled from now on, with the first probe as far away as the rules say."""
    probes_at_ms = next_probe_ms(rules, since_ms=now_ms, now_ms=now_ms)
    return Disabled(since_ms=now_ms, why=why, probes_at_ms=probes_at_ms)


def disable_gone(why: str, rules: DisableRules, *, now_ms: int) -> Disabled:
    """The same for what says itself that it is gone for good."""
    disabled = disable(why, rules, now_ms=now_ms)
    return disabled if rules.probes_gone else replace(disabled, probes_at_ms=NEVER_MS)


def next_probe_ms(rules: DisableRules, *, since_ms: int, now_ms: int) -> int:
    """When to probe next what is disabled since ``since_ms`` and did not answer now.

    By default after 1, 2, 4, 8, 16 and then every 24 hours. Each wait is as long as all before it and the
    first once more, so the schedule needs no counter, and survives a restart.
    """
    return now_ms + min(max(now_ms - since_ms, 0) + rules.probe_first_ms, PROBE_MAX_MS)


def agreed(one: Disabled, other: Disabled) -> Disabled:
    """What two workers hold that have each disabled a subscription: the one that was first is right about
    when and why, and whoever has probed last about when to probe again."""
    first = min(one, other, key=lambda each: (each.since_ms, each.why))
    return replace(first, probes_at_ms=max(one.probes_at_ms, other.probes_at_ms))
