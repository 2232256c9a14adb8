"""The breaker of one lane: stops sending to an endpoint that takes nothing, and finds out when it does again.

Rules are a table (:data:`TABLE`): which signal leads from where to where. The methods of
:class:`Breaker` add the numbers: until when, how often, why.

::

    closed ──── failed too often ───▶ open ──── cool-down over ───▶ half-open ─── probe succeeded ──▶ closed
                                       ▲                               │
                                       └──── probe failed: doubled ────┘

A lane that is *held off* was asked to stay away by ``Retry-After``. From outside it is open, with one
difference: a success of an attempt begun before does not let the others come back early.

Half-open lets one attempt through, the probe; what else there is waits for its answer. What a worker
learns it tells the others as a :class:`BreakerSnapshot`; each judges for itself (:meth:`Breaker.adopt`).
Times are Unix ms, since other workers read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

HOLD_OFF_MAX_MS: Final = 24 * 3_600_000
"""A lane stays away no longer than this without asking again, whatever a receiver or another worker said."""

RETRY_AFTER: Final = "retry-after"
"""Why a lane is held off; beside it ``why`` is an error class."""

State = Literal["closed", "open", "half-open"]
Mode = Literal["closed", "open", "held off", "half-open"]
Signal = Literal[
    "success",
    "failure",        # one more, not the probe's
    "last straw",     # the same, and it makes too many in a row
    "probe failed",
    "probe lost",     # it was withdrawn before an answer came
    "hold off",       # Retry-After, here or at another worker
    "told open",      # by another worker, which saw it fail
    "cool-down over",
    "reset",          # by an operator
]  # fmt: skip

TABLE: Final[Mapping[tuple[Mode, Signal], Mode]] = {
    ("closed", "success"): "closed",
    ("closed", "failure"): "closed",
    ("closed", "last straw"): "open",
    ("closed", "probe failed"): "closed",  # others succeeded meanwhile
    ("closed", "probe lost"): "closed",
    ("closed", "hold off"): "held off",
    ("closed", "told open"): "open",
    ("closed", "reset"): "closed",

    ("open", "success"): "closed",  # begun before, but it shows that the endpoint lives
    ("open", "failure"): "open",  # begun before: nothing new
    ("open", "last straw"): "open",
    ("open", "probe failed"): "open",  # shut again while it was under way
    ("open", "probe lost"): "open",
    ("open", "hold off"): "held off",
    ("open", "told open"): "open",
    ("open", "cool-down over"): "half-open",
    ("open", "reset"): "closed",

    ("held off", "success"): "held off",  # begun before, and no leave to come back
    ("held off", "failure"): "held off",
    ("held off", "last straw"): "held off",
    ("held off", "probe failed"): "held off",
    ("held off", "probe lost"): "held off",
    ("held off", "hold off"): "held off",
    ("held off", "told open"): "held off",
    ("held off", "cool-down over"): "half-open",
    ("held off", "reset"): "closed",

    ("half-open", "success"): "closed",
    ("half-open", "failure"): "half-open",
    ("half-open", "last straw"): "half-open",
    ("half-open", "probe failed"): "open",
    ("half-open", "probe lost"): "open",
    ("half-open", "hold off"): "held off",
    ("half-open", "told open"): "open",
    ("half-open", "reset"): "closed",
}  # fmt: skip
"""Total, but for the end of a cool-down where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """``failures_to_open`` in a row shut the lane for ``cool_down_ms``, doubled for each failed probe up to
    ``cool_down_max_ms``. 0 failures: it is never shut by failures, only by ``Retry-After``."""

    failures_to_open: int = 5
    cool_down_ms: int = 30_000
    cool_down_max_ms: int = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSnapshot:
    """What other workers are told. Half-open is told as open: the way is not free yet.

    ``opened_ms`` is when the lane was last shut, -1 for never. It says which opening a snapshot is about,
    in a closed one too: that opening is over.
    """

    state: Literal["open", "closed"]
    until_ms: int
    cool_down_ms: int
    failures: int
    why: str
    opened_ms: int = 0


