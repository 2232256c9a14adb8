"""The bytes of one connection, as httpcore wants them: awaited reads and writes over a transport.

httpcore knows how to speak HTTP; this stream makes it safe to listen. Over HTTP/1.1 everything that
comes is read by our own :class:`~connector.webhook.reply.ReplyReader` first: the caps, the faults and the
reply are the same as the fast sender's, and bytes that nobody asked for end the connection instead of
being taken for the next reply (h11 would keep them). Over HTTP/2 a
:class:`~connector.webhook.frames.FrameFilter` bounds what reaches h2, which gets it in small bites: it reads
all it is given in one go, and everybody else in the process waits meanwhile.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any, cast

import httpcore

from connector.core.outcome import Reply
from connector.webhook.early_reply import may_be_early
from connector.webhook.frames import FrameFilter
from connector.webhook.reply import KnownReply, ReplyFault, ReplyReader

UNREAD_BYTES_MAX = 256 * 1024
"""Bytes of HTTP/2 that may wait to be read; past it the transport is told to pause."""

BITE_BYTES = 1024
"""Of HTTP/2 that h2 gets at once: at most 113 frames, about 5 ms of its work. Common replies are smaller."""

SHOWN_BYTES_MAX = 16 * 1024
"""The longest reply of HTTP/1.1 that is shown to httpcore, whose parser takes some 15 µs for a chunk of one
byte. After a longer one, which is rare, the connection is not used again."""


class Wire(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """One connection's bytes. Timeouts are the caller's, who cancels.

    Over HTTP/1.1, between :meth:`expect_reply` and its ``reply`` or ``fault``, what comes belongs to one
    reply; at any other time it belongs to nobody. ``ended`` is called when the connection is gone;
    ``tls_fault`` is set by then if that was an alert of TLS: since 1.3 a client's certificate is refused
    only after the handshake.
    """

    def __init__(self) -> None:
        self.received_bytes = 0
        self.has_ended = False
        self.fault = ""
        self.tls_fault = ""
        self.reply: Reply | None = None
        self.ended: Callable[[], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._known = KnownReply()
        self._reader: ReplyReader | None = None
        self._frames: FrameFilter | None = None
        self._came: Callable[[], None] | None = None
        self._request_bytes = 0  # written of the request that is now or was last under way over HTTP/1.1
        self._is_expecting = False
        self._is_full = False
        self._is_paused = False
        self._woken = asyncio.Event()

    # For whoever opens it.

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    async def ask(self, request: bytes, *, head_bytes_max: int) -> bytes:
        """Send a request, and return the head of what is answered, without its empty line; empty if there
        is none, or none that short."""
        if not self.has_ended:
            await self.write(request)
        while (end := self._unread.find(b"\r\n\r\n")) < 0:
            if self.has_ended or len(self._unread) > head_bytes_max:
                return b""
            await self._wake()
        head = bytes(self._unread[:end])
        # Whatever follows is the text of a refusal: behind a tunnel we speak first.
        self._unread.clear()
        return head

    @property
    def negotiated(self) -> str | None:
        """The protocol agreed on within TLS, if any."""
        tls = self.transport.get_extra_info("ssl_object")
        return None if tls is None else cast(str | None, tls.selected_alpn_protocol())

    def take_over(self, transport: asyncio.Transport) -> None:
        """Go on over TLS."""
        self._transport = transport

    def start_http1(self) -> None:
        """Everything from here on is HTTP/1.1."""
        self._reader = ReplyReader(self._known)

    def start_http2(self, came: Callable[[], None]) -> None:
        """Everything from here on is HTTP/2. ``came`` is called whenever some of it has come."""
        self._frames = FrameFilter()
        self._came = came
        # Frames that came with the handshake's last bytes.
        early, self._unread = bytes(self._unread), bytearray()
        self._read_frames(self._frames, early)

    def show_goaway(self) -> None:
        """Nothing that is open will be answered any more: let httpcore know."""
        if self._frames is not None:
            self._unread += self._frames.release()
            self._woken.set()

    def abort(self) -> None:
        """Close at once, without a farewell."""
        if self._transport is not None:
            self._transport.abort()

    # For whoever sends over it.

    def expect_reply(self) -> None:
        """A request is about to be written over HTTP/1.1."""
        assert self._reader is not None
        self._reader.restart()
        self._known.data = b""  # of a reply that is known the headers are not, and who wrote it shows in them
        self._request_bytes = 0
        self.reply = None
        self._is_expecting = True

    @property
    def reply_fields(self) -> Mapping[bytes, bytes]:
        """The headers of ``reply``, names in lower case."""
        assert self._reader is not None
        return self._reader.fields

    @property
    def unread_bytes(self) -> int:
        """How much has come that was not read."""
        return len(self._unread)

    @property
    def last_stream(self) -> int | None:
        """The last one of HTTP/2 that will be answered, once the other side has said which that is."""
        return None if self._frames is None else self._frames.last_stream

    def reply_was_whole(self) -> None:
        """A reply of HTTP/2 has come to its end: the bounds on frames begin anew."""
        assert self._frames is not None
        self._frames.restart()

    @property
    def may_reuse(self) -> bool:
        """Whether the last reply was read cleanly to its end, the receiver has read the request to its end,
        as far as can be told, and it keeps the connection. Over HTTP/2, whether it is still there."""
        if self.has_ended or self._transport is None or self._transport.is_closing():
            return False
        if self._reader is None:
            return True
        if not self._reader.may_reuse or self._unread or self.reply is None:
            return False
        return not may_be_early(self._transport, request_bytes=self._request_bytes, status=self.reply.status)

    # What follows is called by httpcore.

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109 - httpcore's
        """What has come, at least a byte; nothing when no more will. Over HTTP/1.1 nothing is shown before
        the reply is whole, and nothing of a long one: httpcore fails then, and the reply is there all the
        same."""
        if self._reader is None and self._unread:
            await asyncio.sleep(0)  # between two bites everybody else has a turn
        while not (self._unread if self._reader is None else self._is_over()):
            if self.has_ended:
                return b""
            await self._wake()
        if self._reader is not None and (self.reply is None or len(self._unread) > SHOWN_BYTES_MAX):
            return b""
        size_bytes = max_bytes if self._reader is not None else BITE_BYTES
        data = bytes(self._unread[:size_bytes])
        del self._unread[:size_bytes]
        if self._is_paused and len(self._unread) < UNREAD_BYTES_MAX and not self.has_ended:
            self._is_paused = False
            self.transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - httpcore's
        """Returns when the transport has taken it or the connection ended; over HTTP/1.1 also as soon as a
        reply begins, since a receiver may refuse a body that it has not read. After the end it goes nowhere:
        a reply may have come before it, and who reads is told of the end."""
        if buffer and not self.has_ended:
            self.transport.write(buffer)
            self._request_bytes += len(buffer)
            if self._frames is not None:
                self._frames.sent(len(buffer))
        while self._is_full and not self.has_ended and not (self._reader is not None and self._unread):
            await self._wake()

    async def aclose(self) -> None:
        self.abort()

    def get_extra_info(self, info: str) -> Any:  # whatever httpcore asks for
        return not self.may_reuse if info == "is_readable" else None

    # What follows is called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        if self._frames is not None:
            self._read_frames(self._frames, data)
        else:
            if self._reader is not None:
                self._read_reply(self._reader, data)
                # Enough to know that it is too long to be shown.
                data = data[: max(0, SHOWN_BYTES_MAX + 1 - len(self._unread))]
            self._unread += data
        if self._reader is None and len(self._unread) > UNREAD_BYTES_MAX and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()
        self._woken.set()

    def eof_received(self) -> None:
        if self._reader is not None and self._is_expecting:
            self.reply = self._reader.end()
            self._is_expecting = False
        # Over TLS, a close would wait for the other side.
        self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.has_ended = True
        if isinstance(error, ssl.SSLError):
            self.tls_fault = error.reason or str(error)
        if self._reader is not None:
            self._reader.close()
        self._woken.set()
        if self.ended is not None:
            self.ended()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._woken.set()

    def _is_over(self) -> bool:
        return self.reply is not None or bool(self.fault)

    def _read_reply(self, reader: ReplyReader, data: bytes) -> None:
        if not self._is_expecting:
            self.abort()
            return
        try:
            self.reply = reader.feed(data)
        except ReplyFault as fault:
            self.fault = str(fault)
            self.abort()
        if self._is_over():
            self._is_expecting = False

    def _read_frames(self, frames: FrameFilter, data: bytes) -> None:
        self._unread += frames.feed(data)
        if frames.fault:
            self.fault = frames.fault
            self.abort()
        if self._came is not None:
            self._came()

    async def _wake(self) -> None:
        # Over HTTP/2 one may read while others wait to write: each looks for itself what has changed.
        self._woken.clear()
        await self._woken.wait()
