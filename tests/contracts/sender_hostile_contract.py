"""Hostile receivers, and what no :class:`connector.engine.ports.Sender` may let them do, over real sockets.

A table of everything a receiver can do wrong. Whatever it is: the deadline holds and frees the connection, no
memory is spent on it, and the next request gets its own reply, be it over the same connection.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

import pytest

from connector.core.outcome import Failure, Reply
from tests.support.posting import LATE_MS, MakeSender, kind, post, post_large_then_small
from tests.support.raw_receiver import Peer, always, answering_early, ok, receiving
from tests.support.traced_memory import traced_memory

MEMORY_BYTES_MAX = 2_000_000
"""What one reply may cost at its peak, the receiver's own buffers in the same process included."""

REPLY_MEMORY_BYTES_MAX = 200_000
"""What each of many long replies may cost, the buffers of the receiver, and of a proxy, included."""

SENT_BYTES_MAX = 16_000_000
"""What a receiver gets rid of before it is cut off: the caps, and what the kernel keeps on the way."""

DEADLINE_MS = 1_000
"""Where nothing but the deadline ends a request. All such are met at once, so connecting must fit in too."""

Deed = Callable[[Peer], Awaitable[None]]


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


def says(*pieces: bytes) -> Deed:
    """Send this, and then nothing more."""

    async def do(peer: Peer) -> None:
        for piece in pieces:
            await peer.send(piece)
        await peer.closed()

    return do


def ends(piece: bytes) -> Deed:
    """Send this, and close in good order."""

    async def do(peer: Peer) -> None:
        await peer.send(piece)
        peer.close()

    return do


def resets(piece: bytes) -> Deed:
    """Send this, and close with a reset."""

    async def do(peer: Peer) -> None:
        await peer.send(piece)
        peer.reset()

    return do


def dribbles(begin: bytes, more: bytes) -> Deed:
    """Send the beginning at once, and of the rest a byte now and then."""

    async def do(peer: Peer) -> None:
        await peer.send(begin)
        for byte in more:
            await peer.send(bytes([byte]))
            await asyncio.sleep(0.03)
        await peer.closed()

    return do


def floods(begin: bytes, more: bytes) -> Deed:
    """Send the beginning, and the rest without end. ``more`` is of kilobytes: many small writes, until the
    kernel takes no more, would keep the loop from the sender, which runs on it too."""

    async def do(peer: Peer) -> None:
        await peer.send(begin)
        while True:
            await peer.send(more)

    return do


async def _late_bytes(peer: Peer) -> None:
    await peer.send(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n")
    await asyncio.sleep(0.01)
    await peer.send(b"hello")
    await peer.closed()


_BOMB = gzip.compress(bytes(10_000_000)) * 100
_OK = b"HTTP/1.1 200 OK\r\n"
_TEN_KB = b"z" * 10_000
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"

THAT_WASTE_TIME = [
    Hostile("never answers", says(b""), "timeout"),
    Hostile("stops in the status line", says(b"HTTP/1.1 2"), "timeout"),
    Hostile("stops in a header", says(_OK + b"Date: "), "timeout"),
    Hostile("stops in the body", says(_OK + b"Content-Length: 50\r\n\r\nhalf"), "timeout"),
    Hostile("stops in a chunk", says(_CHUNKED + b"10\r\nhalf"), "timeout"),
    Hostile("stops before the last chunk", says(_CHUNKED + b"2\r\nok\r\n"), "timeout"),
    Hostile("stops in the trailers", says(_CHUNKED + b"0\r\nX: "), "timeout"),
    Hostile("stops after 100 continue", says(b"HTTP/1.1 100 Continue\r\n\r\n"), "timeout"),
    Hostile("does not say where the body ends", says(_OK + b"\r\nall of it"), "timeout"),
    Hostile(
        "a byte at a time of the status line",
        dribbles(b"", b"HTTP/1.1 200 OK and more, and more, and more, and more"),
        "timeout",
    ),
    Hostile("a byte at a time of a header", dribbles(_OK + b"X: ", b"x" * 50), "timeout"),
    Hostile(
        "a byte at a time of the body", dribbles(_OK + b"Content-Length: 90\r\n\r\n", b"x" * 50), "timeout"
    ),
    Hostile("a byte at a time of chunks", dribbles(_CHUNKED, b"1\r\nx\r\n" * 9), "timeout"),
]

THAT_WASTE_MEMORY = [
    Hostile("headers without end", floods(_OK, b"X-Filler: yes\r\n" * 1000), "protocol"),
    Hostile("one header without end", floods(_OK + b"X-Filler: ", b"x" * 10_000), "protocol"),
    Hostile("one header's name without end", floods(_OK, b"x" * 10_000), "protocol"),
    Hostile("a status line without end", floods(b"HTTP/1.1 200 ", b"O" * 10_000), "protocol"),
    Hostile("empty lines without end", floods(b"", b"\r\n" * 5_000), "protocol"),
    Hostile("100 continue without end", floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), "protocol"),
    Hostile(
        "103 early hints without end",
        floods(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100),
        "protocol",
    ),
    Hostile("a body until the connection closes", floods(_OK + b"\r\n", b"z" * 50_000), "http-200"),
    Hostile("a body of 10 GB", floods(_OK + b"Content-Length: 9999999999\r\n\r\n", b"z" * 9_999), "http-200"),
    Hostile("chunks without end", floods(_CHUNKED, b"8000\r\n" + b"z" * 0x8000 + b"\r\n"), "http-200"),
    Hostile("tiny chunks without end", floods(_CHUNKED, b"1\r\nz\r\n" * 1_000), "http-200"),
    Hostile("a chunk's extension without end", floods(_CHUNKED + b"1;", b"a=b;" * 2_500), "http-200"),
    Hostile("trailers without end", floods(_CHUNKED + b"0\r\n", b"X-Filler: yes\r\n" * 1000), "http-200"),
    Hostile("a body that unpacks to 1 GB", says(ok(_BOMB, b"Content-Encoding: gzip\r\n")), "http-200"),
]

