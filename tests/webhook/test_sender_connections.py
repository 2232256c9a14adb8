"""How the fast sender keeps, limits, ages and replaces its connections."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable

import pytest

from connector.core.outcome import Failure, Reply
from connector.webhook.dial import failure_of
from connector.webhook.room import Room
from connector.webhook.sender import WebhookSender
from tests.support.posting import FixedLookup, kind, post, start
from tests.support.raw_receiver import Peer, Receiver, always, ok, receiving
from tests.support.senders import fast_senders

Make = Callable[..., WebhookSender]


@pytest.fixture
async def make_sender() -> AsyncIterator[Make]:
    async with fast_senders() as make:
        yield make


def start_many(
    sender: WebhookSender, receiver: Receiver, count: int, timeout_ms: int = 5_000
) -> list[asyncio.Future[Reply | Failure]]:
    endpoint = sender.endpoint(receiver.url(), headers=(), content_type="a/b")
    return [start(sender, endpoint, timeout_ms=timeout_ms) for _ in range(count)]


async def test_requests_beyond_the_limit_of_an_origin_wait_for_its_connections(make_sender: Make) -> None:
    sender = make_sender(connections_per_origin_max=3)
    async with receiving(always(ok())) as receiver:
        outcomes = await asyncio.gather(*start_many(sender, receiver, 50))

    assert [kind(outcome) for outcome in outcomes] == ["http-200"] * 50
    assert receiver.accepted == 3


async def test_waiting_requests_get_new_connections_when_theirs_close(make_sender: Make) -> None:
    sender = make_sender(connections_per_origin_max=2)
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    async with receiving(always(answer)) as receiver:
        outcomes = await asyncio.gather(*start_many(sender, receiver, 20))

    assert [kind(outcome) for outcome in outcomes] == ["http-200"] * 20
    assert receiver.accepted == 20


async def test_waiting_requests_go_on_when_opening_fails(make_sender: Make) -> None:
    sender = make_sender(connections_per_origin_max=2, lookup=FixedLookup({}))
    endpoint = sender.endpoint("http://nowhere.example/", headers=(), content_type="a/b")

    outcomes = await asyncio.gather(*(start(sender, endpoint) for _ in range(20)))

    assert [kind(outcome) for outcome in outcomes] == ["dns"] * 20


async def test_a_request_that_never_got_a_connection_is_not_billed_to_the_receiver(make_sender: Make) -> None:
    sender = make_sender(connections_per_origin_max=1)
    async with receiving(Peer.closed) as receiver:
        (hanging,) = start_many(sender, receiver, 1)
        outcomes = await asyncio.gather(*start_many(sender, receiver, 2, timeout_ms=200))
        has_ended = hanging.done()

    assert [kind(outcome) for outcome in outcomes] == ["resources", "resources"]
    assert not has_ended


async def test_a_full_queue_of_waiting_requests_refuses_more_at_once(make_sender: Make) -> None:
    sender = make_sender(connections_per_origin_max=1, waiting_max=2)
    async with receiving(always(ok())) as receiver:
        outcomes = await asyncio.gather(*start_many(sender, receiver, 5))

    assert [kind(outcome) for outcome in outcomes] == ["http-200"] * 3 + ["resources"] * 2


async def test_idle_connections_make_room_for_other_origins(make_sender: Make) -> None:
    sender = make_sender(room=Room(2))
    async with (
        receiving(always(ok())) as first,
        receiving(always(ok())) as second,
        receiving(always(ok())) as third,
    ):
        outcomes = [
            kind(await post(sender, receiver.url()))
            for receiver in (first, second, third, second, third, first)
        ]

    assert outcomes == ["http-200"] * 6
    assert (first.accepted, second.accepted, third.accepted) == (2, 1, 1)


async def test_a_burst_to_many_origins_never_exceeds_the_limit_in_all(make_sender: Make) -> None:
    sender = make_sender(room=Room(4))
    most = 0

    async def behave(peer: Peer) -> None:
        nonlocal most
        most = max(most, sum(len(receiver.handlers) for receiver in receivers))
        await always(ok())(peer)

    async with receiving(behave) as a, receiving(behave) as b, receiving(behave) as c:
        receivers = [a, b, c]
        for receiver in receivers * 3:
            await asyncio.gather(*start_many(sender, receiver, 4))

    # Evicted connections may still be closing on the other side.
    assert most <= 8


async def test_no_room_in_all_and_none_idle_is_a_failure_of_ours(make_sender: Make) -> None:
    sender = make_sender(room=Room(1))
    async with receiving(Peer.closed) as hanging, receiving(always(ok())) as other:
        (under_way,) = start_many(sender, hanging, 1, timeout_ms=300)
        outcome = await post(sender, other.url())
        await under_way

    assert outcome == Failure("resources", "the limit of connections is reached")


async def test_who_waits_where_the_last_connection_ended_fails_when_another_has_its_room(
    make_sender: Make,
) -> None:
    room = Room(1)
    sender = make_sender(room=room)
    async with receiving(always(ok())) as receiver:
        await post(sender, receiver.url())
        assert room.take()  # by another: the idle connection is closed, but not gone yet
        outcomes = await asyncio.gather(*start_many(sender, receiver, 3, timeout_ms=2_000))
        room.give_back()
        after = await post(sender, receiver.url())

    assert outcomes == [Failure("resources", "the limit of connections is reached")] * 3
    assert kind(after) == "http-200"


def test_connections_stay_below_four_fifths_of_the_limit_of_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, hard))
    try:
        room = Room(10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert room.connections_max == 800


async def test_running_out_of_file_descriptors_is_a_failure_of_ours(make_sender: Make) -> None:
    sender = make_sender()
    async with receiving(always(ok())) as receiver:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            outcome = await post(sender, receiver.url())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        afterwards = await post(sender, receiver.url())

    assert kind(outcome) == "resources"
    assert kind(afterwards) == "http-200"


async def test_a_connection_idle_for_too_long_is_closed(make_sender: Make) -> None:
    sender = make_sender(idle_ms=100)
    gone = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok())
        await peer.closed()
        gone.set()

    async with receiving(behave) as receiver:
        await post(sender, receiver.url())
        await asyncio.wait_for(gone.wait(), 5)


async def test_a_connection_in_use_is_not_taken_for_idle(make_sender: Make) -> None:
    sender = make_sender(idle_ms=100)
    idle_is_gone = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.request()
        if peer.index == 0:
            await peer.send(ok())
            await peer.closed()
            idle_is_gone.set()
        else:
            await idle_is_gone.wait()
            await peer.send(ok())

    async with receiving(behave) as receiver:
        outcomes = await asyncio.gather(*start_many(sender, receiver, 2))

    assert [kind(outcome) for outcome in outcomes] == ["http-200"] * 2


async def test_an_old_connection_is_not_used_again(make_sender: Make) -> None:
    sender = make_sender(connection_life_ms=0)
    async with receiving(always(ok())) as receiver:
        outcomes = [kind(await post(sender, receiver.url())) for _ in range(3)]

    assert outcomes == ["http-200"] * 3
    assert receiver.accepted == 3


async def test_an_old_idle_connection_is_closed(make_sender: Make) -> None:
    sender = make_sender(connection_life_ms=100)
    gone = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok())
        await peer.closed()
        gone.set()

    async with receiving(behave) as receiver:
        await post(sender, receiver.url())
        await asyncio.wait_for(gone.wait(), 5)


async def test_endpoints_of_one_origin_share_its_connections(make_sender: Make) -> None:
    sender = make_sender()
    async with receiving(always(ok())) as receiver:
        await post(sender, receiver.url("/one"))
        await post(sender, receiver.url("/two"))

    assert receiver.accepted == 1
    assert [request.line for request in receiver.requests] == ["POST /one HTTP/1.1", "POST /two HTTP/1.1"]


async def test_the_next_address_of_a_name_is_tried_when_one_refuses(make_sender: Make) -> None:
    lookup = FixedLookup({"partner.example": ["127.0.0.9", "127.0.0.1"]})
    sender = make_sender(lookup=lookup)
    async with receiving(always(ok())) as receiver:  # listens on 127.0.0.1 alone
        outcome = await post(sender, receiver.url(host="partner.example"))

    assert kind(outcome) == "http-200"


async def test_an_address_that_is_silent_leaves_time_for_the_next(make_sender: Make) -> None:
    lookup = FixedLookup({"partner.example": ["127.0.0.9", "127.0.0.1"]})
    sender = make_sender(lookup=lookup)
    async with receiving(always(ok())) as receiver:
        with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
            # A full queue of connections nobody accepts: the next one hangs.
            listener.bind(("127.0.0.9", receiver.port))
            listener.listen(0)
            for client in (first, second):
                client.setblocking(False)
                client.connect_ex(listener.getsockname())
            outcome = await post(sender, receiver.url(host="partner.example"), timeout_ms=1_000)

    assert kind(outcome) == "http-200"


async def test_a_request_cancelled_before_its_connection_began_to_open_frees_its_place(
    make_sender: Make,
) -> None:
    sender = make_sender(room=Room(1))
    async with receiving(always(ok())) as receiver:
        (cancelled,) = start_many(sender, receiver, 1)
        sender.cancel_all()
        await cancelled

        outcome = await post(sender, receiver.url())

    assert kind(outcome) == "http-200"


async def test_a_callback_may_post_again_at_once_over_the_same_connection(make_sender: Make) -> None:
    sender = make_sender()
    finished: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with receiving(always(ok())) as receiver:
        endpoint = sender.endpoint(receiver.url(), headers=(), content_type="a/b")

        def again(count: int, outcome: Reply | Failure) -> None:
            if count == 100:
                finished.set_result(count)
            else:
                sender.post(endpoint, b"", b"{}", 5_000, count + 1, again)

        sender.post(endpoint, b"", b"{}", 5_000, 1, again)
        await asyncio.wait_for(finished, 10)

    assert (len(receiver.requests), receiver.accepted) == (100, 1)


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM]
)
def test_what_we_lack_ourselves_is_never_billed_to_the_receiver(number: int) -> None:
    assert failure_of(OSError(number, os.strerror(number)), "https://a.example:443").kind == "resources"


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "no connection to X: Connection refused"),
        (OSError(113, "No route to host"), "no connection to X: No route to host"),
        (ConnectionResetError("SSL handshake broken off"), "no connection to X: SSL handshake broken off"),
        (TimeoutError(), "X does not answer"),
    ],
)
def test_trouble_while_connecting_is_one_plain_sentence(error: OSError, failure: str) -> None:
    assert failure_of(error, "X") == Failure("connect", failure)


def test_trouble_with_tls_is_one_plain_sentence() -> None:
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    error.reason = "WRONG_VERSION_NUMBER"

    assert failure_of(error, "X") == Failure("tls", "no TLS with X: WRONG_VERSION_NUMBER")
