"""Log ends: since when a record is known to have been in its log, whatever any clock says.

A record below the end that a log had at some moment was there at that moment. So a few ends, remembered with
the time at which each was seen, tell of every record how long it has been there at the least.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Final

SEEN_MAX: Final = 64
"""More than one reads until the first of them is behind: then every second one is forgotten, which only makes
what is known of the others a little less."""


class LogEnds:
    """Of one partition; times are monotonic ms."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque()  # end, when; both ascending

    def __len__(self) -> int:
        return len(self._seen)

    def saw(self, end_offset: int, now_ms: int) -> None:
        """The log ended before ``end_offset`` or later."""
        seen = self._seen
        if not seen or end_offset > seen[-1][0]:
            if len(seen) == SEEN_MAX:
                seen = self._seen = deque(islice(seen, 0, None, 2))
            seen.append((end_offset, now_ms))

    def waited_ms(self, offset: int, now_ms: int) -> int:
        """For how long, at the least, ``offset`` has been in the log. Ask in the order of offsets."""
        seen = self._seen
        while seen and seen[0][0] <= offset:
            seen.popleft()
        return now_ms - seen[0][1] if seen else 0
