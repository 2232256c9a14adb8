"""Hostile receivers that speak HTTP/2, and what no sender that speaks it may let them do, over real TLS.

The counterpart of the table for HTTP/1.1, frame by frame: the deadline holds and frees the connection, no
memory is spent on it, no flood is read to its end, and the next request gets its own reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

import pytest
import trustme

from connector.core.outcome import Reply
from tests.contracts.sender_hostile_contract import DEADLINE_MS, SENT_BYTES_MAX
from tests.contracts.sender_tls_contract import server_tls
from tests.support.http2_receiver import Http2Peer, frame, http2_receiving
from tests.support.posting import LATE_MS, MakeSender, kind, post
from tests.support.traced_memory import traced_memory

MEMORY_BYTES_MAX = 3_000_000
"""What one reply may cost at its peak, the receiver's own buffers and TLS in the same process included."""

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
END_STREAM, END_HEADERS, PADDED = 0x1, 0x4, 0x8
NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL = 0x0, 0x2, 0x7, 0x8

STATUS_200 = b"\x88"  # in the static table of HPACK
STATUS_204 = b"\x89"
# A header of 127 bytes to be remembered, and then its place in the table of what is remembered.
UNPACKS_TO_2_MB = STATUS_200 + b"\x40\x01x\x7e" + b"y" * 126 + b"\xbe" * 16_000

Deed = Callable[[Http2Peer, int], Awaitable[None]]
Bytes = Callable[[int], bytes]
"""What is sent in answer to the request on this stream."""


@dataclass(frozen=True)
class Hostile:
    """What a receiver does once it has a request, and what the sender makes of it; of a request over a
    connection that was used before, ``kept`` if that differs."""

    name: str
    do: Deed
    outcome: str
    kept: str = ""

    def __str__(self) -> str:
        return self.name


