"""Opens one link: an address that the guard lets pass or a proxy's tunnel, then TLS. Trouble becomes a
failure here.

Without a proxy we resolve, so the guard judges every address and the vetted one is connected to, with the
name kept for TLS and ``Host``. With a proxy the proxy resolves, and the guard for names is its own; what
goes wrong up to the open tunnel is judged in :mod:`connector.webhook.proxy`. The deadline is the caller's:
it cancels.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import replace
from time import monotonic
from typing import Literal, Protocol

from connector.core.outcome import Failure
from connector.webhook.dial import dial, failure_of, resolved, vetted
from connector.webhook.guard import Guard
from connector.webhook.link import Link
from connector.webhook.place import Place, Proxy
from connector.webhook.proxy import connect_request, tunnel_failure
from connector.webhook.resolver import Resolver
from connector.webhook.target import Target
from connector.webhook.wire import Wire

TUNNEL_HEAD_BYTES_MAX = 16 * 1024
"""The longest answer to CONNECT. Proxies send below 1 KiB."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: .*)?")

Stage = Literal["queue", "proxy", "tunnel", "connect", "carried"]
"""How far a request has got: waiting for a link; connecting to the proxy, asking it for a tunnel, connecting
to the receiver; on a link."""


class Opening(Protocol):
    """Whoever wants a link, told how far it has got: what its deadline means depends on that."""

    deadline_s: float

    def reached(self, stage: Stage) -> None: ...


class LinkOpener:
    """Opens links under one guard."""

    def __init__(self, resolver: Resolver, guard: Guard) -> None:
        self._resolver = resolver
        self._guard = guard

    async def open(self, place: Place, opening: Opening) -> Link | Failure:
        """A link to ``place``, or why there is none."""
        if place.proxy is None:
            opening.reached("connect")
            wire = await self._directly(place, opening.deadline_s)
        else:
            wire = await self._through(place.proxy, place, opening)
        if isinstance(wire, Failure):
            return wire
        # Without TLS, or from a server that does not negotiate, this is None: HTTP/1.1.
        link = Link(place, wire, is_http2=wire.negotiated == "h2")
        return await link.begin() or link

    async def _directly(self, place: Place, deadline_s: float) -> Wire | Failure:
        addresses = await vetted(self._resolver, self._guard, place.host, place.literal)
        if isinstance(addresses, Failure):
            return addresses
        return await dial(
            Wire, addresses, place.port, deadline_s, tls=place.tls, name=place.host, where=str(place)
        )

    async def _through(self, proxy: Proxy, place: Place, opening: Opening) -> Wire | Failure:
        opening.reached("proxy")
        wire = await self._to_proxy(proxy.target, opening.deadline_s)
        if isinstance(wire, Failure) or place.tls is None:
            return wire
        opening.reached("tunnel")
        try:
            failure = await _tunnel(wire, proxy, place)
            if failure is None:
                opening.reached("connect")
                failure = await _wrap(wire, place.tls, place)
        except BaseException:
            wire.abort()
            raise
        if failure is None:
            return wire
        wire.abort()
        return failure

    async def _to_proxy(self, target: Target, deadline_s: float) -> Wire | Failure:
        addresses = await resolved(self._resolver, target.host, target.literal)
        where = f"the proxy {target.authority}"
        if isinstance(addresses, Failure):
            failure = replace(addresses, detail=f"{where}: {addresses.detail}")
        else:
            dialled = await dial(
                Wire, addresses, target.port, deadline_s, tls=None, name=target.host, where=where
            )
            if isinstance(dialled, Wire):
                return dialled
            failure = dialled
        return failure if failure.kind == "resources" else replace(failure, kind="proxy")


async def _tunnel(wire: Wire, proxy: Proxy, place: Place) -> Failure | None:
    host = f"[{place.host}]" if ":" in place.host else place.host
    head = await wire.ask(connect_request(host, place.port), head_bytes_max=TUNNEL_HEAD_BYTES_MAX)
    line, *lines = head.split(b"\r\n")
    status = _STATUS_LINE.fullmatch(line)
    if status is None:
        # Many hang up where others say that it is the receiver who cannot be reached.
        what = f"the proxy {proxy.name} gives no answer of HTTP/1.1 to CONNECT"
        return Failure("proxy", what, is_doubtful=True)
    proxy.answered_at_s = monotonic()
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (each.partition(b":") for each in lines)
    }
    return tunnel_failure(int(status[1]), headers, proxy=proxy.name, where=f"{host}:{place.port}")


async def _wrap(wire: Wire, tls: ssl.SSLContext, place: Place) -> Failure | None:
    """TLS with the receiver, through the tunnel."""
    if wire.has_ended:
        return Failure("connect", f"no connection to {place}: the tunnel closed at once")
    try:
        transport = await asyncio.get_running_loop().start_tls(
            wire.transport, wire, tls, server_hostname=place.host
        )
    except OSError as error:
        return failure_of(error, str(place))
    if transport is None:
        return Failure("connect", f"no connection to {place}: the tunnel closed at once")
    wire.take_over(transport)
    return None
