"""Throughput: how many attempts a lane makes in a second while it has enough to do.

It decides for how long the lane's backlog waits elsewhere. A number that is too low is dear: the lane idles
until the tiers that were chosen by it are over. One that is too high costs a hop. So there is none before the
lane has shown what it makes: not while its limit still doubles with each round trip, and not by few attempts.
The time in which it had nothing to do is not counted.
"""

from __future__ import annotations

from typing import Final

from connector.core.limiter import TokenBucket
from connector.core.rate import Rate

MEASURE_MS: Final = 5_000
"""For so long a lane that has enough to do is watched at a time."""
GLIMPSE_MS: Final = 1_000
"""The first time, what it made until then counts after so long."""
ATTEMPTS_MIN: Final = 5
"""One that has made fewer is watched for longer: one more or less would be a large part of what is found."""
MEASURE_MAX_MS: Final = 60_000
"""But no longer than that."""


class Throughput:
    """Of one lane; all times are monotonic ms. Have it look at least every second while something waits: what
    happens between two looks counts if the lane was busy all the time. Such times are added up.
    """

    __slots__ = ("_attempts", "_busy_ms", "_busy_since_ms", "_made", "_measured_per_s", "_seen_ms")

    def __init__(self) -> None:
        self._measured_per_s: float | None = None
        self._busy_ms = 0  # of the measurement under way
        self._made = 0  # attempts in that time
        self._seen_ms = 0  # when it last looked, and what it saw
        self._attempts = 0
        self._busy_since_ms = 0

    def look(self, *, attempts: int, busy_since_ms: int, is_learning: bool, now_ms: int) -> None:
        """So many ``attempts`` the lane has begun in all, and since then something has waited without a break
        (0: nothing does). While it *is learning*, its limit holds it back and is still growing fast."""
        if is_learning:
            self._measured_per_s = None
            self._busy_ms = self._made = 0
        elif busy_since_ms and busy_since_ms == self._busy_since_ms:
            self._busy_ms += now_ms - self._seen_ms
            self._made += attempts - self._attempts
            if self._has_seen(MEASURE_MS):
                self._measured_per_s = self._made * 1_000 / self._busy_ms
                self._busy_ms = self._made = 0
        self._busy_since_ms, self._seen_ms, self._attempts = busy_since_ms, now_ms, attempts

    @property
    def per_s(self) -> float | None:
        """What it made lately; ``None``: that cannot be told yet."""
        if self._measured_per_s is None and self._has_seen(GLIMPSE_MS):
            return self._made * 1_000 / self._busy_ms
        return self._measured_per_s

    def expected_per_s(self, rate: Rate, bucket: TokenBucket | None, now_ms: int) -> float | None:
        """What it will make from now on, with attempts that end at this ``rate`` and starts that ``bucket``
        limits; 0.0 when nothing moves, ``None`` when it cannot be told yet."""
        per_s = self.per_s
        if bucket is not None:
            # Where the limit holds it back it makes just that, also when an attempt is too rare to measure.
            return min(per_s, bucket.per_s) if per_s and bucket.has_token(now_ms) else bucket.per_s
        if per_s is None and not rate.per_s(now_ms):
            return 0.0
        return per_s

    def _has_seen(self, enough_ms: int) -> bool:
        return self._busy_ms >= (enough_ms if self._made >= ATTEMPTS_MIN else MEASURE_MAX_MS)
