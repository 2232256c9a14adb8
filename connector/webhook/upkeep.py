"""Looks after open connections, of either sender: none is older or longer idle than allowed, and each gives
its room back once.

Promises: the room of a connection that carries nothing comes back as soon as it is to close: whoever is told
what came of its last request may need that room before the loop says that it is gone. That of any other comes
back at its end. How connections are kept, found and shared is the pools' matter: this runs when one opens or
ends, never for a request over one that is kept.
"""

from __future__ import annotations

import asyncio
import heapq
from time import monotonic
from typing import Generic, Protocol, TypeVar

from connector.webhook.room import Room

_REAP_EVERY_S = 0.1
_REAPS_PER_ROUND = 10
"""A tenth of the connections is looked at each time: to look at all of ten thousand holds everything up for
20 ms."""


class Connected(Protocol):
    """A connection as it is looked after. Times are on the monotonic clock, ``used_at_s`` of its last use."""

    opened_at_s: float
    used_at_s: float

    @property
    def is_idle(self) -> bool:
        """Whether it is kept and carries nothing."""

    def abort(self) -> None:
        """Close it at once. Nobody is given it any more."""


C = TypeVar("C", bound=Connected)


class Upkeep(Generic[C]):
    """What is open has ``room``; what is closing has given it back, and is there until the loop says that it
    is gone. ``life_ms`` and ``idle_ms`` bound ages, to a second."""

    def __init__(self, room: Room, *, life_ms: int, idle_ms: int) -> None:
        self._room = room
        room.share(self._evict)
        self._life_s = life_ms / 1000
        self._idle_s = idle_ms / 1000
        self._open: set[C] = set()
        self._closing: set[C] = set()
        self._reaper: asyncio.TimerHandle | None = None
        self._round: list[C] = []  # what is still to be looked at before all are looked at again
        self._few = 0  # of them at a time
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self, connection: C) -> None:
        """Look after one that was opened, on room that was taken for it."""
        self._open.add(connection)
        self._empty.clear()
        if self._reaper is None:
            self._schedule_reaper()

    def retire(self, connection: C) -> None:
        """Close one that carries nothing."""
        self.closing(connection)
        connection.abort()

    def closing(self, connection: C) -> None:
        """It carries nothing, and its end is only a matter of time. It may be told twice."""
        if connection in self._open:
            self._open.remove(connection)
            self._closing.add(connection)
            self._room.give_back()

    def gone(self, connection: C) -> None:
        """It is closed."""
        self.closing(connection)
        self._closing.remove(connection)
        if not (self._open or self._closing):
            self._empty.set()

    async def close(self) -> None:
        """Close all; returns when the last is gone."""
        for connection in tuple(self._open):
            connection.abort()
        await self._empty.wait()
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None

    def _idle(self) -> list[C]:
        return [connection for connection in self._open if connection.is_idle]

    def _evict(self) -> bool:
        """Close the longest idle sixteenth to make room for others. They are found by looking at all, which
        so many at a time make cheap."""
        batch = len(self._open) // 16 + 1
        oldest = heapq.nsmallest(batch, self._idle(), key=lambda connection: connection.used_at_s)
        for connection in oldest:
            self.retire(connection)
        return bool(oldest)

    def _reap(self) -> None:
        now_s = monotonic()
        if not self._round:
            self._round = list(self._open)
            self._few = len(self._round) // _REAPS_PER_ROUND + 1
        few = self._round[-self._few :]
        del self._round[-self._few :]
        for connection in few:
            if connection not in self._open or not connection.is_idle:
                continue
            is_old = now_s - connection.opened_at_s >= self._life_s
            if is_old or now_s - connection.used_at_s >= self._idle_s:
                self.retire(connection)
        self._reaper = None
        if self._open:
            self._schedule_reaper()

    def _schedule_reaper(self) -> None:
        self._reaper = asyncio.get_running_loop().call_later(_REAP_EVERY_S, self._reap)
