"""A receiver that speaks HTTP/2 and does what a test says, stream by stream: friendly or broken."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
from h2.settings import SettingCodes, Settings


@dataclass
class Http2Request:
    """``headers`` as they came, pseudo-headers first."""

    headers: list[tuple[str, str]]
    body: bytes = b""


class Http2Peer:
    """One connection, as the receiver sees it. ``index`` counts connections from 0; ``gone`` is set at its
    end."""

    def __init__(self, index: int, writer: asyncio.StreamWriter, streams_max: int | None) -> None:
        config = h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_outbound_headers=False
        )
        self.index = index
        self.h2 = h2.connection.H2Connection(config)
        said = {} if streams_max is None else {SettingCodes.MAX_CONCURRENT_STREAMS: streams_max}
        self.h2.local_settings = Settings(client=False, initial_values=said)
        self.writer = writer
        self.sent_bytes = 0
        self.gone = asyncio.Event()

    def reply(self, stream: int, status: int = 200, body: bytes = b"ok") -> None:
        length = ("content-length", str(len(body)))
        self.h2.send_headers(stream, [(":status", str(status)), length])
        self.h2.send_data(stream, body, end_stream=True)

    def reply_later(self, *streams: int) -> None:
        """Reply outside of an :data:`Answer`."""
        for stream in streams:
            self.reply(stream)
        self.flush()

    def flush(self) -> None:
        """Send what was done to ``h2`` now."""
        self.writer.write(self.h2.data_to_send())

    def allow(self, streams_max: int) -> None:
        """Let so many requests come at once from now on."""
        self.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: streams_max})

    async def send(self, data: bytes) -> None:
        """Write bytes past ``h2``, and wait while the sender does not take them. Raises ``ConnectionError``
        if it has closed."""
        if self.writer.transport.is_closing():
            raise ConnectionResetError("the sender has closed")  # uvloop's would be a RuntimeError
        self.writer.write(data)
        self.sent_bytes += len(data)
        await self.writer.drain()
        # TLS that is being closed drops all at once: without a turn for others a flood would never end.
        await asyncio.sleep(0)

    def abort(self) -> None:
        self.writer.transport.abort()

    def close(self) -> None:
        """Close in good order."""
        self.writer.close()


# Called when a request is whole; what it does to ``peer.h2`` is sent after it, and what it returns is run.
Answer = Callable[[Http2Peer, int], Awaitable[None] | None]


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """One frame, right or wrong."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


@dataclass
class Http2Receiver:
    port: int = 0
    accepted: int = 0
    requests: list[Http2Request] = field(default_factory=list)
    open_at_once_max: int = 0
    peers: list[Http2Peer] = field(default_factory=list)
    handlers: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.port}{path}"


@asynccontextmanager
async def http2_receiving(
    answer: Answer,
    tls: ssl.SSLContext,
    *,
    streams_max: int | None = 100,
    reads_bodies: bool = True,
    greet: Callable[[Http2Peer], None] = Http2Peer.flush,
) -> AsyncIterator[Http2Receiver]:
    """Serve on a free port of 127.0.0.1 until the block ends. ``tls`` is told to negotiate HTTP/2;
    ``streams_max`` requests may come at once over a connection, and of ``None`` nothing is said. One that
    reads no bodies answers the head, and lets no more come than the first window. ``greet`` sends the
    SETTINGS that ``peer.h2`` has ready."""
    tls.set_alpn_protocols(["h2"])
    receiver = Http2Receiver()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        receiver.handlers.add(task)
        peer = Http2Peer(receiver.accepted, writer, streams_max)
        receiver.peers.append(peer)
        receiver.accepted += 1
        doings: list[asyncio.Task[None]] = []
        streams: dict[int, Http2Request] = {}
        try:
            peer.h2.initiate_connection()
            greet(peer)
            while data := await reader.read(65536):
                for event in peer.h2.receive_data(data):
                    match event:
                        case h2.events.RequestReceived():
                            streams[event.stream_id] = Http2Request(
                                [(str(name), str(value)) for name, value in event.headers]
                            )
                            if not reads_bodies:
                                answer(peer, event.stream_id)
                        case h2.events.DataReceived() if reads_bodies:
                            streams[event.stream_id].body += event.data
                            peer.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        case h2.events.StreamEnded() if reads_bodies:
                            receiver.requests.append(streams.pop(event.stream_id))
                            receiver.open_at_once_max = max(
                                receiver.open_at_once_max, peer.h2.open_inbound_streams
                            )
                            doing = answer(peer, event.stream_id)
                            if doing is not None:
                                doings.append(asyncio.create_task(_done(doing)))
                if reply := peer.h2.data_to_send():
                    writer.write(reply)
                    await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the sender has gone, or the test is over
        finally:
            writer.transport.abort()
            for each in doings:
                each.cancel()
            await asyncio.gather(*doings, return_exceptions=True)
            peer.gone.set()
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


async def _done(doing: Awaitable[None]) -> None:
    with suppress(ConnectionError):  # the sender has gone
        await doing
