"""A link over HTTP/2 without a socket, and the server at its other end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import httpcore

from connector.webhook.guard import Guard
from connector.webhook.link import Link
from connector.webhook.place import Place
from connector.webhook.target import parse_target
from connector.webhook.wire import Wire

TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Server(asyncio.Transport):
    """The other side of a wire: answers every request with an empty 204, or with these frames and its end."""

    def __init__(self, wire: Wire, frames: bytes | None = None) -> None:
        super().__init__()
        self.wire = wire
        self.frames = frames
        self.requests = 0
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.h2.initiate_connection()
        wire.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        for event in self.h2.receive_data(bytes(data)):
            if isinstance(event, h2.events.StreamEnded):
                self.requests += 1
                if self.frames is not None:
                    asyncio.get_running_loop().call_soon(self.wire.data_received, self.frames)
                    asyncio.get_running_loop().call_soon(self.abort)
                    continue
                self.h2.send_headers(event.stream_id, [(":status", "204")], end_stream=True)
        if reply := self.h2.data_to_send():
            asyncio.get_running_loop().call_soon(self.wire.data_received, reply)

    def abort(self) -> None:
        asyncio.get_running_loop().call_soon(self.wire.connection_lost, None)

    def is_closing(self) -> bool:
        return self.wire.has_ended

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def a_link(serve: Callable[[Wire], Server]) -> tuple[Link, Server]:
    target = parse_target("https://partner.example/hook", allow_http=False, guard=Guard())
    link = Link(Place(target, None, TLS, wants_http2=True), wire := Wire(), is_http2=True)
    return link, serve(wire)


async def link_to_a_server(serve: Callable[[Wire], Server] = Server) -> tuple[Link, Server]:
    link, server = a_link(serve)
    assert await link.begin() is None
    return link, server


def a_request(body: bytes = b"{}") -> httpcore.Request:
    return httpcore.Request(
        b"POST",
        "https://partner.example/hook",
        headers=[(b"Host", b"partner.example"), (b"Content-Length", b"%d" % len(body))],
        content=body,
    )
