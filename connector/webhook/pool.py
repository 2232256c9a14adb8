"""Open connections, by origin, within limits.

Promises: taking and giving back an idle connection is O(1) whatever the number of origins; never more
connections than the limits. None is older or longer idle than allowed, which
:mod:`connector.webhook.upkeep` sees to. Opening them, and what is sent over them, is the sender's.
"""

from __future__ import annotations

import ssl
from weakref import WeakValueDictionary

from connector.core.subscription import TlsIdentity
from connector.webhook.connection import Connection
from connector.webhook.origin import Origin
from connector.webhook.room import Room
from connector.webhook.target import Scheme, Target
from connector.webhook.upkeep import Upkeep

_Key = tuple[Scheme, str, int, TlsIdentity | None]


class Pool:
    """``room`` bounds connections in all, ``connections_per_origin_max`` those towards one origin."""

    def __init__(
        self, room: Room, *, connections_per_origin_max: int, connection_life_ms: int, idle_ms: int
    ) -> None:
        self._room = room
        self._upkeep: Upkeep[Connection] = Upkeep(room, life_ms=connection_life_ms, idle_ms=idle_ms)
        self._per_origin_max = connections_per_origin_max
        self._life_s = connection_life_ms / 1000
        # An origin lives as long as an endpoint or a connection, open or being opened, leads to it.
        self._origins: WeakValueDictionary[_Key, Origin[Connection]] = WeakValueDictionary()

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
        return True

    def release(self, origin: Origin[Connection]) -> None:
        """Give back a claim on which no connection was opened."""
        self._room.give_back()
        origin.claimed -= 1

    def add(self, connection: Connection) -> None:
        """Look after a connection that was opened on a claim."""
        self._upkeep.add(connection)

    def closing(self, connection: Connection) -> None:
        """Give back the room of a connection that is being closed and carries nothing."""
        self._upkeep.closing(connection)

    def remove(self, connection: Connection) -> None:
        """Forget a closed connection and release its claim."""
        self._upkeep.gone(connection)
        connection.origin.claimed -= 1

    async def close(self) -> None:
        """Close all connections; returns when the last is gone."""
        await self._upkeep.close()