THAT_BREAK_OFF = [
    Hostile(f"{what}, then {how}", do(piece), "reset", kept)
    for what, piece, kept in (
        ("nothing", b"", "http-200"),  # sent once more over a new connection
        ("half a head", b"HTTP/1.1 2", ""),
        ("half a body", _OK + b"Content-Length: 50\r\n\r\nhalf", ""),
        ("half a chunk", _CHUNKED + b"10\r\nhalf", ""),
        ("no last chunk", _CHUNKED + b"2\r\nok\r\n", ""),
        ("100 continue alone", b"HTTP/1.1 100 Continue\r\n\r\n", ""),
    )
    for how, do in (("an end", ends), ("a reset", resets))
]

THAT_TALK_NONSENSE = [
    Hostile(repr(piece), says(piece), "protocol")
    for piece in (
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20x OK\r\n\r\n",
        b"HTTP/1.1 099 Low\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        _OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"Content-Length: -1\r\n\r\n",
        _OK + b"Content-Length: 2, 2\r\n\r\nok",
        _OK + b"Content-Length: 2 2\r\n\r\nok",
        _OK + b"Content-Length: 0x2\r\n\r\nok",
        _OK + b"Content-Length: 99999999999999999999999\r\n\r\nok",
        _OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        _OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        _OK + b"Bad Name: x\r\n\r\n",
        _OK + b"Name : x\r\nContent-Length: 0\r\n\r\n",
        _OK + b": nameless\r\nContent-Length: 0\r\n\r\n",
        _OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
        _CHUNKED + b"zz\r\n",
        _CHUNKED + b"-1\r\n",
        _CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n",
        _CHUNKED + b"\r\nok\r\n",
        _CHUNKED + b"ffffffffffffffffff\r\n",
        _CHUNKED + b"2\r\nokay\r\n0\r\n\r\n",
    )
]

