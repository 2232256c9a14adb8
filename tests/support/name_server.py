"""A name server that knows some names, and of all others says nothing at all."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import struct
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from types import TracebackType
from typing import cast

_TYPE_A = 1
_LOOK_FOR_END_S = 0.05


@asynccontextmanager
async def name_server(names: Mapping[str, str | Sequence[str]]) -> AsyncIterator[str]:
    """Yields ``address:port`` on 127.0.0.1. ``names`` lead to one IPv4 address each, or to as many as one
    datagram holds, for a minute, and have none of IPv6."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _NameServer(names), local_addr=("127.0.0.1", 0), family=socket.AF_INET
    )
    try:
        yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


class NameServer:
    """The same at ``address``, port 53, on a thread of its own: it can go away and come back. Its answers are
    not to be remembered."""

    def __init__(self, address: str, names: Mapping[str, str]) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                query, asked = self.request
                if answer := _answer(names, query, ttl_s=0):
                    asked.sendto(answer, self.client_address)

        self._address = (address, 53)
        self._handler = Handler
        self._server: socketserver.UDPServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._server = socketserver.UDPServer(self._address, self._handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_LOOK_FOR_END_S,))
        self._thread.start()

    def stop(self) -> None:
        """From now on there is none: who asks is told so by the system."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> NameServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _NameServer(asyncio.DatagramProtocol):
    def __init__(self, names: Mapping[str, str | Sequence[str]]) -> None:
        self._names = names

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        if answer := _answer(self._names, data, ttl_s=60):
            self._transport.sendto(answer, addr)


def _answer(names: Mapping[str, str | Sequence[str]], query: bytes, *, ttl_s: int) -> bytes:
    """Empty when nothing is known of the name."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    question, (kind,) = query[12 : at + 5], struct.unpack("!H", query[at + 1 : at + 3])
    known = names.get(".".join(labels).lower())
    if known is None:
        return b""
    addresses = ([known] if isinstance(known, str) else known) if kind == _TYPE_A else []
    head = query[:2] + struct.pack("!HHHHH", 0x8580, 1, len(addresses), 0, 0)
    record = struct.pack("!HHHIH", 0xC00C, _TYPE_A, 1, ttl_s, 4)
    return head + question + b"".join(record + IPv4Address(address).packed for address in addresses)
