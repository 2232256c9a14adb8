"""An egress proxy for tests: CONNECT and plain http, with the faults that proxies have.

It resolves names by a table of its own (everything else does not exist, and an empty address is never
found), and says in ``Proxy-Status``
(RFC 9209) why it cannot reach a receiver, unless it is told to be silent about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_REASONS = {403: b"Forbidden", 407: b"Proxy Authentication Required", 502: b"Bad Gateway"}


@dataclass
class EgressProxy:
    """What a test says to its proxy and sees of it. ``asked`` are the request lines.

    ``answer`` is sent instead of doing anything; ``is_silent`` takes requests and does nothing.
    """

    names: dict[str, str] = field(default_factory=dict)
    explains: bool = True
    answer: bytes = b""
    is_silent: bool = False
    port: int = 0
    asked: list[str] = field(default_factory=list)
    accepted: int = 0
    handlers: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def refusal(self, status: int, error: str) -> bytes:
        """A reply of the proxy's own."""
        mark = f"Proxy-Status: egress; error={error}\r\n".encode() if self.explains else b""
        reason = _REASONS.get(status, b"Refused")
        return b"HTTP/1.1 %d %b\r\n%bContent-Length: 5\r\n\r\nsorry" % (status, reason, mark)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.handlers.add(task)
        self.accepted += 1
        try:
            await self._converse(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # one side has gone, or the test is over
        finally:
            writer.transport.abort()
            self.handlers.discard(task)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.partition(b"\r\n")[0].decode("ascii")
        self.asked.append(line)
        if self.is_silent:
            await reader.read()
            return
        if self.answer:
            writer.write(self.answer)
            await writer.drain()
            await reader.read()
            return
        method, target, _ = line.split(" ")
        is_tunnel = method == "CONNECT"
        authority = target if is_tunnel else target.removeprefix("http://").partition("/")[0]
        host, _, port = authority.partition(":")
        address = host if host.replace(".", "").isdigit() else self.names.get(host)
        if address == "":
            await reader.read()
            return
        if address is None:
            writer.write(self.refusal(502, "dns_error"))
            await reader.read()
            return
        try:
            from_server, to_server = await asyncio.open_connection(address, int(port or 80))
        except OSError:
            writer.write(self.refusal(502, "connection_refused"))
            await reader.read()
            return
        try:
            if is_tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                to_server.write(_origin_form(head))
            await self._join(reader, writer, from_server, to_server, is_tunnel=is_tunnel)
        finally:
            to_server.transport.abort()

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        from_server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        *,
        is_tunnel: bool,
    ) -> None:
        """Pass everything on both ways until either side ends; rewrite the heads of forwarded requests."""

        async def back() -> None:
            while piece := await from_server.read(65536):
                writer.write(piece)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

        async def forth() -> None:
            while piece := await reader.read(65536):
                if not is_tunnel and piece.startswith(b"POST "):
                    self.asked.append(piece.partition(b"\r\n")[0].decode("ascii"))
                    piece = _origin_form(piece)
                to_server.write(piece)
                await to_server.drain()

        ways = [asyncio.create_task(back()), asyncio.create_task(forth())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


def _origin_form(head: bytes) -> bytes:
    line, rest = head.split(b"\r\n", 1)
    method, target, version = line.split(b" ")
    path = b"/" + target.removeprefix(b"http://").partition(b"/")[2]
    return b"%b %b %b\r\n%b" % (method, path, version, rest)


@asynccontextmanager
async def egress_proxy(**settings: object) -> AsyncIterator[EgressProxy]:
    """A proxy on a free port of 127.0.0.1 until the block ends."""
    proxy = EgressProxy(**settings)  # type: ignore[arg-type]  # its fields, by name
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tuple(proxy.handlers):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*proxy.handlers, return_exceptions=True)
        await server.wait_closed()
