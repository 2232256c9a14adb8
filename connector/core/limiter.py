"""How many POSTs may start per second: a token bucket, and its share of a group's.

It promises an upper bound: in any time ``t`` no more than ``rate × t + burst`` starts. A burst of a tenth
of a second keeps every second within 10 % of the rate and one start; shares of it add up to no more than
the whole, but for the one start that each worker has at least. Who has which share is the caller's.

The bucket is kept as one number: when it would be full again. Nothing has to be filled up as time passes.
"""

from __future__ import annotations

from math import ceil
from typing import Final

_NEVER_MS: Final = float(1 << 50)
"""Later than any clock: a closed bucket is never full."""


class TokenBucket:
    """Tokens for one subscription, in one process. All times are monotonic ms.

    ``burst`` is how many tokens it holds at most, by default a tenth of a second's worth; where that is
    less than one it holds one.
    """

    __slots__ = ("_burst", "_burst_whole", "_full_at_ms", "_interval_ms", "_rate_per_s", "_slack_ms")

    def __init__(self, rate_per_s: float, *, burst: float | None = None) -> None:
        assert rate_per_s > 0, "a rate of nothing would wait for ever"
        self._rate_per_s = rate_per_s
        self._burst_whole = rate_per_s / 10 if burst is None else burst
        self._full_at_ms = 0.0  # full at the start: the first delivery does not wait
        self._set(1.0)

    @property
    def per_s(self) -> float:
        """Its share of the rate; 0.0 while it is closed."""
        return 0.0 if self._full_at_ms == _NEVER_MS else 1_000 / self._interval_ms

    def has_token(self, now_ms: int) -> bool:
        """Whether :meth:`take` would take one."""
        return self._full_at_ms - self._slack_ms <= now_ms

    def take(self, now_ms: int) -> int:
        """Take a token: 0. Without one: in how many ms to ask again, at least 1."""
        full_at_ms = self._full_at_ms
        if full_at_ms <= now_ms:
            self._full_at_ms = now_ms + self._interval_ms
            return 0
        missing_ms = full_at_ms - self._slack_ms - now_ms
        if missing_ms <= 0:
            self._full_at_ms = full_at_ms + self._interval_ms
            return 0
        return ceil(missing_ms)

    def share(self, fraction: float, now_ms: int) -> None:
        """From now on this is ``fraction`` (0 to 1) of the whole rate and burst.

        Tokens it holds stay, up to the new burst; none are given. A share of 0 closes it: there is no token
        until the next share, and none is there at once then.
        """
        assert 0 <= fraction <= 1, "a share is a part of the whole"
        if not fraction:
            self._full_at_ms = _NEVER_MS
            return
        missing = max(0.0, self._full_at_ms - now_ms) / self._interval_ms
        tokens = max(0.0, self._burst - missing)
        self._set(fraction)
        self._full_at_ms = now_ms + (self._burst - min(tokens, self._burst)) * self._interval_ms

    def _set(self, fraction: float) -> None:
        self._interval_ms = 1_000 / (self._rate_per_s * fraction)
        self._burst = max(1.0, self._burst_whole * fraction)
        self._slack_ms = (self._burst - 1) * self._interval_ms
