"""A receiver that does exactly what a test says, down to the byte: friendly, broken or hostile.

``async with receiving(behave) as receiver`` serves ``behave(peer)`` for every connection on a free
port of 127.0.0.1. What came in is kept: ``receiver.requests``, ``receiver.accepted``.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """One request as received. ``headers`` have names in lower case; ``raw`` is all of it."""

    line: str
    headers: dict[str, str]
    body: bytes
    raw: bytes


class Peer:
    """One connection, as the receiver sees it. ``index`` counts connections from 0."""

    def __init__(
        self, receiver: Receiver, index: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.index = index
        self.sent_bytes = 0
        self._receiver = receiver
        self._reader = reader
        self._writer = writer

    @property
    def client_names(self) -> list[str]:
        """The DNS names in the certificate that the sender showed."""
        shown = self._writer.get_extra_info("peercert") or {}
        return [name for kind, name in shown.get("subjectAltName", ()) if kind == "DNS"]

    async def request(self) -> Request:
        """Read one request. Raises ``asyncio.IncompleteReadError`` when the sender has closed."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        line, *lines = head[:-4].decode("ascii").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines)}
        body = await self._reader.readexactly(int(headers["content-length"]))
        request = Request(line, headers, body, head + body)
        self._receiver.requests.append(request)
        return request

    async def request_begun(self) -> None:
        """Return when any byte of a request has come; it is not read further."""
        await self._reader.readexactly(1)

    async def send(self, data: bytes) -> None:
        """Write, and wait while the sender does not take it. Raises ``ConnectionError`` if it has closed."""
        if self._writer.transport.is_closing():
            raise ConnectionResetError("the sender has closed")  # uvloop's would be a RuntimeError
        self._writer.write(data)
        self.sent_bytes += len(data)
        await self._writer.drain()

    async def closed(self) -> None:
        """Return when the sender has closed the connection, whatever it sends before."""
        with suppress(ConnectionError):
            while await self._reader.read(65536):
                pass

    def reset(self) -> None:
        """Close with a reset instead of an end."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        """Close in good order."""
        self._writer.close()


Behaviour = Callable[[Peer], Awaitable[None]]


@dataclass
class Receiver:
    """What a test sees of its receiver."""

    scheme: str
    port: int = 0
    accepted: int = 0
    requests: list[Request] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)
    handlers: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"


@asynccontextmanager
async def receiving(
    behave: Behaviour, tls: ssl.SSLContext | None = None, *, port: int = 0
) -> AsyncIterator[Receiver]:
    """Serve ``behave`` until the block ends, at any free port unless one is given; what is still open then is
    cut."""
    receiver = Receiver("https" if tls else "http")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        receiver.handlers.add(task)
        peer = Peer(receiver, receiver.accepted, reader, writer)
        receiver.accepted += 1
        receiver.peers.append(peer)
        try:
            await behave(peer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the sender has gone, or the test is over
        finally:
            writer.transport.abort() if tls else writer.close()
            receiver.handlers.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in tuple(receiver.handlers):
            task.cancel()
        await asyncio.gather(*receiver.handlers, return_exceptions=True)
        await server.wait_closed()


def ok(body: bytes = b"ok", headers: bytes = b"") -> bytes:
    """A plain 200 that keeps the connection."""
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, len(body), body)


def always(data: bytes) -> Behaviour:
    """Answer every request of every connection with the same bytes."""

    async def behave(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(data)

    return behave


def answering_early(status: int) -> Behaviour:
    """Over the first connection, answer as soon as a request begins, read no more, and keep it; over others
    answer all as they should be."""

    async def behave(peer: Peer) -> None:
        if peer.index == 0:
            await peer.request_begun()
            await peer.send(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
            await asyncio.get_running_loop().create_future()
        await always(ok())(peer)

    return behave
