"""How many connections to receivers this process may have open, whichever sender opened them.

What is under way is bounded elsewhere, over both senders; so a connection that is needed may always take the
place of an idle one, and it does not matter which sender keeps that.
"""

from __future__ import annotations

import resource
from collections.abc import Callable

CONNECTIONS_MAX = 10_000
"""Unless more may be under way at once: as many endpoints keep a connection between two deliveries."""

_FILE_LIMIT_SHARE = 0.8


class Room:
    """``connections_max`` is in all, and is cut to 80 % of the process's soft limit of open files. ``taken``
    never exceeds it."""

    def __init__(self, connections_max: int = CONNECTIONS_MAX) -> None:
        file_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if file_limit != resource.RLIM_INFINITY:
            connections_max = min(connections_max, int(file_limit * _FILE_LIMIT_SHARE))
        self.connections_max = connections_max
        self.taken = 0
        self._evictors: list[Callable[[], bool]] = []

    def share(self, evict: Callable[[], bool]) -> None:
        """Join those who have connections. ``evict`` closes some that are idle, gives back their room at
        once, and says whether there were any."""
        self._evictors.append(evict)

    def take(self) -> bool:
        """Room for one more connection, if need be that of an idle one; ``False`` if there is none."""
        if self.taken >= self.connections_max and not any(evict() for evict in self._evictors):
            return False
        self.taken += 1
        return True

    def give_back(self) -> None:
        """A connection is closed, or was never opened. Once for each :meth:`take`."""
        self.taken -= 1