def literal(name: bytes, value: bytes) -> bytes:
    """A header as HPACK has it, not compressed and not to be remembered."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def head(stream: int, block: bytes = STATUS_200, flags: int = END_HEADERS) -> bytes:
    return frame(HEADERS, block, flags=flags, stream=stream)


def body(stream: int, data: bytes, flags: int = 0) -> bytes:
    return frame(DATA, data, flags=flags, stream=stream)


def whole(stream: int, data: bytes = b"first") -> bytes:
    return head(stream) + body(stream, data, END_STREAM)


def nothing(stream: int) -> bytes:
    return b""


def goaway(last_stream: int, error: int = NO_ERROR) -> bytes:
    return frame(GOAWAY, last_stream.to_bytes(4, "big") + error.to_bytes(4, "big"))


def resets_stream(stream: int, error: int) -> bytes:
    return frame(RST_STREAM, error.to_bytes(4, "big"), stream=stream)


def says(*pieces: Bytes) -> Deed:
    """Send this, and then nothing more."""

    async def do(peer: Http2Peer, stream: int) -> None:
        for piece in pieces:
            await peer.send(piece(stream))

    return do


def ends(piece: Bytes) -> Deed:
    """Send this, and close in good order."""

    async def do(peer: Http2Peer, stream: int) -> None:
        await peer.send(piece(stream))
        peer.close()

    return do


def cuts(piece: Bytes) -> Deed:
    """Send this, and close without a farewell."""

    async def do(peer: Http2Peer, stream: int) -> None:
        await peer.send(piece(stream))
        peer.abort()

    return do


def dribbles(begin: Bytes, *more: Bytes) -> Deed:
    """Send the beginning at once, and of the rest a piece now and then."""

    async def do(peer: Http2Peer, stream: int) -> None:
        await peer.send(begin(stream))
        for piece in more:
            await peer.send(piece(stream))
            await asyncio.sleep(0.03)

    return do


def floods(begin: Bytes, more: Bytes) -> Deed:
    """Send the beginning, and the rest without end, some kilobytes at a time."""

    async def do(peer: Http2Peer, stream: int) -> None:
        await peer.send(begin(stream))
        piece = more(stream)
        piece *= 1 + 8_000 // len(piece)
        while True:
            await peer.send(piece)

    return do


THAT_WASTE_TIME = [
    Hostile("never answers", says(nothing), "timeout"),
    Hostile("stops in the head of a frame", says(lambda s: head(s)[:5]), "timeout"),
    Hostile("stops in a head", says(lambda s: head(s, bytes(50))[:30]), "timeout"),
    Hostile("stops before the rest of a head", says(lambda s: head(s, flags=0)), "timeout"),
    Hostile("stops after the head", says(head), "timeout"),
    Hostile("stops in the body", says(lambda s: head(s) + body(s, b"half")), "timeout"),
    Hostile("stops after 100 continue", says(lambda s: head(s, literal(b":status", b"100"))), "timeout"),
    Hostile("says that it will go away, and nothing more", says(lambda s: goaway(0x7FFF_FFFF)), "timeout"),
    Hostile(
        "a byte of the body at a time",
        dribbles(head, *[lambda s: body(s, b"x")] * 48),
        "timeout",
    ),
    Hostile(
        "a byte of a frame at a time",
        dribbles(nothing, *[lambda s, at=at: head(s, bytes(50))[at : at + 1] for at in range(48)]),
        "timeout",
    ),
    Hostile("pings now and then", dribbles(nothing, *[lambda s: frame(PING, bytes(8))] * 48), "timeout"),
    Hostile(
        "100 continue now and then",
        dribbles(nothing, *[lambda s: head(s, literal(b":status", b"100"))] * 48),
        "timeout",
    ),
]

FLOODS = [
    Hostile("PING without end", floods(nothing, lambda s: frame(PING, bytes(8))), "protocol"),
    Hostile("SETTINGS without end", floods(nothing, lambda s: frame(SETTINGS)), "protocol"),
    Hostile(
        "PRIORITY without end",
        floods(nothing, lambda s: frame(PRIORITY, b"\0\0\0\0\1", stream=s)),
        "protocol",
    ),
    Hostile(
        "WINDOW_UPDATE without end", floods(nothing, lambda s: frame(WINDOW_UPDATE, b"\0\0\0\1")), "protocol"
    ),
    Hostile("frames of an unknown kind", floods(nothing, lambda s: frame(0xEE)), "protocol"),
    Hostile(
        "long frames of an unknown kind", floods(nothing, lambda s: frame(0xEE, bytes(16_384))), "protocol"
    ),
    Hostile("GOAWAY without end", floods(nothing, lambda s: goaway(0x7FFF_FFFF)), "protocol"),
    Hostile(
        "100 continue without end",
        floods(nothing, lambda s: head(s, literal(b":status", b"100"))),
        "protocol",
    ),
    Hostile(
        "103 early hints without end",
        floods(nothing, lambda s: head(s, literal(b":status", b"103") + literal(b"link", b"</a>"))),
        "protocol",
    ),
    Hostile(
        "a head without end",
        floods(
            lambda s: head(s, STATUS_200, flags=0),
            lambda s: frame(CONTINUATION, literal(b"x-filler", b"yes"), stream=s),
        ),
        "protocol",
    ),
    Hostile(
        "a head of long frames without end",
        floods(
            lambda s: head(s, STATUS_200, flags=0),
            lambda s: frame(CONTINUATION, literal(b"x", b"y" * 120) * 130, stream=s),
        ),
        "protocol",
    ),
    Hostile(
        "CONTINUATION of nothing without end",
        floods(lambda s: head(s, STATUS_200, flags=0), lambda s: frame(CONTINUATION, stream=s)),
        "protocol",
    ),
    Hostile("a head that unpacks to 2 MB", says(lambda s: head(s, UNPACKS_TO_2_MB)), "protocol"),
    Hostile("a body without end", floods(head, lambda s: body(s, b"z" * 16_000)), "http-200"),
    Hostile("a body without end, a byte a frame", floods(head, lambda s: body(s, b"z")), "http-200"),
    Hostile("empty pieces of a body without end", floods(head, lambda s: body(s, b"")), "http-200"),
    Hostile("padding without end", floods(head, lambda s: body(s, b"\xff" + bytes(255), PADDED)), "http-200"),
    Hostile("PING without end after the head", floods(head, lambda s: frame(PING, bytes(8))), "http-200"),
    Hostile(
        "trailers without end",
        floods(
            lambda s: head(s) + body(s, b"ok") + head(s, literal(b"x", b"y"), flags=END_STREAM),
            lambda s: frame(CONTINUATION, literal(b"x-filler", b"yes"), stream=s),
        ),
        "http-200",
    ),
    Hostile(
        "a body that unpacks to 1 GB",
        floods(
            lambda s: head(s, STATUS_200 + literal(b"content-encoding", b"gzip")),
            lambda s: body(s, b"\x1f\x8b" + bytes(16_000)),
        ),
        "http-200",
    ),
]

THAT_BREAK_OFF = [
    Hostile(f"{what}, then {how}", do(piece), "reset", kept)
    for what, piece, kept in (
        ("nothing", nothing, "http-200"),  # sent once more over a new connection
        ("half a frame", lambda s: head(s, bytes(50))[:30], ""),
        ("a head", head, ""),
        ("half a body", lambda s: head(s) + body(s, b"half"), ""),
        ("100 continue alone", lambda s: head(s, literal(b":status", b"100")), ""),
        ("a graceful GOAWAY that lets the request be", lambda s: goaway(s), ""),
        ("a GOAWAY for an error that lets the request be", lambda s: goaway(s, INTERNAL_ERROR), ""),
    )
    for how, do in (("an end", ends), ("a cut", cuts))
]
THAT_BREAK_OFF += [
    Hostile("a reset of the stream", says(lambda s: resets_stream(s, INTERNAL_ERROR)), "reset"),
    Hostile("a reset of the stream without error", says(lambda s: resets_stream(s, NO_ERROR)), "reset"),
    Hostile(
        "a reset within the body",
        says(lambda s: head(s) + body(s, b"half") + resets_stream(s, CANCEL)),
        "reset",
    ),
    Hostile("resets of the stream without end", floods(nothing, lambda s: resets_stream(s, CANCEL)), "reset"),
    # What the receiver says that it has not begun with is sent once more.
    Hostile("a refused stream", says(lambda s: resets_stream(s, REFUSED_STREAM)), "http-200"),
    Hostile("a graceful GOAWAY before the request, then an end", ends(lambda s: goaway(s - 1)), "http-200"),
    Hostile("a graceful GOAWAY before the request", says(lambda s: goaway(s - 1)), "http-200"),
    Hostile(
        "a GOAWAY for an error before the request", ends(lambda s: goaway(s - 1, INTERNAL_ERROR)), "http-200"
    ),
]

THAT_TALK_NONSENSE = [
    Hostile(name, says(piece), "protocol")
    for name, piece in (
        ("HTTP/1.1", lambda s: b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        ("noise", lambda s: bytes(range(256)) * 4),
        ("a frame that is too large", lambda s: frame(DATA, bytes(16_385), stream=s)),
        ("a body before the head", lambda s: body(s, b"ok", END_STREAM)),
        ("a body of no stream", lambda s: head(s) + body(0, b"ok", END_STREAM)),
        ("a head of no stream", lambda s: head(0)),
        ("a head of a stream that nobody opened", lambda s: head(s + 2)),
        ("a head of a stream of its own", lambda s: head(2)),
        ("a promise", lambda s: frame(PUSH_PROMISE, b"\0\0\0\2" + STATUS_200, flags=END_HEADERS, stream=s)),
        ("a head that points nowhere", lambda s: head(s, b"\xff\xff\xff\x7f")),
        ("a head cut short", lambda s: head(s, STATUS_200 + b"\x00\x05ab")),
        ("the rest of no head", lambda s: frame(CONTINUATION, STATUS_200, flags=END_HEADERS, stream=s)),
        ("a frame within a head", lambda s: head(s, flags=0) + frame(PING, bytes(8))),
        ("padding longer than the frame", lambda s: head(s) + body(s, b"\xffok", PADDED)),
        ("settings of an odd length", lambda s: frame(SETTINGS, b"\0\0\0")),
        ("a window of no bytes more", lambda s: frame(WINDOW_UPDATE, bytes(4))),
        ("a window beyond all bounds", lambda s: frame(WINDOW_UPDATE, b"\x7f\xff\xff\xff")),
        ("a ping of a stream", lambda s: frame(PING, bytes(8), stream=s)),
        ("no status", lambda s: head(s, literal(b"x", b"y"))),
        ("two statuses", lambda s: head(s, STATUS_200 + STATUS_204)),
        ("a status that is no number", lambda s: head(s, literal(b":status", b"abc"))),
        ("a status below all", lambda s: head(s, literal(b":status", b"-1"), END_HEADERS | END_STREAM)),
        ("a status beyond all", lambda s: head(s, literal(b":status", b"2000"), END_HEADERS | END_STREAM)),
        ("a header in capitals", lambda s: head(s, STATUS_200 + literal(b"Date", b"x"))),
        ("a header of connections", lambda s: head(s, STATUS_200 + literal(b"connection", b"close"))),
        (
            "a body longer than its length",
            lambda s: head(s, STATUS_200 + literal(b"content-length", b"1")) + body(s, b"ok"),
        ),
        (
            "a body shorter than its length",
            lambda s: head(s, STATUS_200 + literal(b"content-length", b"9")) + body(s, b"ok", END_STREAM),
        ),
        ("a length that is no number", lambda s: head(s, STATUS_200 + literal(b"content-length", b"x"))),
        ("a length below nothing", lambda s: head(s, STATUS_200 + literal(b"content-length", b"-1"))),
        ("a second reply on the stream", lambda s: whole(s) + whole(s, b"smuggled")),
        ("a reply to the next request before it is made", lambda s: whole(s) + whole(s + 2, b"smuggled")),
        ("trailers that do not end", lambda s: head(s) + body(s, b"ok") + head(s, literal(b"x", b"y"))),
    )
]

THAT_SAY_TOO_MUCH = [
    Hostile("a whole reply and an end at once", ends(whole), "http-200"),
    Hostile("a whole reply, a GOAWAY and an end at once", ends(lambda s: whole(s) + goaway(s)), "http-200"),
    Hostile("a whole reply and a cut at once", cuts(whole), "http-200"),
    Hostile(
        "pings around the reply",
        says(lambda s: frame(PING, bytes(8)) * 9 + whole(s) + frame(PING, bytes(8)) * 9),
        "http-200",
    ),
    Hostile(
        "settings again and again",
        says(lambda s: frame(SETTINGS) * 9 + whole(s) + frame(SETTINGS) * 9),
        "http-200",
    ),
    Hostile(
        "a reset without error after the reply",
        says(lambda s: whole(s) + resets_stream(s, NO_ERROR)),
        "http-200",
    ),
    Hostile(
        "a body that comes after the reply",
        says(lambda s: whole(s) + body(s, b"smuggled", END_STREAM)),
        "http-200",
    ),
    Hostile(
        "a window for the stream after the reply",
        says(lambda s: whole(s) + frame(WINDOW_UPDATE, b"\0\0\0\1", stream=s)),
        "http-200",
    ),
]

AT_ONCE = [*FLOODS, *THAT_BREAK_OFF, *THAT_TALK_NONSENSE, *THAT_SAY_TOO_MUCH]


class Http2HostileContract:
    """Subclass, and give ``make_sender``, whose senders ask for HTTP/2."""

    @pytest.mark.parametrize("is_kept", [False, True], ids=["new", "kept"])
    @pytest.mark.parametrize("hostile", AT_ONCE, ids=str)
    async def test_one_that_speaks_http2_takes_no_memory_and_confuses_no_reply(
        self, make_sender: MakeSender, authority: trustme.CA, ca_file: str, hostile: Hostile, is_kept: bool
    ) -> None:
        def behave(peer: Http2Peer, stream: int) -> Awaitable[None] | None:
            if peer.index == 0 and stream == (3 if is_kept else 1):
                return hostile.do(peer, stream)
            peer.reply(stream, body=b"its own")
            return None

        sender = make_sender(extra_ca_file=ca_file)
        tls = server_tls(authority, "127.0.0.1")
        async with http2_receiving(_answers, tls) as elsewhere, http2_receiving(behave, tls) as receiver:
            await post(sender, elsewhere.url())  # what is needed once is not billed to this receiver
            if is_kept:
                assert await post(sender, receiver.url()) == Reply(200, body=b"its own")
            with traced_memory() as peak_bytes:
                outcome = await post(sender, receiver.url(), timeout_ms=30_000)
                memory_bytes = peak_bytes()
            after = await post(sender, receiver.url())
            if hostile not in THAT_SAY_TOO_MUCH:
                await asyncio.wait_for(receiver.peers[0].gone.wait(), 30)

        assert kind(outcome) == ((is_kept and hostile.kept) or hostile.outcome)
        assert memory_bytes < MEMORY_BYTES_MAX
        assert receiver.peers[0].sent_bytes < SENT_BYTES_MAX
        assert after == Reply(200, body=b"its own")

    @pytest.mark.parametrize("is_kept", [False, True], ids=["new", "kept"])
    async def test_none_that_speaks_http2_holds_a_place_beyond_the_deadline(
        self, make_sender: MakeSender, authority: trustme.CA, ca_file: str, is_kept: bool
    ) -> None:
        sender = make_sender(extra_ca_file=ca_file)
        tls = server_tls(authority, "127.0.0.1")

        async def met(hostile: Hostile) -> tuple[str, bool, Reply | object]:
            def behave(peer: Http2Peer, stream: int) -> Awaitable[None] | None:
                if peer.index == 0 and stream == (3 if is_kept else 1):
                    return hostile.do(peer, stream)
                peer.reply(stream, body=b"its own")
                return None

            async with http2_receiving(behave, tls) as receiver:
                if is_kept:
                    await post(sender, receiver.url())
                started_s = monotonic()
                outcome = await post(sender, receiver.url(), timeout_ms=DEADLINE_MS)
                took_ms = (monotonic() - started_s) * 1000
                await asyncio.wait_for(receiver.peers[0].gone.wait(), 5)
                after = await post(sender, receiver.url())
            return kind(outcome), DEADLINE_MS <= took_ms < DEADLINE_MS + LATE_MS, after

        found = await asyncio.gather(*map(met, THAT_WASTE_TIME))

        assert dict(zip(map(str, THAT_WASTE_TIME), found, strict=True)) == {
            str(hostile): ("timeout", True, Reply(200, body=b"its own")) for hostile in THAT_WASTE_TIME
        }


def _answers(peer: Http2Peer, stream: int) -> None:
    peer.reply(stream)
