"""A TCP proxy that misbehaves on request: what stands between the connector and a server in fault tests.

It runs an event loop in a thread of its own, so tests of every kind can use it. A fault begins at once,
for the connections there are and for new ones, and lasts until :meth:`FaultProxy.heal`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from deploy.testbed.ports import free_port

_CHUNK_BYTES = 65_536
_CALL_TIMEOUT_S = 10
_HARD_CLOSE = struct.pack("ii", 1, 0)  # linger for 0 s: a reset instead of a polite end


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong just now. ``bytes_per_s`` 0 means no limit."""

    is_stalled: bool = False
    latency_ms: int = 0
    bytes_per_s: int = 0


class FaultProxy:
    """Forwards to a loopback port. Use it as a context manager; clients connect to :attr:`port`."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = free_port()
        self.connections = 0
        """Connections taken so far."""
        self._faults = Faults()
        self._changed: asyncio.Event
        self._server: asyncio.Server | None = None
        self._pairs: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)

    # ── faults ──────────────────────────────────────────────────────────────────────────────────

    def cut(self) -> None:
        """Reset every connection and refuse new ones, like a server that is not there."""
        self._call(self._close_server())
        self._call(self._reset())

    def reset(self) -> None:
        """Reset every connection once; new ones work."""
        self._call(self._reset())

    def stall(self) -> None:
        """Take connections and bytes, and pass nothing on, in either direction."""
        self._set(lambda faults: replace(faults, is_stalled=True))

    def trickle(self, bytes_per_s: int) -> None:
        """Pass on so many bytes per second at most, in each direction of each connection."""
        self._set(lambda faults: replace(faults, bytes_per_s=bytes_per_s))

    def delay(self, latency_ms: int) -> None:
        """Hold what comes for so long before passing it on, in each direction."""
        self._set(lambda faults: replace(faults, latency_ms=latency_ms))

    def heal(self) -> None:
        """No faults any more. What stalled goes on; what was cut has to be connected anew."""
        self._set(lambda _: Faults())
        self._call(self._open_server())

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self._call(self._prepare())
        self._call(self._open_server())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._close_server())
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_TIMEOUT_S)
        self._loop.close()

    async def _prepare(self) -> None:
        self._changed = asyncio.Event()

    async def _open_server(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._take, "127.0.0.1", self.port)

    async def _close_server(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _reset(self) -> None:
        for writer in self._writers:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HARD_CLOSE)
        await self._end()

    async def _end(self) -> None:
        pairs = list(self._pairs)
        for pair in pairs:
            pair.cancel()
        await asyncio.gather(*pairs, return_exceptions=True)
        await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next turn

    # ── forwarding ──────────────────────────────────────────────────────────────────────────────

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = self._loop.create_task(self._join(reader, writer))
        self.connections += 1
        self._pairs.add(pair)
        pair.add_done_callback(self._pairs.discard)

    async def _join(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        writers = {to_client}
        self._writers.add(to_client)
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self.target_port)
            writers.add(to_server)
            self._writers.add(to_server)
            async with asyncio.TaskGroup() as both_ways:
                both_ways.create_task(self._forward(client, to_server))
                both_ways.create_task(self._forward(server, to_client))
        except* OSError:
            pass  # one side went away: so does the other
        finally:
            self._writers -= writers
            for writer in writers:
                writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(self._chunk_bytes()):
            await self._suffer(len(chunk))
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    def _chunk_bytes(self) -> int:
        """A tenth of a second's worth when there is a limit, so that bytes really come slowly."""
        limit = self._faults.bytes_per_s
        return max(1, limit // 10) if limit else _CHUNK_BYTES

    async def _suffer(self, size_bytes: int) -> None:
        if self._faults.latency_ms:
            await asyncio.sleep(self._faults.latency_ms / 1_000)
        if self._faults.bytes_per_s:
            await asyncio.sleep(size_bytes / self._faults.bytes_per_s)
        while self._faults.is_stalled:
            self._changed.clear()
            await self._changed.wait()

    def _set(self, change: Callable[[Faults], Faults]) -> None:
        async def apply() -> None:
            self._faults = change(self._faults)
            self._changed.set()

        self._call(apply())

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_TIMEOUT_S)
