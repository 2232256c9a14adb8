"""One connection to a receiver: a request out, its reply in, and never a stray byte into the next.

It promises its owner exactly one of ``replied``, ``faulted`` or ``closed`` with the exchange, and
``closed`` once at its own end. It does not know pools, retries or deadlines.
"""

from __future__ import annotations

import asyncio
import ssl
from time import monotonic
from typing import Protocol, cast

from connector.core.outcome import Reply
from connector.webhook.early_reply import may_be_early
from connector.webhook.exchange import Exchange
from connector.webhook.origin import Origin
from connector.webhook.reply import ReplyFault, ReplyReader


class ConnectionOwner(Protocol):
    """What a :class:`Connection` tells; it carries no exchange any more when it does."""

    def replied(self, connection: Connection, exchange: Exchange, reply: Reply) -> None:
        """The reply is whole. ``connection.may_reuse_after`` says whether it can carry another exchange."""

    def faulted(self, exchange: Exchange, fault: ReplyFault) -> None:
        """What came is not a reply. Its connection is being closed."""

    def closing(self, connection: Connection) -> None:
        """The connection is being closed and carries nothing: ``closed`` is only a matter of time. It may be
        told twice."""

    def closed(self, connection: Connection, exchange: Exchange | None, reply: Reply | None) -> None:
        """The connection is gone; ``reply`` is set when its end was the end of the reply."""


class Connection(asyncio.Protocol):
    """``is_fresh`` until its first reply; ``used_at_s`` is when it was last given an exchange and
    ``opened_at_s`` when it was made, both on the monotonic clock. ``tls_fault`` is set at the end when that
    was an alert of TLS: since 1.3 a client's certificate is refused only after the handshake."""

    __slots__ = (
        "_has_ended",
        "_is_adopted",
        "_is_lost",
        "_owner",
        "_reader",
        "_transport",
        "exchange",
        "is_fresh",
        "opened_at_s",
        "origin",
        "tls_fault",
        "used_at_s",
    )

    def __init__(self, origin: Origin[Connection], owner: ConnectionOwner) -> None:
        self.origin = origin
        self.exchange: Exchange | None = None
        self.is_fresh = True
        self.tls_fault = ""
        self.opened_at_s = self.used_at_s = monotonic()
        self._owner = owner
        self._reader = ReplyReader(origin.known_reply)
        self._transport: asyncio.Transport | None = None
        self._is_adopted = False
        self._is_lost = False
        self._has_ended = False

    def adopt(self) -> bool:
        """Begin to report to the owner. ``False`` if the connection is gone already, and its end untold."""
        self._is_adopted = not self._is_lost
        return self._is_adopted

    def send(self, exchange: Exchange, now_s: float) -> None:
        """Carry an exchange; the connection must be idle."""
        assert self.exchange is None
        assert self._transport is not None
        self.exchange = exchange
        self.used_at_s = now_s
        exchange.connection = self
        self._transport.write(exchange.request)

    def restart(self) -> None:
        """Be ready for another exchange after a reply."""
        self._reader.restart()

    def abort(self) -> None:
        """Close at once, without a farewell that a hostile receiver could leave unanswered. The
        exchange it carries, if any, is dropped without a word."""
        self.origin.idle.pop(self, None)
        self.exchange = None
        self._close()

    @property
    def is_idle(self) -> bool:
        """Whether it is kept for the next exchange."""
        return self in self.origin.idle

    @property
    def is_closing(self) -> bool:
        """Whether its end is only a matter of being told."""
        assert self._transport is not None
        return self._transport.is_closing()

    @property
    def has_reply_begun(self) -> bool:
        """Whether any byte of a reply has come for the exchange now or last carried."""
        return self._reader.read_bytes > 0

    def may_reuse_after(self, exchange: Exchange, reply: Reply) -> bool:
        """Whether the last reply was read cleanly to its end, the receiver has read the request to its end,
        as far as can be told, and it keeps the connection."""
        assert self._transport is not None
        return self._reader.may_reuse and not may_be_early(
            self._transport, request_bytes=len(exchange.request), status=reply.status
        )

    # What follows is called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            # Nobody asked: a second reply, or a 408 for having been idle. The next exchange must not
            # take it for its own.
            self.abort()
            return
        try:
            reply = self._reader.feed(data)
        except ReplyFault as fault:
            self.abort()
            self._owner.faulted(exchange, fault)
            return
        if reply is not None:
            self.exchange = None
            self.is_fresh = False
            self._owner.replied(self, exchange, reply)

    def eof_received(self) -> None:
        self._has_ended = True
        self.origin.idle.pop(self, None)
        # Over TLS, a close would wait for the other side; connection_lost comes soon this way.
        self._close()

    def connection_lost(self, error: Exception | None) -> None:
        if isinstance(error, ssl.SSLError):
            self.tls_fault = error.reason or str(error)
        self._is_lost = True
        exchange, self.exchange = self.exchange, None
        reply = self._reader.end() if exchange is not None and self._has_ended else None
        self.origin.idle.pop(self, None)
        if self._is_adopted:
            self._owner.closed(self, exchange, reply)
        self._reader.close()

    def _close(self) -> None:
        if self._is_adopted and self.exchange is None:  # one that ended unanswered may be sent again
            self._owner.closing(self)
        if self._transport is not None:
            self._transport.abort()
