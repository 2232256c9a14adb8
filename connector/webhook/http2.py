"""httpcore's connection of HTTP/2, mended where a receiver could make it wait.

httpcore lets one request at a time through until a receiver names a number, which Node and others never do,
and the rest queue within it. Here a connection has begun when the receiver has said in its SETTINGS how many
it takes. The pool keeps to that number, so nothing queues within.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import h2.config
import h2.events
import httpcore

from connector.webhook.wire import Wire

STREAMS_MAX = 100
"""Requests at once over one connection where the receiver allows more. Servers commonly allow 100 or 128."""


class Http2(httpcore.AsyncHTTP2Connection):
    """``limited`` is called with the number of requests that may be sent at once, whenever the receiver says
    it. ``left_unsent``: a receiver answered without having read the request."""

    # httpcore lets replies without a status pass, as 200.
    CONFIG = h2.config.H2Configuration(validate_inbound_headers=True)

    def __init__(self, origin: httpcore.Origin, wire: Wire, limited: Callable[[int], None]) -> None:
        super().__init__(origin, wire)
        self.left_unsent = False
        self._limited = limited
        self._takes_requests = False
        self._max_streams_semaphore = _Open()  # type: ignore[assignment]  # it is asked for no more

    async def begin(self) -> None:
        """Greet, and return when the receiver takes a request. Raises what is wrong with what it says."""
        greeting = httpcore.Request(b"PRI", "https://nowhere.invalid/")
        await self._send_connection_init(greeting)
        self._sent_connection_init = True
        while not self._takes_requests:
            await self._receive_events(greeting)

    async def catch_up(self, request: httpcore.Request) -> None:
        """Read what came while nobody was listening. Raises what is wrong with it."""
        wire = cast(Wire, self._network_stream)
        while wire.unread_bytes:
            await self._read_unless(lambda: not wire.unread_bytes, request)

    async def _receive_remote_settings_change(self, event: h2.events.RemoteSettingsChanged) -> None:  # noqa: ARG002 - h2 has taken it in
        # httpcore's would wait for requests to end before it reads on, with the replies to them unread.
        streams_max = min(STREAMS_MAX, self._h2_state.remote_settings.max_concurrent_streams)
        self._takes_requests = streams_max > 0
        self._limited(streams_max)

    async def _send_request_body(self, request: httpcore.Request, stream_id: int) -> None:
        # httpcore's would wait for a window that never opens, or write to a stream that is no more.
        try:
            await super()._send_request_body(request, stream_id)
        except _Answered:
            self.left_unsent = True

    async def _wait_for_outgoing_flow(self, request: httpcore.Request, stream_id: int) -> int:
        while True:
            if self._is_over(stream_id):
                raise _Answered
            flow_bytes = self._flow_bytes(stream_id)
            if flow_bytes > 0:
                return flow_bytes
            await self._read_unless(
                lambda: self._is_over(stream_id) or self._flow_bytes(stream_id) > 0, request
            )

    async def _send_end_stream(self, request: httpcore.Request, stream_id: int) -> None:
        # It may have ended since the last of the body was handed over, which waits for others to write.
        if self._is_over(stream_id):
            raise _Answered
        await super()._send_end_stream(request, stream_id)

    def _is_over(self, stream_id: int) -> bool:
        return any(isinstance(event, _ENDS_OF_STREAM) for event in self._events[stream_id])

    def _flow_bytes(self, stream_id: int) -> int:
        flow_bytes: int = self._h2_state.local_flow_control_window(stream_id)
        return min(flow_bytes, self._h2_state.max_outbound_frame_size)

    async def _read_unless(self, is_enough: Callable[[], bool], request: httpcore.Request) -> None:
        request.extensions["is_enough"] = is_enough
        try:
            await self._receive_events(request)
        finally:
            del request.extensions["is_enough"]

    async def _read_incoming_data(self, request: httpcore.Request) -> list[h2.events.Event]:
        # One reads for all. While we waited for our turn another may have read what we wait for, and the
        # receiver may have no more to say until we go on.
        is_enough = request.extensions.get("is_enough")
        if is_enough is not None and is_enough():
            return []
        return await super()._read_incoming_data(request)


class _Answered(Exception):
    """Leaves the sending of a body that the receiver does not wait for."""


class _Open:
    """In place of httpcore's semaphore: whoever comes may go through."""

    async def acquire(self) -> None: ...

    async def release(self) -> None: ...


_ENDS_OF_STREAM = (h2.events.StreamEnded, h2.events.StreamReset)
