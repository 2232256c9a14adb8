"""Reaches a host: its addresses, vetted, and a connection to one of them, TLS included. Trouble becomes a
failure here.

This is the edge at which errors of the system and of OpenSSL are put into our words, once. The deadline is
the caller's: it cancels.
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401  TLS loads it at its first handshake: no descriptor may be left then
import errno
import ssl
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TypeVar

from connector.core.outcome import Failure
from connector.webhook.guard import Address, Guard
from connector.webhook.resolver import LookupFailed, Resolver
from connector.webhook.shortage import SHORTAGES

ADDRESSES_TRIED_MAX = 4
"""Addresses of one name that are tried for one connection."""

P = TypeVar("P", bound=asyncio.Protocol)


async def resolved(resolver: Resolver, host: str, literal: Address | None) -> Sequence[Address] | Failure:
    """The addresses of ``host``, whatever they are, or why there are none."""
    if literal is not None:
        return (literal,)
    try:
        return await resolver.resolve(host)
    except LookupFailed as error:
        return Failure(error.kind, str(error))


async def vetted(
    resolver: Resolver, guard: Guard, host: str, literal: Address | None
) -> Sequence[Address] | Failure:
    """The addresses of ``host`` if ``guard`` lets all of them pass, or why there are none. A ``literal`` was
    judged when its URL was read."""
    addresses = await resolved(resolver, host, literal)
    if literal is None and not isinstance(addresses, Failure) and (why := guard.first_refusal(addresses)):
        return Failure("forbidden", f"{host} resolves to a forbidden address: {why}")
    return addresses


async def dial(
    make: Callable[[], P],
    addresses: Sequence[Address],
    port: int,
    deadline_s: float,
    *,
    tls: ssl.SSLContext | None,
    name: str,
    where: str,
) -> P | Failure:
    """What ``make`` makes for the first address that answers, connected, or why none does; over TLS, if there
    is a context, with the receiver that has this ``name``. ``where`` names it in a failure.

    Addresses are tried in order; all but the last get an even share of the time that is left, so that a
    silent one leaves some for the next.
    """
    addresses = addresses[:ADDRESSES_TRIED_MAX]
    errors: list[tuple[OSError, Address]] = []
    for left in range(len(addresses), 0, -1):
        address = addresses[-left]
        try:
            async with asyncio.timeout((deadline_s - monotonic()) / left if left > 1 else None):
                _, connected = await asyncio.get_running_loop().create_connection(
                    make, str(address), port, ssl=tls, server_hostname=name if tls is not None else None
                )
            return connected
        except OSError as error:  # TimeoutError and ssl.SSLError among them
            errors.append((error, address))
    return failure_at(errors, where)


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
