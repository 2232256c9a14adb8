"""How often something has happened lately, per second.

It is counted in windows of a second: long enough to be steady, short enough to notice a stop. What is told is
the last whole window or the one under way, whichever saw more, so that a burst counts at once and a pause of
less than a window costs nothing.
"""

from __future__ import annotations

from typing import Final

WINDOW_MS: Final = 1_000

_LEAST_MS: Final = 50
"""One event at the beginning of a window is no thousand a second."""


class Rate:
    """All times are monotonic ms. ``count`` is of the window that began at ``since_ms``: whoever counts adds
    to it, after :meth:`roll` where a window may be over."""

    __slots__ = ("_last_per_s", "count", "since_ms")

    def __init__(self) -> None:
        self.count = 0
        self.since_ms = 0
        self._last_per_s = 0.0

    def roll(self, now_ms: int) -> None:
        """Begin another window if this one is over."""
        elapsed_ms = now_ms - self.since_ms
        if elapsed_ms >= WINDOW_MS:
            # More than one window without a call: nothing happened in the last whole one.
            self._last_per_s = self.count * 1_000 / elapsed_ms if elapsed_ms < 2 * WINDOW_MS else 0.0
            self.count = 0
            self.since_ms = now_ms

    def per_s(self, now_ms: int) -> float:
        """How often; 0.0 when it did not happen at all."""
        self.roll(now_ms)
        elapsed_ms = max(now_ms - self.since_ms, _LEAST_MS)
        return max(self._last_per_s, self.count * 1_000 / elapsed_ms)
