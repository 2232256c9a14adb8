"""Opens one connection of the fast sender, to an address that the guard lets pass."""

from __future__ import annotations

from connector.core.outcome import Failure
from connector.webhook.connection import Connection, ConnectionOwner
from connector.webhook.dial import dial, vetted
from connector.webhook.guard import Guard
from connector.webhook.origin import Origin
from connector.webhook.resolver import Resolver


class Opener:
    """Opens connections under one guard."""

    def __init__(self, resolver: Resolver, guard: Guard) -> None:
        self._resolver = resolver
        self._guard = guard

    async def open(
        self, origin: Origin[Connection], owner: ConnectionOwner, deadline_s: float
    ) -> Connection | Failure:
        """A connection to a vetted address of ``origin``, or why there is none. The deadline is the caller's:
        it cancels."""
        addresses = await vetted(self._resolver, self._guard, origin.host, origin.literal)
        if isinstance(addresses, Failure):
            return addresses
        return await dial(
            lambda: Connection(origin, owner),
            addresses,
            origin.port,
            deadline_s,
            tls=origin.tls,
            name=origin.host,
            where=str(origin),
        )