class Breaker:
    """One lane's breaker.

    ``until_ms`` is when the cool-down ends, 0 unless open. ``cool_down_ms`` is the one in force, or the
    next one where none is. ``failures`` counts those in a row. ``why`` names what shut it: an error class
    or :data:`RETRY_AFTER`; empty when closed. ``opened_ms`` is when it was last shut, -1 for never.

    Half-open has one probe, and nothing passes before ``until_ms``: ``tests/core/test_breaker_models.py``.
    """

    __slots__ = ("_mode", "_rules", "cool_down_ms", "failures", "opened_ms", "state", "until_ms", "why")

    def __init__(self, rules: BreakerRules) -> None:
        self._rules = rules
        self._mode: Mode = "closed"
        self.state: State = "closed"
        self.until_ms = 0
        self.cool_down_ms = rules.cool_down_ms
        self.failures = 0
        self.why = ""
        self.opened_ms = -1

    def may_probe(self, now_ms: int) -> bool:
        """Whether it is open and its cool-down over: one attempt may find out what the endpoint does now."""
        return self.state == "open" and now_ms >= self.until_ms

    def begin_probe(self) -> None:
        """The attempt that may probe starts: it must come back with its answer, or its loss."""
        self._turn("cool-down over")

    def succeeded(self) -> bool:
        """An attempt succeeded, the probe or another. Returns whether the state changed."""
        if self.state == "closed" and not self.failures:
            return False  # nearly always
        self.failures = 0
        return self._turn("success")

    def failed(self, now_ms: int, error_class: str, *, is_probe: bool) -> bool:
        """An attempt failed by the endpoint's fault. Returns whether the state changed."""
        before = self._mode
        if is_probe:
            signal: Signal = "probe failed"
        else:
            is_last = 0 < self._rules.failures_to_open <= self.failures + 1
            signal = "last straw" if is_last else "failure"
        if TABLE[before, signal] == "open" and before == "half-open":
            self.cool_down_ms = min(2 * self.cool_down_ms, self._rules.cool_down_max_ms)
        if (before == "closed" and not is_probe) or (before == "half-open" and is_probe):
            self.failures += 1
        if not self._turn(signal):
            return False
        self._shut(now_ms + self.cool_down_ms, now_ms, error_class)
        return True

    def hold_off(self, until_ms: int, now_ms: int) -> bool:
        """The endpoint asked, for the whole lane, to be left alone until ``until_ms``; afterwards one probe.

        It holds for at most :data:`HOLD_OFF_MAX_MS` and never shortens what is in force. Returns whether
        the state or ``until_ms`` changed. When the answer of a probe asks for this, this replaces
        :meth:`failed`, which would double the cool-down for a receiver that said when to come.
        """
        until_ms = min(until_ms, now_ms + HOLD_OFF_MAX_MS)
        if until_ms <= now_ms:
            return False
        before_ms = self.until_ms
        has_turned = self._turn("hold off")
        self._shut(max(until_ms, before_ms), now_ms, RETRY_AFTER)
        return has_turned or self.until_ms != before_ms

    def probe_lost(self) -> None:
        """The probe was withdrawn unanswered: the next one that asks is the probe."""
        self._turn("probe lost")

    def reset(self) -> bool:
        """Forget what was learnt. Returns whether the state changed."""
        self.failures = 0
        return self._turn("reset")

    def snapshot(self) -> BreakerSnapshot:
        """What to tell other workers."""
        return BreakerSnapshot(
            state="closed" if self.state == "closed" else "open",
            until_ms=self.until_ms,
            cool_down_ms=self.cool_down_ms,
            failures=self.failures,
            why=self.why,
            opened_ms=self.opened_ms,
        )

    def adopt(self, snapshot: BreakerSnapshot, now_ms: int) -> bool:
        """Judge what another worker learnt. Returns whether the state or ``until_ms`` changed.

        An open one shuts ours until the later of both, unless it is over, or failures shut it and we have
        seen the end of that opening, or of a later one, ourselves. A closed one counts as a success of our
        own, and so does not end a hold-off, if the opening whose end it tells of is not older than ours: a
        worker that was never shut, or only before, has not tried since. Clocks that differ can only cost a
        probe, or the rest of a cool-down.
        """
        if snapshot.state == "closed":
            return self.state != "closed" and snapshot.opened_ms >= self.opened_ms and self.succeeded()
        until_ms = min(snapshot.until_ms, now_ms + HOLD_OFF_MAX_MS)
        is_held_off = snapshot.why == RETRY_AFTER
        is_seen_over = not is_held_off and self.state == "closed" and snapshot.opened_ms <= self.opened_ms
        if until_ms <= now_ms or is_seen_over:
            return False
        before_ms = self.until_ms
        has_turned = self._turn("hold off" if is_held_off else "told open")
        why = RETRY_AFTER if self._mode == "held off" else snapshot.why
        self._shut(max(until_ms, before_ms), max(snapshot.opened_ms, self.opened_ms), why)
        self.failures = max(self.failures, snapshot.failures)
        longer_ms = max(self.cool_down_ms, snapshot.cool_down_ms)
        self.cool_down_ms = min(longer_ms, self._rules.cool_down_max_ms)
        return has_turned or self.until_ms != before_ms

    def is_longer(self, snapshot: BreakerSnapshot, now_ms: int) -> bool:
        """Whether this one is shut, and for longer than ``snapshot`` tells."""
        told_ms = 0 if snapshot.state == "closed" else snapshot.until_ms
        return self.until_ms > max(now_ms, told_ms)

    def _shut(self, until_ms: int, opened_ms: int, why: str) -> None:
        self.until_ms = until_ms
        self.opened_ms = opened_ms
        self.why = why

    def _turn(self, signal: Signal) -> bool:
        """Follow the table; returns whether the state changed. Leaving open ends its cool-down."""
        before = self.state
        self._mode = TABLE[self._mode, signal]
        self.state = "open" if self._mode == "held off" else self._mode
        if self.state == before:
            return False
        if before == "open":
            self.until_ms = 0
        if self.state == "closed":
            self.cool_down_ms = self._rules.cool_down_ms
            self.why = ""
        return True
