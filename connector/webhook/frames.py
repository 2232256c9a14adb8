"""What of a receiver's frames of HTTP/2 is let through to h2, which takes any number of them.

Frames that bring a reply no nearer (PING, SETTINGS, empty DATA, interim heads and so on) cost a receiver 9
bytes each and us some 40 µs. So they are counted, and past a bound nothing more passes: whoever waits for a
reply is told why. The bounds are of one connection and begin anew with every whole reply.

A graceful GOAWAY is held back until what it does not concern is answered. A server that wants to close says
GOAWAY with the last stream that it will answer, and then answers those up to it: nginx and hypercorn do so
after every 1,000 requests. httpcore takes the frame for the end of all streams. Released later, it says of
the rest that they were not processed, which they were not.
"""

from __future__ import annotations

FRAMES_MAX = 1_000
"""Frames before the next whole reply: ten for each of a hundred streams, where servers send two to four. One
more is granted for each KiB sent to the receiver, which may confirm a body piece by piece."""

BYTES_MAX = 1024 * 1024
"""Bytes before the next whole reply: four replies of the greatest length, as many streams share them."""

HEAD_BYTES_MAX = 16 * 1024
"""The longest head of a reply, compressed, over all its frames. h2 would decode a megabyte at once. It is one
frame of the usual greatest size, and common servers send below 1 KiB."""

SENT_BYTES_PER_FRAME = 1024

_FRAME_HEAD_BYTES = 9
_HEADERS, _GOAWAY, _CONTINUATION = 0x01, 0x07, 0x09
_GOAWAY_BYTES_MAX = 1_024
"""The longest GOAWAY that is looked at; 17 bytes and some text for debugging are usual."""


class FrameFilter:
    """``last_stream`` is the last one that will be answered, ``None`` while nothing was said of an end.
    ``fault`` is set when a bound was passed; what came before it has been shown, nothing is after it."""

    __slots__ = (
        "_bytes", "_frames", "_head", "_head_bytes", "_held", "_passing", "_sent_bytes", "fault",
        "last_stream",
    )  # fmt: skip

    def __init__(self) -> None:
        self.last_stream: int | None = None
        self.fault = ""
        self._head = bytearray()  # of the frame that begins, or all of a GOAWAY
        self._passing = 0  # bytes of the frame that is let through
        self._held = b""
        self._head_bytes = 0  # of the last head of a reply, which may go on
        self.restart()

    def restart(self) -> None:
        """A reply is whole: the bounds begin anew."""
        self._frames = 0
        self._bytes = 0
        self._sent_bytes = 0

    def sent(self, size_bytes: int) -> None:
        """So much was sent to the receiver."""
        self._sent_bytes += size_bytes

    def feed(self, data: bytes) -> bytearray:
        """What of ``data`` may be shown now."""
        shown = bytearray()
        at = 0
        while at < len(data) and not self.fault:
            if self._passing:
                piece = data[at : at + self._passing]
                shown += piece
                self._passing -= len(piece)
                at += len(piece)
                continue
            piece = data[at : at + self._wanted() - len(self._head)]
            self._head += piece
            at += len(piece)
            if len(self._head) >= _FRAME_HEAD_BYTES and len(self._head) == self._wanted():
                self._take(bytes(self._head), shown)
        return shown

    def release(self) -> bytes:
        """What was held back, once."""
        held, self._held = self._held, b""
        return held

    def _wanted(self) -> int:
        """How much of the frame is to be collected before it is judged: all of a GOAWAY, else its head."""
        if len(self._head) >= _FRAME_HEAD_BYTES and self._head[3] == _GOAWAY:
            size = int.from_bytes(self._head[:3], "big")
            if 8 <= size <= _GOAWAY_BYTES_MAX:
                return _FRAME_HEAD_BYTES + size
        return _FRAME_HEAD_BYTES

    def _take(self, frame: bytes, shown: bytearray) -> None:
        self._head.clear()
        size_bytes = int.from_bytes(frame[:3], "big")
        self._count(frame[3], size_bytes)
        if self.fault:
            return
        if len(frame) > _FRAME_HEAD_BYTES and not any(frame[13:17]):  # no error
            # A server may announce the end first, and name the last stream later.
            self.last_stream = int.from_bytes(frame[9:13], "big") & 0x7FFF_FFFF
            self._held = frame
            return
        shown += frame
        if len(frame) == _FRAME_HEAD_BYTES:
            self._passing = size_bytes

    def _count(self, kind: int, size_bytes: int) -> None:
        self._frames += 1
        self._bytes += _FRAME_HEAD_BYTES + size_bytes
        if kind == _HEADERS:
            self._head_bytes = size_bytes
        elif kind == _CONTINUATION:
            self._head_bytes += size_bytes
        if self._frames > FRAMES_MAX + self._sent_bytes // SENT_BYTES_PER_FRAME:
            self.fault = f"more than {FRAMES_MAX} frames of HTTP/2 without a whole reply"
        elif self._bytes > BYTES_MAX:
            self.fault = f"more than {BYTES_MAX} bytes of HTTP/2 without a whole reply"
        elif self._head_bytes > HEAD_BYTES_MAX:
            self.fault = f"the head of the reply is longer than {HEAD_BYTES_MAX} bytes"
