"""Returns: what a lane has sent to the tiers for want of room, and where one more is to wait.

A lane's backlog lies in tiers, and each hands back everything at once when it is due. In too short a tier a
letter comes back in vain and is written again; in too long a one it is missing while the lane idles. So each
takes the longest tier from which it is back before the lane *runs dry*: has made all that waits there, and
all that comes back until then.

::

    pace 10 a second, tiers of 5 s, 30 s and 2 min     a backlog of 2,000

    waiting 100 ─┬─ in 5 s: 215 ─┬── in 30 s: 945 ──┬── in 2 min: the rest
            dry in 10 s       in 31 s            in 126 s

What is remembered are times, not letters: a letter that another worker reads, or that was written before a
restart, only makes the picture less exact. Then some are written once more, or the lane idles for a tier.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from typing import Final

from connector.core.ladder import tolerance_ms

TIER_MAX_MS: Final = 30 * 60_000
"""Nothing waits for room in a longer tier: an endpoint that becomes faster meanwhile would not notice."""
STEPS_PER_TIER: Final = 32
"""Times are kept to so small a part of the tier, rounded down: what is coming back just now is not to be
counted as still to come."""
FRESH_MS: Final = 250
"""So long what was found holds, but for what is added."""
_NEVER_MS: Final = 1 << 62


class Returns:
    """Of one lane; all times are monotonic ms. It holds at most so many counts per tier as there are steps,
    and one."""

    __slots__ = ("_dry_ms", "_due", "_found_ms", "_next_ms")

    def __init__(self) -> None:
        self._due: dict[int, deque[list[int]]] = {}  # by tier: when how many come back, sorted
        self._found_ms = -_NEVER_MS
        self._dry_ms = 0.0
        self._next_ms = _NEVER_MS  # when the first come back that are too late for that

    def take_tier(self, tiers: Sequence[int], *, waiting: int, per_s: float, now_ms: int) -> int:
        """The tier (sorted, at least one) for one more, which is counted, of a lane where so many are
        ``waiting`` and ``per_s`` can be made."""
        if now_ms - self._found_ms >= FRESH_MS or self._dry_ms >= self._next_ms:
            self._find(waiting, per_s, now_ms)
        dry_in_ms = min(self._dry_ms - now_ms, TIER_MAX_MS * 1.05)
        chosen_ms = tiers[0]
        for tier_ms in tiers:
            if tier_ms + tolerance_ms(tier_ms) > dry_in_ms:
                break
            chosen_ms = tier_ms
        self._dry_ms += 1_000 / per_s
        return self.add(chosen_ms, now_ms)

    def add(self, tier_ms: int, now_ms: int) -> int:
        """One more is to wait in this tier, which is returned."""
        step_ms = max(tier_ms // STEPS_PER_TIER, 1)
        due_ms = (now_ms + tier_ms) // step_ms * step_ms
        due = self._due.setdefault(tier_ms, deque())
        while due and due[0][0] <= now_ms:
            due.popleft()
        if due and due[-1][0] == due_ms:
            due[-1][1] += 1
        else:
            due.append([due_ms, 1])
        return tier_ms

    def are_over(self, now_ms: int) -> bool:
        """Whether all of it is back."""
        for tier_ms, due in list(self._due.items()):
            while due and due[0][0] <= now_ms:
                due.popleft()
            if not due:
                del self._due[tier_ms]
        return not self._due

    @property
    def counts(self) -> int:
        """How many it keeps."""
        return sum(len(due) for due in self._due.values())

    def _find(self, waiting: int, per_s: float, now_ms: int) -> None:
        """When it runs dry."""
        self._found_ms = now_ms
        dry_ms = now_ms + waiting * 1_000 / per_s
        for due_ms, count in heapq.merge(*self._due.values()):
            if due_ms > dry_ms:
                self._next_ms = due_ms
                break
            if due_ms > now_ms:
                dry_ms += count * 1_000 / per_s
        else:
            self._next_ms = _NEVER_MS
        self._dry_ms = dry_ms
