"""A name server on 127.0.0.1 that knows some names, and of all others says nothing at all."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import cast

_TYPE_A = 1


@asynccontextmanager
async def name_server(names: Mapping[str, str]) -> AsyncIterator[str]:
    """Yields ``address:port``. ``names`` lead to one IPv4 address each, and have none of IPv6."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _NameServer(names), local_addr=("127.0.0.1", 0), family=socket.AF_INET
    )
    try:
        yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


class _NameServer(asyncio.DatagramProtocol):
    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode())
            at += 1 + data[at]
        question, (kind,) = data[12 : at + 5], struct.unpack("!H", data[at + 1 : at + 3])
        known = self._names.get(".".join(labels).lower())
        if known is None:
            return
        answers = kind == _TYPE_A
        head = data[:2] + struct.pack("!HHHHH", 0x8580, 1, answers, 0, 0)
        record = struct.pack("!HHHIH", 0xC00C, _TYPE_A, 1, 60, 4) + IPv4Address(known).packed
        self._transport.sendto(head + question + (record if answers else b""), addr)
