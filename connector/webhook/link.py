"""A link: one connection of the second sender, spoken over by httpcore, HTTP/1.1 or HTTP/2.

It carries requests and says what became of each: a reply, a failure, or that the receiver has not begun
with it, so that it may be sent once more. It does not know pools or deadlines; whoever gives up a request
cancels its task, and the link then sees to it that nothing of it reaches another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from time import monotonic
from typing import Any

import anyio._backends._asyncio  # noqa: F401  httpcore loads it when it first sends: no descriptor may be left then
import h2.errors
import h2.events
import h2.exceptions
import httpcore

from connector.core.outcome import Failure, Reply
from connector.webhook.dial import failure_of
from connector.webhook.http2 import Http2
from connector.webhook.place import Place
from connector.webhook.proxy import forwarded_failure
from connector.webhook.reply import REPLY_BYTES_MAX, SNIPPET_BYTES_MAX, with_one_more
from connector.webhook.wire import Wire

IDLE_UNREAD_BYTES_MAX = 16 * 1024
"""What may lie unread while there is no request, of HTTP/2. A receiver has little to say then."""


@dataclass(frozen=True, slots=True)
class Unprocessed:
    """The receiver has not begun with the request, or closed a kept connection at the moment it was used:
    it may be sent once more, and ``failure`` is what it was if not."""

    failure: Failure


class Link:
    """``riders`` counts requests under way, that which it was opened for included; ``streams_max`` may be at
    once, and ``limited`` is called when the receiver changes that. ``used_at_s`` is when it was opened, or
    one of them last left it, on the monotonic clock. A retired link takes no more; its pool closes it after
    the last one."""

    def __init__(self, place: Place, wire: Wire, *, is_http2: bool) -> None:
        self.place = place
        self.wire = wire
        self.is_retired = False
        self.is_fresh = True
        self.riders = 1
        self.streams_max = 1
        self.limited: Callable[[], None] | None = None
        self.opened_at_s = self.used_at_s = monotonic()
        self._before_bytes = 0
        self._streams: set[_Stream] = set()
        self._last_stream: int | None = None  # that will be answered, once the receiver has said so
        self._http: Http2 | httpcore.AsyncHTTP11Connection
        if is_http2:
            wire.start_http2(self._came)
            self._http = Http2(place.origin, wire, self._limited)
        else:
            wire.start_http1()
            self._http = httpcore.AsyncHTTP11Connection(place.origin, wire)

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self.riders

    @property
    def has_room(self) -> bool:
        """Whether one more request may be sent over it now."""
        return self.is_usable and self.riders < self.streams_max

    @property
    def may_idle(self) -> bool:
        """Whether it is of further use when no request is under way."""
        return self.has_room and self.wire.unread_bytes <= IDLE_UNREAD_BYTES_MAX

    @property
    def is_usable(self) -> bool:
        """Whether a request of one of its riders may set out now."""
        if self.is_retired or self.wire.has_ended:
            return False
        return self.is_fresh or self.wire.may_reuse

    @property
    def has_reply_begun(self) -> bool:
        """Whether any byte of a reply has come to what is under way. Over HTTP/2 it may be another's."""
        return self.wire.received_bytes > self._before_bytes

    @property
    def is_leaving(self) -> bool:
        """Whether the receiver has said that it is about to close. What has not left by then stays."""
        return self._last_stream is not None

    def abort(self) -> None:
        """Close it at once."""
        self.is_retired = True
        self.wire.abort()

    async def begin(self) -> Failure | None:
        """Called once, before all else. Returns why nothing can be sent over it, which is closed then, or
        ``None``. One whose receiver takes leave as it greets takes no request either, which it tells whoever
        has one."""
        if not isinstance(self._http, Http2):
            return None
        try:
            await self._http.begin()
        except BaseException as error:
            self.wire.abort()
            if isinstance(error, Exception):
                return None if self.is_leaving else self._not_begun(error)
            raise
        return None

    async def carry(self, request: httpcore.Request) -> Reply | Failure | Unprocessed:
        """Send once. The caller has counted itself among the riders."""
        before_bytes = self._before_bytes = self.wire.received_bytes
        was_fresh, self.is_fresh = self.is_fresh, False
        if not was_fresh and (spoilt := await self._spoilt(request)) is not None:
            return spoilt
        try:
            if isinstance(self._http, Http2):
                return await self._carry_http2(self._http, request)
            return await self._carry_http1(self._http, request)
        except Exception as error:  # httpcore lets h2's, h11's and ours through, and ValueErrors of its own
            self.is_retired = True
            has_begun = self.wire.received_bytes > before_bytes
            return self._trouble(error, has_begun=has_begun, was_fresh=was_fresh)
        except BaseException:
            # Cancelled. httpcore does not tell an HTTP/2 server, which goes on with what nobody wants.
            self.is_retired = True
            raise

    async def _spoilt(self, request: httpcore.Request) -> Unprocessed | None:
        """Whether something came over the idle link that makes it useless, before anything is sent."""
        if not isinstance(self._http, Http2) or self.riders > 1 or not self.wire.unread_bytes:
            return None
        try:
            await self._http.catch_up(request)
        except Exception as error:  # whatever it was, our request has no part in it
            self.is_retired = True
            return Unprocessed(Failure("protocol", f"what came before the request is not HTTP: {error}"))
        return None

    async def _carry_http1(
        self, http: httpcore.AsyncHTTP11Connection, request: httpcore.Request
    ) -> Reply | Failure:
        wire = self.wire
        wire.expect_reply()
        response = await http.handle_async_request(request)
        async for _ in response.aiter_stream():
            pass  # the wire keeps what is wanted of it, and ends it when that is enough
        await response.aclose()
        if http._h11_state.trailing_data[0]:
            self.is_retired = True  # an empty line is no fault, but h11 would take it for the next reply
        if wire.reply is None:
            raise httpcore.RemoteProtocolError("the reply is not whole")
        return self._received(wire.reply)

    async def _carry_http2(self, http: Http2, request: httpcore.Request) -> Reply:
        stream = _Stream(self)
        request.extensions["trace"] = stream.trace
        self._streams.add(stream)
        try:
            return await self._stream(request)
        except Exception as error:
            if self._last_stream is not None and stream.id > self._last_stream:
                raise httpcore.ConnectionNotAvailable from error
            raise
        finally:
            self._streams.remove(stream)
            self.is_retired |= http.left_unsent
            self._show_goaway_when_due()

    async def _stream(self, request: httpcore.Request) -> Reply:
        response = await self._http.handle_async_request(request)
        if not 200 <= response.status <= 999:
            raise httpcore.RemoteProtocolError(f"the status is {response.status}")
        body = b""
        size_bytes = 0
        try:
            async for piece in response.aiter_stream():
                body += piece[: SNIPPET_BYTES_MAX - len(body)]
                size_bytes += len(piece)
                if size_bytes > REPLY_BYTES_MAX:
                    self.is_retired = True
                    break
            else:
                self.wire.reply_was_whole()
            await response.aclose()
        except Exception:
            if not self.wire.fault:
                raise
            self.is_retired = True  # a flood behind the head: the status is taken, as that of a body too long
        fields = dict(response.headers)
        is_compressed = fields.get(b"content-encoding", b"identity").lower() != b"identity"
        asked = [value for name, value in response.headers if name == b"retry-after"]
        return Reply(
            response.status,
            reduce(with_one_more, asked) if asked else None,
            fields.get(b"date"),
            b"" if is_compressed else body,
            fields.get(b"content-type", b""),
        )

    def _limited(self, streams_max: int) -> None:
        self.streams_max = streams_max
        if self.limited is not None:
            self.limited()

    def _came(self) -> None:
        """Something has come over HTTP/2, and is not read yet."""
        if self.wire.last_stream != self._last_stream:
            # The receiver answers streams up to this one, and closes.
            self.is_retired = True
            self._last_stream = self.wire.last_stream
            self._show_goaway_when_due()
        if not self.riders and not self.may_idle:
            self.wire.abort()

    def _show_goaway_when_due(self) -> None:
        last = self._last_stream
        if last is not None and not any(0 < stream.id <= last for stream in self._streams):
            self.wire.show_goaway()

    def _received(self, reply: Reply) -> Reply | Failure:
        """What a reply of HTTP/1.1 means, if a proxy may have written it."""
        proxy = self.place.proxy
        if proxy is None or self.place.is_tunnelled:
            return reply
        fields = self.wire.reply_fields
        return forwarded_failure(reply, fields, proxy=proxy.name, where=self.place.host) or reply

    def _not_begun(self, error: Exception) -> Failure:
        """What an exception means that came before the receiver took requests."""
        wire = self.wire
        if isinstance(error, OSError):
            return failure_of(error, str(self.place))
        if wire.fault:
            return Failure("protocol", wire.fault)
        if wire.tls_fault:
            return Failure("tls", f"{self.place} ended TLS: {wire.tls_fault}")
        if wire.has_ended or _is_end(error):
            return Failure("connect", f"{self.place} closed the connection at once")
        return Failure("protocol", f"{self.place} does not speak HTTP/2: {error}")

    def _trouble(
        self, error: Exception, *, has_begun: bool, was_fresh: bool
    ) -> Reply | Failure | Unprocessed:
        """What an exception out of httpcore means."""
        wire = self.wire
        if wire.reply is not None:
            return self._received(wire.reply)  # ours is the reading that counts, and it is whole
        if (refused := _unprocessed(error)) is not None:
            return refused
        if isinstance(error, OSError):
            return failure_of(error, str(self.place))  # this machine's: the wire raises none
        if _is_end(error):
            return Failure("reset", f"the receiver ended the request: {error.args[0]}")
        if wire.fault:
            return Failure("protocol", wire.fault)
        if wire.has_ended:
            if wire.tls_fault and not has_begun:
                return Failure("tls", f"{self.place} ended TLS: {wire.tls_fault}")
            if has_begun:
                return Failure("reset", "the connection closed before the reply was whole")
            failure = Failure("reset", "the connection closed without a reply")
            return failure if was_fresh else Unprocessed(failure)
        return Failure("protocol", f"the reply is not HTTP: {error}")


