"""Opens one connection: resolve, vet every address, connect, TLS. Trouble becomes a failure here.

This is the edge at which errors of the system and of OpenSSL are put into our words, once. The
deadline is the caller's: it cancels.
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401  TLS loads it at its first handshake: no descriptor may be left then
import errno
import ssl
from collections.abc import Sequence
from time import monotonic

from connector.core.outcome import Failure
from connector.webhook.connection import Connection, ConnectionOwner
from connector.webhook.guard import Address, Guard
from connector.webhook.origin import Origin
from connector.webhook.resolver import LookupFailed, Resolver
from connector.webhook.shortage import SHORTAGES

ADDRESSES_TRIED_MAX = 4
"""Addresses of one name that are tried for one connection."""


class Opener:
    """Opens connections under one guard."""

    def __init__(self, resolver: Resolver, guard: Guard) -> None:
        self._resolver = resolver
        self._guard = guard

    async def open(
        self, origin: Origin[Connection], owner: ConnectionOwner, deadline_s: float
    ) -> Connection | Failure:
        """A connection to a vetted address of ``origin``, or why there is none.

        Addresses are tried in order; all but the last get an even share of the time that is left, so
        that a silent one leaves some for the next.
        """
        addresses = await self._vetted(origin)
        if isinstance(addresses, Failure):
            return addresses
        addresses = addresses[:ADDRESSES_TRIED_MAX]
        errors: list[tuple[OSError, Address]] = []
        for left in range(len(addresses), 0, -1):
            address = addresses[-left]
            limit_s = (deadline_s - monotonic()) / left if left > 1 else None
            try:
                return await self._connect(origin, owner, address, limit_s)
            except OSError as error:  # TimeoutError and ssl.SSLError among them
                errors.append((error, address))
        return failure_at(errors, str(origin))

    async def _vetted(self, origin: Origin[Connection]) -> Sequence[Address] | Failure:
        if origin.literal is not None:
            return (origin.literal,)
        try:
            addresses = await self._resolver.resolve(origin.host)
        except LookupFailed as error:
            return Failure(error.kind, str(error))
        if why := self._guard.first_refusal(addresses):
            return Failure("forbidden", f"{origin.host} resolves to a forbidden address: {why}")
        return addresses

    async def _connect(
        self, origin: Origin[Connection], owner: ConnectionOwner, address: Address, limit_s: float | None
    ) -> Connection:
        connection = Connection(origin, owner)
        async with asyncio.timeout(limit_s):
            await asyncio.get_running_loop().create_connection(
                lambda: connection,
                str(address),
                origin.port,
                ssl=origin.tls,
                server_hostname=origin.host if origin.tls is not None else None,
            )
        return connection


def failure_at(errors: Sequence[tuple[OSError, Address]], where: str) -> Failure:
    """The failure to connect to any of the addresses of ``where``, of which at least one was tried: what the
    one says that tells most."""
    error, address = min(errors, key=lambda each: _vagueness(each[0]))
    return failure_of(error, f"{where} at {address}")


def _vagueness(error: OSError) -> int:
    """A family of addresses that this machine does not speak says nothing about the receiver. It looks like a
    lack of ports or of a network; and where something is lacking, the receiver was not really tried."""
    match error.errno:
        case errno.ENETUNREACH | errno.EAFNOSUPPORT:
            return 3
        case errno.EADDRNOTAVAIL:
            return 2
        case number:
            return 0 if number in SHORTAGES else 1


def failure_of(error: OSError, where: str) -> Failure:
    """The failure to connect that ``error`` means. ``where`` names the receiver."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure("tls", f"the certificate of {where} is not accepted: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return Failure("tls", f"no TLS with {where}: {error.reason or error}")
    if error.errno in SHORTAGES:
        return Failure("resources", f"no connection to {where}: {error.strerror}")
    if isinstance(error, TimeoutError):
        return Failure("connect", f"{where} does not answer")
    return Failure("connect", f"no connection to {where}: {error.strerror or str(error) or 'reset'}")
