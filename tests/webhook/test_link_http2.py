"""A link over HTTP/2, without a socket: what h2 gets at once, and what comes while nobody listens."""

from __future__ import annotations

import asyncio

import h2.config
import h2.connection
import h2.events
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.outcome import Failure, Reply
from connector.webhook.frames import FRAMES_MAX
from connector.webhook.link import IDLE_UNREAD_BYTES_MAX, Unprocessed
from connector.webhook.wire import BITE_BYTES, Wire
from tests.support.http2_link import Server, a_request, link_to_a_server
from tests.support.http2_receiver import frame

PING = frame(6, b"12345678")
TAKES_NO_REQUEST = frame(4, b"\0\3\0\0\0\0")
GOAWAY_SOME_TIME = frame(7, b"\x7f\xff\xff\xff\x00\x00\x00\x00")


async def test_h2_gets_small_bites_and_everybody_else_has_a_turn_between_two() -> None:
    wire = Wire()
    Server(wire)
    wire.start_http2(lambda: None)
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        if not wire.has_ended:
            asyncio.get_running_loop().call_soon(turn)

    wire.data_received(PING * 900)
    turn()
    bites: list[tuple[int, int]] = []
    while wire.unread_bytes:
        bites.append((len(await wire.read(65_536)), turns))
    wire.connection_lost(None)

    sizes, turns_before = zip(*bites, strict=True)
    assert sum(sizes) == 900 * len(PING)
    assert max(sizes) == BITE_BYTES
    assert len(set(turns_before)) == len(bites) == 15


async def test_what_came_meanwhile_is_read_before_the_next_request() -> None:
    link, server = await link_to_a_server()
    await link.carry(a_request())
    server.wire.data_received(PING * 200)

    outcome = await link.carry(a_request())

    assert outcome == Reply(204)
    assert (server.requests, link.is_retired) == (2, False)


async def test_a_flood_that_comes_meanwhile_ends_the_link() -> None:
    link, server = await link_to_a_server()
    await link.carry(a_request())

    server.wire.data_received(PING * (FRAMES_MAX + 1))
    await asyncio.sleep(0)

    assert server.wire.has_ended
    assert not link.has_room


async def test_an_idle_link_keeps_a_little_unread_and_is_closed_for_more() -> None:
    link, server = await link_to_a_server()
    await link.carry(a_request())
    link.riders = 0

    server.wire.data_received(frame(0xEE, bytes(IDLE_UNREAD_BYTES_MAX - 9)))
    await asyncio.sleep(0)
    had_ended = server.wire.has_ended
    server.wire.data_received(PING)
    await asyncio.sleep(0)

    assert (had_ended, server.wire.has_ended) == (False, True)


async def test_nonsense_that_came_meanwhile_costs_no_request() -> None:
    link, server = await link_to_a_server()
    await link.carry(a_request())
    # The head of a reply to the request that would be next.
    server.wire.data_received(frame(1, b"\x88", flags=5, stream=3))

    outcome = await link.carry(a_request())

    assert isinstance(outcome, Unprocessed)
    assert outcome.failure.kind == "protocol"
    assert (server.requests, link.is_retired) == (1, True)


async def test_a_request_that_is_not_taken_any_more_is_not_sent_and_may_be_over_another_link() -> None:
    link, server = await link_to_a_server()
    await link.carry(a_request())
    server.wire.data_received(TAKES_NO_REQUEST)

    outcome = await link.carry(a_request())

    assert outcome == Unprocessed(
        Failure("reset", "the receiver takes no more requests over this connection")
    )
    assert (server.requests, link.has_room) == (1, False)


async def test_a_request_that_has_not_left_when_the_end_is_announced_may_be_sent_over_another_link() -> None:
    link, server = await link_to_a_server()
    carrying = asyncio.create_task(link.carry(a_request()))
    await asyncio.sleep(0)

    server.wire.data_received(GOAWAY_SOME_TIME)
    outcome = await carrying

    assert outcome == Unprocessed(Failure("reset", "the receiver closes the connection (GOAWAY)"))
    assert (server.requests, link.is_retired) == (0, True)


SOME_FRAME = st.builds(
    frame,
    st.integers(0, 10),
    st.one_of(st.binary(max_size=40), st.sampled_from([b"\x88", b"\x88\x5f\x011", b"\0\0\0\1", bytes(8)])),
    flags=st.sampled_from([0, 1, 4, 5, 8, 0x20, 0xFF]),
    stream=st.sampled_from([0, 1, 1, 1, 2, 3]),
)


@settings(deadline=None)
@given(st.lists(SOME_FRAME, max_size=8))
def test_whatever_the_frames_say_the_request_comes_back(frames: list[bytes]) -> None:
    async def carried() -> object:
        link, _ = await link_to_a_server(lambda wire: Server(wire, b"".join(frames)))
        return await asyncio.wait_for(link.carry(a_request()), 10)

    assert isinstance(asyncio.run(carried()), Reply | Failure | Unprocessed)


class _OpensItsWindowOnce(Server):
    """Lets two bodies come by one window, and answers both when it has both."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self.received_bytes = 0
        self.begun: list[int] = []
        self.ended: list[int] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        for event in self.h2.receive_data(bytes(data)):
            if isinstance(event, h2.events.RequestReceived):
                self.begun.append(event.stream_id)
            elif isinstance(event, h2.events.DataReceived):
                self.received_bytes += len(event.data)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.append(event.stream_id)
        if len(self.begun) == 2 and self.received_bytes == 65_535:
            for stream in (None, *self.begun):
                self.h2.increment_flow_control_window(1_000_000, stream)
            self.begun.clear()
        if len(self.ended) == 2:
            for stream in self.ended:
                self.h2.send_headers(stream, [(":status", "204")], end_stream=True)
            self.ended.clear()
        if reply := self.h2.data_to_send():
            asyncio.get_running_loop().call_soon(self.wire.data_received, reply)


async def test_a_window_that_another_has_read_is_not_waited_for() -> None:
    link, _ = await link_to_a_server(_OpensItsWindowOnce)
    link.riders = 2

    carrying = [asyncio.create_task(link.carry(a_request(b"x" * 100_000))) for _ in range(2)]
    outcomes = await asyncio.wait_for(asyncio.gather(*carrying), 10)

    assert outcomes == [Reply(204), Reply(204)]


async def test_the_bounds_begin_anew_with_every_whole_reply() -> None:
    link, server = await link_to_a_server()

    outcomes = []
    for _ in range(3):
        server.wire.data_received(PING * 900)
        outcomes.append(await link.carry(a_request()))

    assert outcomes == [Reply(204)] * 3