THAT_SAY_TOO_MUCH = [
    Hostile(name, says(*pieces), "http-200")
    for name, *pieces in (
        ("a second reply", ok(b"first") + ok(b"smuggled")),
        ("a second reply in a piece of its own", ok(b"first"), ok(b"smuggled")),
        ("garbage after the reply", ok(b"first") + b"garbage"),
        ("a body longer than its length", _OK + b"Content-Length: 5\r\n\r\nfirst and more than it said"),
        ("a body after the last chunk", _CHUNKED + b"5\r\nfirst\r\n0\r\n\r\nand more"),
        ("another after one that closes", _OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok" + ok()),
    )
]
THAT_SAY_TOO_MUCH += [
    Hostile("204 with a body", says(b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello"), "http-204"),
    Hostile("204 with a body that comes later", _late_bytes, "http-204"),
    Hostile("304 with a body", says(b"HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\nhello"), "http-304"),
]

AT_ONCE = [
    *THAT_WASTE_MEMORY,
    *THAT_BREAK_OFF,
    *THAT_TALK_NONSENSE,
    *THAT_SAY_TOO_MUCH,
]


class HostileContract:
    """Subclass, and give ``make_sender``."""

    @pytest.mark.parametrize("is_kept", [False, True], ids=["new", "kept"])
    @pytest.mark.parametrize("hostile", AT_ONCE, ids=str)
    async def test_a_hostile_receiver_takes_no_memory_and_confuses_no_reply(
        self, make_sender: MakeSender, hostile: Hostile, is_kept: bool
    ) -> None:
        outcome_due = (is_kept and hostile.kept) or hostile.outcome
        gone = asyncio.Event()

        async def behave(peer: Peer) -> None:
            if peer.index > 0:
                await always(ok(b"its own"))(peer)
            try:
                if is_kept:
                    await peer.request()
                    await peer.send(ok(b"before"))
                await peer.request()
                await hostile.do(peer)
            finally:
                gone.set()

        sender = make_sender()
        async with receiving(always(ok())) as elsewhere, receiving(behave) as receiver:
            await post(sender, elsewhere.url())  # what is needed once is not billed to this receiver
            if is_kept:
                assert await post(sender, receiver.url()) == Reply(200, body=b"before")
            with traced_memory() as peak_bytes:
                outcome = await post(sender, receiver.url())
                memory_bytes = peak_bytes()
            after = await post(sender, receiver.url())
            # The deed is over because the sender hung up: no receiver here does so, but to break off.
            await asyncio.wait_for(gone.wait(), 5)

        assert kind(outcome) == outcome_due
        assert memory_bytes < MEMORY_BYTES_MAX
        assert receiver.peers[0].sent_bytes < SENT_BYTES_MAX
        assert after == Reply(200, body=b"its own")
        assert receiver.accepted == 2

    async def test_many_long_replies_under_way_at_once_take_little_memory_each(
        self, make_sender: MakeSender
    ) -> None:
        arrived, may_end = asyncio.Semaphore(0), asyncio.Event()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(_OK + b"Content-Length: 250000\r\n\r\n")
            for _ in range(24):
                await peer.send(_TEN_KB)
            arrived.release()
            await may_end.wait()
            await peer.send(_TEN_KB)
            await peer.closed()

        sender = make_sender()
        async with receiving(always(ok())) as elsewhere, receiving(behave) as receiver:
            await post(sender, elsewhere.url())  # what is needed once is not billed to this receiver
            with traced_memory() as peak_bytes:
                posting = [
                    asyncio.create_task(post(sender, receiver.url(), timeout_ms=30_000)) for _ in range(40)
                ]
                async with asyncio.timeout(60):
                    for _ in range(40):
                        await arrived.acquire()
                may_end.set()
                outcomes = await asyncio.gather(*posting)
                memory_bytes = peak_bytes()

        assert outcomes == [Reply(200, body=b"z" * 1024)] * 40
        assert memory_bytes < 40 * REPLY_MEMORY_BYTES_MAX

    @pytest.mark.parametrize("is_kept", [False, True], ids=["new", "kept"])
    async def test_none_holds_a_place_beyond_the_deadline(
        self, make_sender: MakeSender, is_kept: bool
    ) -> None:
        sender = make_sender()

        async def met(hostile: Hostile) -> tuple[str, bool, Reply | Failure]:
            gone = asyncio.Event()

            async def behave(peer: Peer) -> None:
                if peer.index > 0:
                    await always(ok(b"its own"))(peer)
                try:
                    if is_kept:
                        await peer.request()
                        await peer.send(ok(b"before"))
                    await peer.request()
                    await hostile.do(peer)
                finally:
                    gone.set()

            async with receiving(behave) as receiver:
                if is_kept:
                    await post(sender, receiver.url())
                started_s = monotonic()
                outcome = await post(sender, receiver.url(), timeout_ms=DEADLINE_MS)
                took_ms = (monotonic() - started_s) * 1000
                await asyncio.wait_for(gone.wait(), 5)
                after = await post(sender, receiver.url())
            return kind(outcome), DEADLINE_MS <= took_ms < DEADLINE_MS + LATE_MS, after

        found = await asyncio.gather(*map(met, THAT_WASTE_TIME))

        assert dict(zip(map(str, THAT_WASTE_TIME), found, strict=True)) == {
            str(hostile): ("timeout", True, Reply(200, body=b"its own")) for hostile in THAT_WASTE_TIME
        }

    async def test_a_reply_longer_than_its_snippet_is_cut_to_it(self, make_sender: MakeSender) -> None:
        sender = make_sender()
        async with receiving(always(ok(b"z" * 2_000))) as receiver:
            outcome = await post(sender, receiver.url())

        assert outcome == Reply(200, body=b"z" * 1024)

    async def test_a_compressed_reply_is_not_decompressed_and_yields_no_snippet(
        self, make_sender: MakeSender
    ) -> None:
        sender = make_sender()
        async with receiving(always(ok(gzip.compress(b"ok"), b"Content-Encoding: gzip\r\n"))) as receiver:
            outcome = await post(sender, receiver.url())

        assert outcome == Reply(200)

    @pytest.mark.parametrize("is_reset", [False, True], ids=["end", "reset"])
    async def test_one_that_closes_without_having_read_anything_is_a_reset(
        self, make_sender: MakeSender, is_reset: bool
    ) -> None:
        async def behave(peer: Peer) -> None:
            if is_reset:
                peer.reset()

        sender = make_sender()
        async with receiving(behave) as receiver:
            outcome = await post(sender, receiver.url())

        # With some luck its end is noticed while the connection is still being opened.
        assert kind(outcome) in ("reset", "connect")

    async def test_an_empty_line_after_every_reply_costs_no_delivery(self, make_sender: MakeSender) -> None:
        sender = make_sender()
        async with receiving(always(ok() + b"\r\n")) as receiver:
            outcomes = [kind(await post(sender, receiver.url())) for _ in range(4)]

        assert outcomes == ["http-200"] * 4
        assert len(receiver.requests) == 4

    async def test_a_late_408_on_an_idle_connection_is_given_to_nobody(self, make_sender: MakeSender) -> None:
        sender = make_sender()
        gone = asyncio.Event()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(ok())
            if peer.index == 0:
                await peer.send(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
                await peer.closed()
                gone.set()
            await peer.closed()

        async with receiving(behave) as receiver:
            first = await post(sender, receiver.url())
            await asyncio.wait_for(gone.wait(), 5)
            second = await post(sender, receiver.url())

        assert (kind(first), kind(second), receiver.accepted) == ("http-200", "http-200", 2)

    @pytest.mark.parametrize(
        ("status", "body_bytes"), [(413, 1_000_000), (413, 30_000_000), (401, 30_000_000), (200, 30_000_000)]
    )
    async def test_a_connection_whose_reply_came_before_the_request_was_read_is_not_used_again(
        self, make_sender: MakeSender, status: int, body_bytes: int
    ) -> None:
        receiver = receiving(answering_early(status))
        kinds = await post_large_then_small(make_sender(), receiver, body_bytes)

        assert kinds == [f"http-{status}", "http-200"]

    @pytest.mark.parametrize(
        ("status", "body_bytes", "accepted"),
        [(200, 3_000_000, 1), (299, 3_000_000, 1), (404, 65_000, 1), (404, 66_000, 2), (302, 3_000_000, 2)],
    )
    async def test_after_a_large_request_that_was_not_accepted_a_connection_is_not_used_again(
        self, make_sender: MakeSender, status: int, body_bytes: int, accepted: int
    ) -> None:
        sender = make_sender()
        answer = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status
        async with receiving(always(answer)) as receiver:
            outcomes = [kind(await post(sender, receiver.url(), b"x" * body_bytes)) for _ in range(2)]

        assert outcomes == [f"http-{status}"] * 2
        assert receiver.accepted == accepted

    @pytest.mark.parametrize("is_reset", [False, True], ids=["end", "reset"])
    async def test_a_kept_connection_that_closes_without_a_byte_is_replaced_once(
        self, make_sender: MakeSender, is_reset: bool
    ) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(ok(b"%d" % peer.index))
            await peer.request()
            if is_reset:
                peer.reset()

        async with receiving(behave) as receiver:
            await post(sender, receiver.url())
            second = await post(sender, receiver.url())

        assert isinstance(second, Reply)
        assert (second.status, second.body) == (200, b"1")
        assert len(receiver.requests) == 3

    async def test_the_replacement_is_a_new_connection_though_others_are_kept(
        self, make_sender: MakeSender
    ) -> None:
        sender = make_sender()
        both_asked = asyncio.Barrier(2)

        async def behave(peer: Peer) -> None:
            if peer.index >= 2:
                await always(ok(b"%d" % peer.index))(peer)
            await peer.request()
            await both_asked.wait()
            await peer.send(ok())
            await peer.request()
            peer.reset()

        async with receiving(behave) as receiver:
            await asyncio.gather(post(sender, receiver.url()), post(sender, receiver.url()))
            third = await post(sender, receiver.url())

        assert isinstance(third, Reply)
        assert (third.status, third.body) == (200, b"2")

    async def test_the_replacement_is_not_replaced(self, make_sender: MakeSender) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            if peer.index == 0:
                await peer.request()
                await peer.send(ok())
            await peer.request()

        async with receiving(behave) as receiver:
            await post(sender, receiver.url())
            second = await post(sender, receiver.url())

        assert kind(second) == "reset"
        assert len(receiver.requests) == 3

    async def test_a_kept_connection_that_breaks_within_the_reply_is_not_replaced(
        self, make_sender: MakeSender
    ) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(ok())
            await peer.request()
            await peer.send(b"H")

        async with receiving(behave) as receiver:
            await post(sender, receiver.url())
            second = await post(sender, receiver.url())

        assert kind(second) == "reset"
        assert len(receiver.requests) == 2

    async def test_a_connection_closed_while_idle_is_noticed(self, make_sender: MakeSender) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(ok())

        async with receiving(behave) as receiver:
            outcomes = [kind(await post(sender, receiver.url())) for _ in range(20)]

        assert outcomes == ["http-200"] * 20
        assert len(receiver.requests) == 20
