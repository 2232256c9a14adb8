"""A receiver that speaks HTTP/2 and does what a test says, stream by stream: friendly or broken."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events


@dataclass
class Http2Request:
    """``headers`` as they came, pseudo-headers first."""

    headers: list[tuple[str, str]]
    body: bytes = b""


class Http2Peer:
    """One connection, as the receiver sees it. ``index`` counts connections from 0."""

    def __init__(self, index: int, writer: asyncio.StreamWriter) -> None:
        config = h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_outbound_headers=False
        )
        self.index = index
        self.h2 = h2.connection.H2Connection(config)
        self.writer = writer

    def reply(self, stream: int, status: int = 200, body: bytes = b"ok") -> None:
        length = ("content-length", str(len(body)))
        self.h2.send_headers(stream, [(":status", str(status)), length])
        self.h2.send_data(stream, body, end_stream=True)

    def abort(self) -> None:
        self.writer.transport.abort()


# Called when a request is whole; what it does to ``peer.h2`` is sent after it.
Answer = Callable[[Http2Peer, int], None]


@dataclass
class Http2Receiver:
    port: int = 0
    accepted: int = 0
    requests: list[Http2Request] = field(default_factory=list)
    open_at_once_max: int = 0
    handlers: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.port}{path}"


@asynccontextmanager
async def http2_receiving(answer: Answer, tls: ssl.SSLContext) -> AsyncIterator[Http2Receiver]:
    """Serve on a free port of 127.0.0.1 until the block ends. ``tls`` is told to negotiate HTTP/2."""
    tls.set_alpn_protocols(["h2"])
    receiver = Http2Receiver()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        receiver.handlers.add(task)
        peer = Http2Peer(receiver.accepted, writer)
        receiver.accepted += 1
        streams: dict[int, Http2Request] = {}
        try:
            peer.h2.initiate_connection()
            writer.write(peer.h2.data_to_send())
            while data := await reader.read(65536):
                for event in peer.h2.receive_data(data):
                    match event:
                        case h2.events.RequestReceived():
                            streams[event.stream_id] = Http2Request(
                                [(str(name), str(value)) for name, value in event.headers]
                            )
                        case h2.events.DataReceived():
                            streams[event.stream_id].body += event.data
                            peer.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        case h2.events.StreamEnded():
                            receiver.requests.append(streams.pop(event.stream_id))
                            receiver.open_at_once_max = max(
                                receiver.open_at_once_max, peer.h2.open_inbound_streams
                            )
                            answer(peer, event.stream_id)
                writer.write(peer.h2.data_to_send())
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the sender has gone, or the test is over
        finally:
            writer.transport.abort()
            receiver.handlers.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in tuple(receiver.handlers):
            task.cancel()
        await asyncio.gather(*receiver.handlers, return_exceptions=True)
        await server.wait_closed()
