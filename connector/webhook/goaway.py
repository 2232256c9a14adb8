"""Keeps a graceful GOAWAY of HTTP/2 back until what it does not concern is answered.

A server that wants to close says GOAWAY with the last stream that it will answer, and then answers those
up to it: nginx and hypercorn do so after every 1,000 requests. httpcore takes the frame for the end of
all streams. So it is held back here until no stream up to the last one is open; httpcore then says of the
rest that they were not processed, which they were not.
"""

from __future__ import annotations

_HEAD_BYTES = 9
_GOAWAY = 0x07
_FRAME_BYTES_MAX = 1_024
"""The longest GOAWAY that is looked at; 17 bytes and some text for debugging are usual."""


class GoawayHolder:
    """``last_stream`` is the last one that will be answered, ``None`` while nothing was said of an end."""

    __slots__ = ("_head", "_held", "_left", "last_stream")

    def __init__(self) -> None:
        self.last_stream: int | None = None
        self._head = bytearray()
        self._left = 0
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What of ``data`` may be shown now."""
        shown = bytearray()
        while data:
            if self._left:
                shown += data[: self._left]
                data, self._left = data[self._left :], max(0, self._left - len(data))
                continue
            wanted = self._wanted() - len(self._head)
            self._head += data[:wanted]
            data = data[wanted:]
            if len(self._head) >= _HEAD_BYTES and len(self._head) == self._wanted():
                self._take(shown)
        return bytes(shown)

    def release(self) -> bytes:
        """What was held back, once."""
        held, self._held = self._held, b""
        return held

    def _wanted(self) -> int:
        """How much of the frame is to be collected before it is judged: all of a GOAWAY, else its head."""
        if len(self._head) >= _HEAD_BYTES and self._head[3] == _GOAWAY:
            size = int.from_bytes(self._head[:3], "big")
            if 8 <= size <= _FRAME_BYTES_MAX:
                return _HEAD_BYTES + size
        return _HEAD_BYTES

    def _take(self, shown: bytearray) -> None:
        frame = bytes(self._head)
        self._head.clear()
        if len(frame) > _HEAD_BYTES and not any(frame[13:17]):  # no error
            # A server may announce the end first, and name the last stream later.
            self.last_stream = int.from_bytes(frame[9:13], "big") & 0x7FFF_FFFF
            self._held = frame
            return
        shown += frame
        if len(frame) == _HEAD_BYTES:
            self._left = int.from_bytes(frame[:3], "big")
