"""How many POSTs may be under way to one endpoint: learnt from its answers, never told.

An endpoint's room is not known and changes, so the limit creeps up while all is well and drops at the
first sign that it is not (additive increase, multiplicative decrease). Signs are failures, and successes
much slower than the endpoint's own *baseline*: the lowest latency seen, which drifts upwards, so that
what lasts becomes the new normal within minutes.

::

    limit
      8 ┤        ╭╮ slow: × 0.8
        │       ╭╯╰╮    ╭──╮ failed: ÷ 2
      4 ┤     ╭─╯  ╰────╯  │
        │   ╭─╯            ╰─╮     ╭──
      1 ┤ ──╯                ╰─────╯
          +1 per success     +1 per limit successes, after the first cut

It runs once for every delivery, so it counts in whole numbers and allocates nothing. What an answer is, and
that failures of our own are kept from it, is the caller's.
"""

from __future__ import annotations

from typing import Final

START: Final = 2
"""Low, because most endpoints are small; a fast one is at a hundred after seven round trips."""

SLOW_TIMES: Final = 4
SLOW_MS: Final = 250
"""A success is slow that took over four times the baseline, and over 250 ms more than it. Below that,
a garbage collection or a lost packet would cut the limit of every endpoint that answers in a millisecond."""

_DRIFT_EVERY_MS: Final = 1_000
_DRIFT_STEPS_MAX: Final = 60  # after a long silence: a minute's worth, corrected by the first fast answer
_UNSEEN_MS: Final = 1 << 40  # more than any latency


class Pace:
    """The limit of one lane. All times are of one clock, in ms; a monotonic one is meant.

    ``limit`` is how many POSTs may be under way now: 1 up to the configured maximum. There is at most one
    cut per round trip: an attempt begun before the last cut tells what that cut already answered. A success
    that took longer than ``slow_ms`` is slow; until there was one, nothing is.
    """

    __slots__ = (
        "_baseline_ms", "_credit", "_cut_ms", "_drifted_ms", "_is_growing_fast", "_max", "limit", "slow_ms",
    )  # fmt: skip

    def __init__(self, max_: int, *, start: int = START) -> None:
        assert max_ >= 1, "a lane without a place would never be tried again"
        assert start >= 1, "a lane without a place would never be tried again"
        self.limit = min(start, max_)
        self._max = max_
        self._is_growing_fast = True
        self._credit = 0  # successes at a full lane since the limit last moved
        self._cut_ms = -1
        self._baseline_ms = _UNSEEN_MS
        self.slow_ms = _UNSEEN_MS
        self._drifted_ms = 0

    @property
    def is_learning(self) -> bool:
        """Whether the limit doubles with each round trip of a lane that uses it up."""
        return self._is_growing_fast and self.limit < self._max

    def succeeded(self, latency_ms: int, started_ms: int, now_ms: int, *, is_full: bool) -> None:
        """An attempt succeeded. ``is_full`` says that the lane used all of its limit; a limit that nobody
        uses up is proved by nothing and does not grow."""
        if now_ms - self._drifted_ms >= _DRIFT_EVERY_MS:
            self._drift(now_ms)
        if latency_ms < self._baseline_ms:
            self._set_baseline(latency_ms)
        elif latency_ms > self.slow_ms:
            self._cut(self.limit * 4 // 5, started_ms, now_ms)
            return
        if is_full and self.limit < self._max:
            self._credit += 1
            if self._is_growing_fast or self._credit >= self.limit:
                self.limit += 1
                self._credit = 0

    def failed(self, started_ms: int, now_ms: int) -> None:
        """An attempt failed by the endpoint's fault."""
        self._cut(self.limit // 2, started_ms, now_ms)

    def rebound(self, max_: int) -> None:
        """The configured maximum is another; what was learnt below it stays."""
        assert max_ >= 1, "a lane without a place would never be tried again"
        self._max = max_
        self.limit = min(self.limit, max_)

    def restart(self) -> None:
        """The endpoint is back after it was shut out: one at a time, growing fast again."""
        self.limit = 1
        self._credit = 0
        self._is_growing_fast = True

    def _cut(self, limit: int, started_ms: int, now_ms: int) -> None:
        # Equal: failures that take no time at all are all begun in the millisecond of the first cut.
        if started_ms <= self._cut_ms:
            return
        self._cut_ms = now_ms
        self.limit = max(limit, 1)
        self._credit = 0
        self._is_growing_fast = False

    def _drift(self, now_ms: int) -> None:
        """A sixty-fourth and 1 ms each second: fourfold in one to two minutes."""
        steps = min((now_ms - self._drifted_ms) // _DRIFT_EVERY_MS, _DRIFT_STEPS_MAX)
        self._drifted_ms = now_ms
        self._set_baseline(self._baseline_ms + steps * (self._baseline_ms // 64 + 1))

    def _set_baseline(self, baseline_ms: int) -> None:
        self._baseline_ms = baseline_ms
        self.slow_ms = max(SLOW_TIMES * baseline_ms, baseline_ms + SLOW_MS)
