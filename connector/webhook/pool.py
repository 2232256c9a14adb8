"""Open connections, by origin, within limits.

Promises: taking and giving back an idle connection is O(1) whatever the number of origins; never more
connections than the limits; none older or longer idle than allowed. Opening them, and what is sent
over them, is the sender's.
"""

from __future__ import annotations

import asyncio
import heapq
import ssl
from collections.abc import Iterator
from time import monotonic
from weakref import WeakValueDictionary

from connector.core.subscription import TlsIdentity
from connector.webhook.connection import Connection
from connector.webhook.origin import Origin
from connector.webhook.room import Room
from connector.webhook.target import Scheme, Target

_REAP_EVERY_S = 1.0


_Key = tuple[Scheme, str, int, TlsIdentity | None]


class Pool:
    """``room`` bounds connections in all, ``connections_per_origin_max`` those towards one origin."""

    def __init__(
        self, room: Room, *, connections_per_origin_max: int, connection_life_ms: int, idle_ms: int
    ) -> None:
        self._room = room
        room.share(self._evict)
        self._per_origin_max = connections_per_origin_max
        self._life_s = connection_life_ms / 1000
        self._idle_s = idle_ms / 1000
        # An origin lives as long as an endpoint or a connection, open or being opened, leads to it.
        self._origins: WeakValueDictionary[_Key, Origin[Connection]] = WeakValueDictionary()
        self._connections: set[Connection] = set()
        # Their room is given back, but they are open until the loop says that they are gone.
        self._closing: set[Connection] = set()
        self._claimed = 0
        self._reaper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    def origin(
        self, target: Target, identity: TlsIdentity | None, tls: ssl.SSLContext | None
    ) -> Origin[Connection]:
        """The origin of a target, shared by all endpoints there of one identity, whose context ``tls`` is."""
        key = (target.scheme, target.host, target.port, identity)
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = Origin(target, tls)
        return origin

    def take(self, origin: Origin[Connection], now_s: float) -> Connection | None:
        """An idle connection, the last used first so that the others age and are closed."""
        while origin.idle:
            connection, _ = origin.idle.popitem()
            if now_s - connection.opened_at_s < self._life_s:
                return connection
            connection.abort()
        return None

    def claim(self, origin: Origin[Connection]) -> bool:
        """Reserve room for one more connection; ``False`` at a limit. Each claim is released once."""
        if origin.claimed >= self._per_origin_max or not self._room.take():
            return False
        origin.claimed += 1
        self._claimed += 1
        self._empty.clear()
        return True

    def release(self, origin: Origin[Connection]) -> None:
        """Give back a claim: its connection is closed, or was never opened."""
        self._room.give_back()
        self._unclaim(origin)

    def add(self, connection: Connection) -> None:
        """Look after a connection that was opened on a claim."""
        self._connections.add(connection)
        if self._reaper is None:
            self._schedule_reaper()

    def closing(self, connection: Connection) -> None:
        """Give back the room of a connection that is being closed and carries nothing. Whoever is told what
        came of its last request may need that room before the loop says that it is gone."""
        if connection not in self._closing:
            self._closing.add(connection)
            self._room.give_back()

    def remove(self, connection: Connection) -> None:
        """Forget a closed connection and release its claim."""
        self._connections.discard(connection)
        if connection in self._closing:
            self._closing.remove(connection)
            self._unclaim(connection.origin)
        else:
            self.release(connection.origin)

    async def close(self) -> None:
        """Close all connections; returns when the last is gone."""
        for connection in tuple(self._connections):
            connection.abort()
        await self._empty.wait()
        if self._reaper is not None:
            self._reaper.cancel()

    def _unclaim(self, origin: Origin[Connection]) -> None:
        origin.claimed -= 1
        self._claimed -= 1
        if not self._claimed:
            self._empty.set()

    def _idle(self) -> Iterator[Connection]:
        return (connection for connection in self._connections if connection in connection.origin.idle)

    def _evict(self) -> bool:
        """Close the longest idle sixteenth to make room for another origin. They are found by looking
        at all, which so many at a time make cheap."""
        batch = len(self._connections) // 16 + 1
        oldest = heapq.nsmallest(batch, self._idle(), key=lambda connection: connection.used_at_s)
        for connection in oldest:
            self._retire(connection)
        return bool(oldest)

    def _reap(self) -> None:
        now_s = monotonic()
        for connection in list(self._idle()):
            if now_s - connection.used_at_s >= self._idle_s or now_s - connection.opened_at_s >= self._life_s:
                self._retire(connection)
        self._reaper = None
        if self._connections:
            self._schedule_reaper()

    def _schedule_reaper(self) -> None:
        self._reaper = asyncio.get_running_loop().call_later(_REAP_EVERY_S, self._reap)

    def _retire(self, connection: Connection) -> None:
        del connection.origin.idle[connection]
        connection.abort()
