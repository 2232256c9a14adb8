"""The second sender: for subscriptions whose POSTs leave through an egress proxy, or over HTTP/2.

It is built on httpcore, the half of httpx that speaks to the wire. The other half adds what a webhook
must not have: redirects, cookies, decompression, headers of its own, proxies from the environment. It
costs a task and many awaits per POST, some twenty times what the fast sender takes, and is chosen per
subscription for what it can do.

Failures and replies mean the same as the fast sender's. In addition there is the failure ``proxy``: what
is the proxy's fault, or may be: a proxy that is silent when asked for a tunnel waits for the receiver or
is dead. It is the receiver if the proxy has answered somebody else meanwhile, and else in doubt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, cast
from weakref import WeakValueDictionary

import httpcore

from connector.core.outcome import Failure, Reply
from connector.core.subscription import DIRECT, Egress, TlsIdentity
from connector.engine.ports import Endpoint
from connector.webhook.deadlines import Deadlines
from connector.webhook.ending import came_of
from connector.webhook.guard import Guard
from connector.webhook.head import request_head
from connector.webhook.link import Link, Unprocessed
from connector.webhook.link_opener import LinkOpener, Stage
from connector.webhook.link_pool import LinkPool
from connector.webhook.place import Place, Proxy
from connector.webhook.proxy import parse_proxy
from connector.webhook.resolver import AresLookup, Lookup, Resolver
from connector.webhook.room import Room
from connector.webhook.target import Target, parse_target
from connector.webhook.tls import TlsContexts

_Header = tuple[bytes, bytes]


class EgressEndpoint:
    """An endpoint of :class:`EgressSender`: where to, by which way, and the headers that stay."""

    __slots__ = ("headers", "origin", "place", "request_url", "url", "way")

    def __init__(
        self,
        url: str,
        target: Target,
        origin: Place,
        request_url: httpcore.URL,
        headers: Sequence[_Header],
    ) -> None:
        self.url = url
        self.place = target.place
        self.way = origin.proxy.name if origin.proxy is not None else ""
        self.origin = origin
        self.request_url = request_url
        self.headers = headers


class _Errand:
    """One POST under way, and how far it has got."""

    __slots__ = (
        "body_bytes", "context", "deadline_s", "done", "is_settled", "link", "place", "request", "slot",
        "stage", "stage_since_s", "task",
    )  # fmt: skip

    def __init__(
        self,
        place: Place,
        request: httpcore.Request,
        body_bytes: int,
        deadline_s: float,
        context: Any,  # the caller's, handed back untouched
        done: Callable[[Any, Reply | Failure], None],
    ) -> None:
        self.place = place
        self.request = request
        self.body_bytes = body_bytes
        self.deadline_s = deadline_s
        self.context = context
        self.done = done
        self.slot = 0
        self.is_settled = False
        self.link: Link | None = None
        self.task: asyncio.Task[Reply | Failure] | None = None
        self.reached("queue")

    def reached(self, stage: Stage) -> None:
        self.stage: Stage = stage
        self.stage_since_s = monotonic()


class EgressSender:
    """Implements :class:`connector.engine.ports.Sender`.

    Settings as those of the fast sender, and:

    - ``links_per_place_max`` (256): connections towards one receiver by one way; a HTTP/2 one carries as
      many requests as the receiver takes, at most 100.
    - ``requests_max`` (4,096) and ``sending_bytes_max`` (256 MiB): requests under way, those waiting for a
      connection included, and their bodies; beyond either the failure is ``resources``. The bodies for one
      place take no more than all of them leave free, so that places that hang leave room for others.
    """

    def __init__(
        self,
        *,
        guard: Guard,
        allow_http: bool = False,
        extra_ca_file: str | None = None,
        room: Room | None = None,
        links_per_place_max: int = 256,
        requests_max: int = 4_096,
        sending_bytes_max: int = 256 << 20,
        idle_ms: int = 30_000,
        connection_life_ms: int = 60_000,
        lookup_budget_ms: int = 5_000,
        lookup: Lookup | None = None,
    ) -> None:
        """Raises :class:`~connector.engine.ports.UnusableIdentity` when the CA file is of no use."""
        self._allow_http = allow_http
        self._guard = guard
        self._contexts = TlsContexts(extra_ca_file)
        self._http2_contexts = TlsContexts(extra_ca_file, protocols=("h2", "http/1.1"))
        self._resolver = Resolver(lookup or AresLookup(), budget_ms=lookup_budget_ms)
        self._opener = LinkOpener(self._resolver, guard)
        self._pool = LinkPool(
            self._opener,
            room or Room(),
            links_per_place_max=links_per_place_max,
            life_ms=connection_life_ms,
            idle_ms=idle_ms,
        )
        self._requests_max = requests_max
        self._sending_bytes_max = sending_bytes_max
        self._sending_bytes = 0
        self._places: WeakValueDictionary[tuple[object, ...], Place] = WeakValueDictionary()
        self._proxies: WeakValueDictionary[str, Proxy] = WeakValueDictionary()
        self._deadlines: Deadlines[_Errand] = Deadlines(self._expired)
        self._tasks: set[asyncio.Task[Reply | Failure]] = set()
        self._is_closed = False

    def endpoint(
        self,
        url: str,
        *,
        headers: Sequence[tuple[str, str]],
        content_type: str,
        tls: TlsIdentity | None = None,
        egress: Egress = DIRECT,
    ) -> EgressEndpoint:
        """See :meth:`connector.engine.ports.Sender.endpoint`. Raises plain ``ValueError`` for a header that
        may not be sent, or a proxy's URL that means nothing."""
        target = parse_target(url, allow_http=self._allow_http, guard=self._guard)
        proxy = self._proxy(egress.proxy) if egress.proxy else None
        key = (target.scheme, target.host, target.port, tls, proxy, egress.http2)
        place = self._places.get(key)
        if place is None:
            contexts = self._http2_contexts if egress.http2 else self._contexts
            context = contexts.context(tls) if target.scheme == "https" else None
            place = self._places[key] = Place(target, proxy, context, wants_http2=egress.http2)
        head = request_head(target, headers=headers, content_type=content_type)
        # A proxy that forwards is told the whole URL, one that tunnels and a receiver only the path.
        is_forwarded = proxy is not None and not place.is_tunnelled
        path = f"{target.scheme}://{target.authority}{target.path}" if is_forwarded else target.path
        return EgressEndpoint(
            url,
            target,
            place,
            httpcore.URL(
                scheme=place.origin.scheme, host=place.origin.host, port=place.origin.port, target=path
            ),
            _fields(head.partition(b"\r\n")[2]),
        )

    def post(
        self,
        endpoint: Endpoint,
        headers: bytes,
        body: bytes,
        timeout_ms: int,
        context: Any,  # handed back untouched
        done: Callable[[Any, Reply | Failure], None],
    ) -> None:
        """See :meth:`connector.engine.ports.Sender.post`."""
        prepared = cast(EgressEndpoint, endpoint)
        length = (b"Content-Length", b"%d" % len(body))
        fields = [*prepared.headers, *_fields(headers), length]
        request = httpcore.Request(b"POST", prepared.request_url, headers=fields, content=body)
        deadline_s = monotonic() + timeout_ms / 1000
        errand = _Errand(prepared.origin, request, len(body), deadline_s, context, done)
        errand.place.sending_bytes += errand.body_bytes
        # As much as the place has now was to be free before.
        is_full = self._sending_bytes + errand.place.sending_bytes > self._sending_bytes_max
        self._sending_bytes += errand.body_bytes
        errand.slot = self._deadlines.add(errand, deadline_s)
        if self._is_closed:
            self._fail(errand, Failure("reset", "the sender is closed"))
        elif is_full:
            self._fail(errand, Failure("resources", "the limit of bodies under way to one host is reached"))
        elif len(self._tasks) >= self._requests_max:
            self._fail(errand, Failure("resources", "the limit of requests under way is reached"))
        else:
            errand.task = asyncio.create_task(self._run(errand), name=f"post to {errand.place}")
            self._tasks.add(errand.task)
            errand.task.add_done_callback(partial(self._ran, errand))

    async def reach(self, endpoint: Endpoint, timeout_ms: int) -> Failure | None:
        """Open a connection as for a delivery (proxy, look-up, guard, TLS), send nothing, and close it: why
        there is none, or ``None``."""
        prepared = cast(EgressEndpoint, endpoint)
        deadline_s = monotonic() + timeout_ms / 1000
        errand = _Errand(prepared.origin, _NOTHING, 0, deadline_s, None, lambda *_: None)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                opened = await self._opener.open(prepared.origin, errand)
        except TimeoutError:
            return self._late(errand)
        if isinstance(opened, Failure):
            return opened
        opened.wire.abort()
        return None

    def cancel_all(self) -> None:
        """Abort every request under way; each ``done`` gets a ``reset`` failure."""
        for errand in tuple(self._deadlines):
            self._give_up(errand, Failure("reset", "cancelled by the connector"))

    async def close(self) -> None:
        """Cancel all, close all; no socket, task or timer is left."""
        self._is_closed = True
        self.cancel_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pool.close()
        self._deadlines.close()
        await self._resolver.close()

    def _proxy(self, url: str) -> Proxy:
        target = parse_proxy(url)
        proxy = self._proxies.get(target.authority)
        if proxy is None:
            proxy = self._proxies[target.authority] = Proxy(target)
        return proxy

    async def _run(self, errand: _Errand) -> Reply | Failure:
        outcome = await self._send(errand)
        if isinstance(outcome, Unprocessed):
            # Once, over a new link, within the same deadline. The receiver knows the delivery by its id if it
            # comes twice.
            errand.reached("queue")
            outcome = await self._send(errand, anew=True)
        return outcome.failure if isinstance(outcome, Unprocessed) else outcome

    async def _send(self, errand: _Errand, *, anew: bool = False) -> Reply | Failure | Unprocessed:
        link = await self._pool.take(errand.place, errand, anew=anew)
        if isinstance(link, Failure):
            return link
        errand.link = link
        errand.reached("carried")
        try:
            return await link.carry(errand.request)
        finally:
            errand.link = None
            self._pool.leave(link)

    def _ran(self, errand: _Errand, task: asyncio.Task[Reply | Failure]) -> None:
        # In a callback rather than a coroutine: this runs even if the task was cancelled unstarted.
        self._tasks.discard(task)
        errand.task = None
        outcome = came_of(task)
        if not errand.is_settled:
            self._settle(errand)
            errand.done(errand.context, outcome)

    def _expired(self, errand: _Errand) -> None:
        self._give_up(errand, self._late(errand))

    def _late(self, errand: _Errand) -> Failure:
        """The failure if this is the errand's deadline."""
        proxy = errand.place.proxy
        match errand.stage:
            case "queue" if not self._pool.is_opening(errand.place):
                return Failure("resources", "no connection to this host came free in time")
            case "queue" | "connect":
                return Failure("timeout", "no connection in time", is_unconnected=True)
            case "proxy":
                assert proxy is not None
                return Failure("proxy", f"no connection to the proxy {proxy.name} in time")
            case "tunnel":
                assert proxy is not None
                what = f"no tunnel through the proxy {proxy.name} in time, which answers"
                if proxy.answered_at_s > errand.stage_since_s:
                    return Failure("timeout", f"{what} for others", is_unconnected=True)
                return Failure("proxy", f"{what} nobody", is_doubtful=True)
            case "carried":
                has_begun = errand.link is not None and errand.link.has_reply_begun
                what = "the reply was not whole in time" if has_begun else "no reply in time"
                return Failure("timeout", what)

    def _give_up(self, errand: _Errand, failure: Failure) -> None:
        self._fail(errand, failure)
        if errand.task is not None:
            errand.task.cancel()

    def _fail(self, errand: _Errand, failure: Failure) -> None:
        self._settle(errand)
        # Failures come from timers and from within post: a call of its own keeps the caller's trouble
        # out of ours. A task that was given up holds its connection until it has ended.
        if errand.task is not None:
            errand.task.add_done_callback(lambda _: errand.done(errand.context, failure))
        else:
            asyncio.get_running_loop().call_soon(errand.done, errand.context, failure)

    def _settle(self, errand: _Errand) -> None:
        assert not errand.is_settled
        errand.is_settled = True
        self._sending_bytes -= errand.body_bytes
        errand.place.sending_bytes -= errand.body_bytes
        self._deadlines.discard(errand, errand.slot)


_NOTHING = httpcore.Request(b"POST", "http://nowhere.invalid/")


def _fields(lines: bytes) -> list[_Header]:
    """Header lines, each ended by CRLF, as httpcore takes them."""
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines.split(b"\r\n")[:-1])]