class _Stream:
    """One request over HTTP/2. ``id`` is 0 until it is sent."""

    __slots__ = ("_link", "id")

    def __init__(self, link: Link) -> None:
        self._link = link
        self.id = 0

    async def trace(self, event: str, info: dict[str, Any]) -> None:  # Any: httpcore's
        """Called by httpcore at every step."""
        if event == "http2.send_request_headers.started":
            if self._link.is_leaving:
                raise httpcore.ConnectionNotAvailable
            self.id = info["stream_id"]


_ENDS = (h2.events.StreamReset, h2.events.ConnectionTerminated)


def _is_end(error: Exception) -> bool:
    """Whether a receiver of HTTP/2 ended the request, or all of them."""
    return isinstance(error, httpcore.RemoteProtocolError) and isinstance(error.args[0], _ENDS)


def _unprocessed(error: Exception) -> Unprocessed | None:
    """HTTP/2 can say that a request was not begun with: a stream refused, or one behind a GOAWAY. Nor was one
    that was not sent, because the receiver has lowered its limit meanwhile."""
    if isinstance(error, httpcore.ConnectionNotAvailable):
        return Unprocessed(Failure("reset", "the receiver closes the connection (GOAWAY)"))
    what = error.args[0] if isinstance(error, httpcore.ProtocolError) and error.args else None
    if isinstance(what, h2.exceptions.TooManyStreamsError):
        return Unprocessed(Failure("reset", "the receiver takes no more requests over this connection"))
    if isinstance(what, h2.events.StreamReset) and what.error_code == h2.errors.ErrorCodes.REFUSED_STREAM:
        return Unprocessed(Failure("reset", "the receiver refused the stream"))
    if isinstance(what, h2.events.ConnectionTerminated) and what.last_stream_id == 0:
        return Unprocessed(Failure("reset", "the receiver closes the connection (GOAWAY)"))
    return None
