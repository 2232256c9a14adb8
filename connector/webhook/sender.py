"""The fast sender: signed POSTs over kept connections, with callbacks and no task per delivery.

On the warm path a delivery takes an idle connection, is written in one piece, and is settled from the
event loop's own call when its reply is whole. Only opening a connection takes a task. One deadline
covers all of it; whatever happens, ``done`` is called once.

A kept connection may be closed by the receiver at the moment it is used (Node does so after 5 s). If
that happens before any byte of a reply, the request is sent once more over a new connection, within the
same deadline; without this every rare event would cost its partner a retry tier. It may reach the
receiver twice, which it recognises by the delivery's id.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, cast

from connector.core.outcome import Failure, Reply
from connector.core.subscription import DIRECT, Egress, TlsIdentity
from connector.engine.ports import Endpoint
from connector.webhook.connection import Connection
from connector.webhook.deadlines import Deadlines
from connector.webhook.ending import came_of
from connector.webhook.exchange import Exchange
from connector.webhook.guard import Guard
from connector.webhook.head import request_head
from connector.webhook.opener import Opener
from connector.webhook.origin import Origin
from connector.webhook.pool import Pool
from connector.webhook.reply import ReplyFault
from connector.webhook.resolver import AresLookup, Lookup, Resolver
from connector.webhook.room import Room
from connector.webhook.target import Target, parse_target
from connector.webhook.tls import TlsContexts


class PreparedEndpoint:
    """An endpoint of :class:`WebhookSender`: where to, and the part of the request that stays."""

    __slots__ = ("head", "origin", "place", "url", "way")

    def __init__(self, url: str, target: Target, origin: Origin[Connection], head: bytes) -> None:
        self.url = url
        self.place = target.place
        self.way = ""
        self.origin = origin
        self.head = head


class WebhookSender:
    """Implements :class:`connector.engine.ports.Sender`.

    Settings, with defaults and the reason for each:

    - ``guard``: judges every address, those written in URLs and those that names lead to.
    - ``allow_http`` (False): plain http is readable and changeable on the way.
    - ``extra_ca_file`` (none): PEM with the deployment's own authorities.
    - ``room`` (of its own): connections in all, of the other sender too. At this limit the longest idle ones
      are closed; if none is idle, requests wait for one to the same host, or the failure is ``resources``.
    - ``connections_per_origin_max`` (256): towards one scheme, host and port. Beyond it requests wait
      for one, in order; a request whose deadline passes in that queue fails as ``resources``.
    - ``waiting_max`` (4,096): requests in such queues in all; beyond it the failure is ``resources``.
    - ``idle_ms`` (30,000): longer than the pauses of a busy endpoint, short enough to free sockets.
    - ``connection_life_ms`` (60,000): bounds how long a name may point elsewhere unnoticed.
    - ``lookup_budget_ms`` (5,000): a name that has not resolved by then fails as ``dns``.

    Failures are handed to ``done`` by the event loop in a call of their own, replies directly.
    """

    def __init__(
        self,
        *,
        guard: Guard,
        allow_http: bool = False,
        extra_ca_file: str | None = None,
        room: Room | None = None,
        connections_per_origin_max: int = 256,
        waiting_max: int = 4_096,
        idle_ms: int = 30_000,
        connection_life_ms: int = 60_000,
        lookup_budget_ms: int = 5_000,
        lookup: Lookup | None = None,
    ) -> None:
        """Raises :class:`~connector.engine.ports.UnusableIdentity` when the CA file is of no use."""
        self._allow_http = allow_http
        self._guard = guard
        self._contexts = TlsContexts(extra_ca_file)
        self._resolver = Resolver(lookup or AresLookup(), budget_ms=lookup_budget_ms)
        self._opener = Opener(self._resolver, guard)
        self._pool = Pool(
            room or Room(),
            connections_per_origin_max=connections_per_origin_max,
            connection_life_ms=connection_life_ms,
            idle_ms=idle_ms,
        )
        self._waiting_max = waiting_max
        self._waiting = 0
        self._deadlines: Deadlines[Exchange] = Deadlines(self._expired)
        self._openings: set[asyncio.Task[Connection | Failure]] = set()
        self._is_closed = False

    def endpoint(
        self,
        url: str,
        *,
        headers: Sequence[tuple[str, str]],
        content_type: str,
        tls: TlsIdentity | None = None,
        egress: Egress = DIRECT,
    ) -> PreparedEndpoint:
        """See :meth:`connector.engine.ports.Sender.endpoint`. Raises plain ``ValueError`` for a header that
        may not be sent. Every POST leaves directly, over HTTP/1.1."""
        assert egress == DIRECT, "what else there is, is the second sender's"
        target = parse_target(url, allow_http=self._allow_http, guard=self._guard)
        head = request_head(target, headers=headers, content_type=content_type)
        context = self._contexts.context(tls) if target.scheme == "https" else None
        return PreparedEndpoint(url, target, self._pool.origin(target, tls, context), head)

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
        prepared = cast(PreparedEndpoint, endpoint)
        now_s = monotonic()
        request = b"%b%bContent-Length: %d\r\n\r\n%b" % (prepared.head, headers, len(body), body)
        exchange = Exchange(request, now_s + timeout_ms / 1000, context, done)
        if self._is_closed:
            self._fail(exchange, Failure("reset", "the sender is closed"))
            return
        exchange.slot = self._deadlines.add(exchange, exchange.deadline_s)
        connection = self._pool.take(prepared.origin, now_s)
        if connection is not None:
            connection.send(exchange, now_s)
            return
        if prepared.origin.waiting:
            self._serve_waiting(prepared.origin)  # room may have come back, which nobody told those who wait
        self._open_or_wait(prepared.origin, exchange, has_turn=not prepared.origin.waiting)

    async def reach(self, endpoint: Endpoint, timeout_ms: int) -> Failure | None:
        """Open a connection as for a delivery (look-up, guard, TLS), send nothing, and close it: why there
        is none, or ``None``."""
        origin = cast(PreparedEndpoint, endpoint).origin
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                opened = await self._opener.open(origin, self, monotonic() + timeout_ms / 1000)
        except TimeoutError:
            return Failure("timeout", "no connection in time", is_unconnected=True)
        if isinstance(opened, Failure):
            return opened
        opened.abort()
        return None

    def cancel_all(self) -> None:
        """Abort every request under way; each ``done`` gets a ``reset`` failure."""
        for exchange in tuple(self._deadlines):
            self._drop(exchange)
            self._fail(exchange, Failure("reset", "cancelled by the connector"))

    async def close(self) -> None:
        """Cancel all, close all; no socket, task or timer is left."""
        self._is_closed = True
        self.cancel_all()
        await asyncio.gather(*self._openings, return_exceptions=True)
        await self._pool.close()
        self._deadlines.close()
        await self._resolver.close()

    # What connections report.

    def replied(self, connection: Connection, exchange: Exchange, reply: Reply) -> None:
        """See :class:`~connector.webhook.connection.ConnectionOwner`."""
        if connection.may_reuse_after(exchange, reply):
            connection.restart()
            self._put_to_use(connection)
        else:
            connection.abort()
        self._settle(exchange)
        exchange.done(exchange.context, reply)

    def faulted(self, exchange: Exchange, fault: ReplyFault) -> None:
        """See :class:`~connector.webhook.connection.ConnectionOwner`."""
        self._fail(exchange, Failure("protocol", str(fault)))

    def closing(self, connection: Connection) -> None:
        """See :class:`~connector.webhook.connection.ConnectionOwner`."""
        self._pool.closing(connection)

    def closed(self, connection: Connection, exchange: Exchange | None, reply: Reply | None) -> None:
        """See :class:`~connector.webhook.connection.ConnectionOwner`."""
        self._pool.remove(connection)
        if exchange is not None and reply is None:
            exchange.connection = None
            self._broken(connection, exchange)
        self._serve_waiting(connection.origin)
        if exchange is not None and reply is not None:
            self._settle(exchange)
            exchange.done(exchange.context, reply)

    def _broken(self, connection: Connection, exchange: Exchange) -> None:
        if connection.has_reply_begun:
            self._fail(exchange, Failure("reset", "the connection closed before the reply was whole"))
        elif connection.is_fresh or exchange.is_resent:
            self._fail(exchange, _closed_without_a_reply(connection))
        else:
            exchange.is_resent = True
            self._open_or_wait(connection.origin, exchange, has_turn=True)

    # Opening and waiting.

    def _open_or_wait(self, origin: Origin[Connection], exchange: Exchange, *, has_turn: bool) -> None:
        """Who has its turn keeps it, if it has to wait: ahead of all others."""
        if has_turn and self._pool.claim(origin):
            self._start_opening(origin, exchange)
        elif origin.claimed and self._waiting < self._waiting_max:
            self._waiting += 1
            origin.waiting = origin.waiting or deque()
            if has_turn:
                origin.waiting.appendleft(exchange)
            else:
                origin.waiting.append(exchange)
        else:
            self._fail(exchange, Failure("resources", "the limit of connections is reached"))

    def _put_to_use(self, connection: Connection) -> None:
        """The connection is free: for later, or for the exchange that has waited longest, which gets another
        one if it is too old."""
        origin = connection.origin
        origin.idle[connection] = None
        if origin.waiting and (waiting := self._next_waiting(origin)) is not None:
            now_s = monotonic()
            taken = self._pool.take(origin, now_s)
            if taken is not None:
                taken.send(waiting, now_s)
            else:
                self._open_or_wait(origin, waiting, has_turn=True)

    def _serve_waiting(self, origin: Origin[Connection]) -> None:
        """A connection to ``origin`` is gone: open one for the exchange that has waited longest. If there is
        no room for it and no other connection to wait for, all who wait fail: nothing would serve them."""
        while (exchange := self._next_waiting(origin)) is not None:
            self._open_or_wait(origin, exchange, has_turn=True)
            if origin.claimed:
                return

    def _next_waiting(self, origin: Origin[Connection]) -> Exchange | None:
        while origin.waiting:
            exchange = origin.waiting.popleft()
            self._waiting -= 1
            if not exchange.is_settled:
                return exchange
        return None

    def _start_opening(self, origin: Origin[Connection], exchange: Exchange) -> None:
        opening = self._opener.open(origin, self, exchange.deadline_s)
        task = asyncio.get_running_loop().create_task(opening, name=f"open {origin}")
        exchange.opening = task
        self._openings.add(task)
        task.add_done_callback(partial(self._opened, origin, exchange))

    def _opened(
        self, origin: Origin[Connection], exchange: Exchange, task: asyncio.Task[Connection | Failure]
    ) -> None:
        # In a callback rather than a coroutine: this runs even if the task was cancelled unstarted.
        self._openings.discard(task)
        exchange.opening = None
        opened = came_of(task)
        if isinstance(opened, Connection) and opened.adopt():
            self._pool.add(opened)
            if not exchange.is_settled:
                opened.send(exchange, monotonic())
            elif not opened.is_closing:
                self._put_to_use(opened)
            return
        self._pool.release(origin)
        if not exchange.is_settled:
            self._fail(exchange, opened if isinstance(opened, Failure) else _closed_without_a_reply(opened))
        self._serve_waiting(origin)

    # Ends.

    def _expired(self, exchange: Exchange) -> None:
        self._fail(exchange, self._drop(exchange))

    def _drop(self, exchange: Exchange) -> Failure:
        """Let go of whatever the exchange holds. Returns the failure if this is its deadline."""
        if exchange.connection is not None:
            has_begun = exchange.connection.has_reply_begun
            exchange.connection.abort()
            return Failure("timeout", "the reply was not whole in time" if has_begun else "no reply in time")
        if exchange.opening is not None:
            exchange.opening.cancel()
            return Failure("timeout", "no connection in time", is_unconnected=True)
        return Failure("resources", "no connection to this host came free in time")

    def _fail(self, exchange: Exchange, failure: Failure) -> None:
        self._settle(exchange)
        # Failures come from timers and from within post: a call of its own keeps the caller's trouble
        # out of ours. An opening that was given up holds its room until it has ended.
        if exchange.opening is not None:
            exchange.opening.add_done_callback(lambda _: exchange.done(exchange.context, failure))
        else:
            asyncio.get_running_loop().call_soon(exchange.done, exchange.context, failure)

    def _settle(self, exchange: Exchange) -> None:
        assert not exchange.is_settled
        exchange.is_settled = True
        self._deadlines.discard(exchange, exchange.slot)


def _closed_without_a_reply(connection: Connection) -> Failure:
    if connection.tls_fault:
        return Failure("tls", f"{connection.origin} ended TLS: {connection.tls_fault}")
    return Failure("reset", "the connection closed without a reply")
