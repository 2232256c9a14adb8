"""How many requests share a connection of HTTP/2 is for the receiver to say: what it does not take goes over
another one, and nothing waits unsent behind what hangs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme
from h2.errors import ErrorCodes

from connector.core.outcome import Failure
from connector.core.subscription import Egress
from connector.webhook.egress_sender import EgressSender
from tests.contracts.sender_tls_contract import authority, ca_file, server_tls
from tests.support.egress_senders import egress_senders
from tests.support.http2_receiver import Http2Peer, Http2Receiver, http2_receiving
from tests.support.posting import MakeSender, kind, post, start
from tests.support.raw_receiver import Behaviour, Peer, receiving

__all__ = ["authority", "ca_file"]


@pytest.fixture
async def make_sender(ca_file: str) -> AsyncIterator[MakeSender]:
    async with egress_senders(Egress(http2=True)) as make:
        yield lambda **settings: make(extra_ca_file=ca_file, **settings)


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    return server_tls(authority, "127.0.0.1")


class Held:
    """Replies when so many requests are there at once, whatever the connection."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._held: list[tuple[Http2Peer, int]] = []

    def answer(self, peer: Http2Peer, stream: int) -> None:
        self._held.append((peer, stream))
        if len(self._held) == self._count:
            for each, held in self._held:
                each.reply_later(held)


def first_hangs(peer: Http2Peer, stream: int) -> None:
    if (peer.index, stream) != (0, 1):
        peer.reply(stream)


async def posted(sender: EgressSender, receiver: Http2Receiver, count: int) -> list[str]:
    return [kind(one) for one in await asyncio.gather(*(post(sender, receiver.url()) for _ in range(count)))]


async def test_a_receiver_that_sets_no_limit_gets_a_hundred_at_once_over_one_connection(
    make_sender: MakeSender, tls: ssl.SSLContext
) -> None:
    async with http2_receiving(Held(100).answer, tls, streams_max=None) as receiver:
        outcomes = await posted(make_sender(), receiver, 100)

    assert outcomes == ["http-200"] * 100
    assert (receiver.accepted, receiver.open_at_once_max) == (1, 100)


async def test_what_the_receiver_does_not_take_over_one_connection_goes_over_as_many_as_it_needs(
    make_sender: MakeSender, tls: ssl.SSLContext
) -> None:
    async with http2_receiving(Held(12).answer, tls, streams_max=5) as receiver:
        outcomes = await posted(make_sender(), receiver, 12)

    assert outcomes == ["http-200"] * 12
    assert (receiver.accepted, receiver.open_at_once_max) == (3, 5)


async def test_one_that_hangs_where_one_is_taken_at_a_time_keeps_nobody_waiting(
    make_sender: MakeSender, tls: ssl.SSLContext
) -> None:
    sender = make_sender()
    async with http2_receiving(first_hangs, tls, streams_max=1) as receiver:
        endpoint = sender.endpoint(receiver.url(), headers=(), content_type="a/b")
        hanging, beside = start(sender, endpoint, timeout_ms=1_000), start(sender, endpoint)
        outcomes = [kind(await beside), kind(await hanging), kind(await start(sender, endpoint))]

    assert outcomes == ["http-200", "timeout", "http-200"]


async def test_a_limit_that_is_lowered_loses_no_reply(make_sender: MakeSender, tls: ssl.SSLContext) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        waiting.append(stream)
        if len(waiting) == 20:
            peer.allow(2)
            peer.reply_later(*waiting)

    waiting: list[int] = []
    async with http2_receiving(answer, tls) as receiver:
        outcomes = await posted(make_sender(), receiver, 20)

    assert outcomes == ["http-200"] * 20
    assert receiver.accepted == 1


async def test_a_limit_that_is_raised_serves_those_who_wait(
    make_sender: MakeSender, tls: ssl.SSLContext
) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        peer.allow(3)
        held.answer(peer, stream)

    held = Held(3)
    async with http2_receiving(answer, tls, streams_max=1) as receiver:
        outcomes = await posted(make_sender(links_per_place_max=1), receiver, 3)

    assert outcomes == ["http-200"] * 3
    assert receiver.accepted == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [(413, ErrorCodes.NO_ERROR), (429, ErrorCodes.NO_ERROR), (0, ErrorCodes.REFUSED_STREAM)],
)
async def test_a_stream_that_ends_before_its_request_has_lost_neither_its_reply_nor_its_second_try(
    make_sender: MakeSender, tls: ssl.SSLContext, status: int, code: ErrorCodes
) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        if status or peer.index == 0:
            if status:
                peer.reply(stream, status)
            peer.h2.reset_stream(stream, code)
        else:
            peer.reply(stream)

    # So many at once that some have sent their body, and wait for their turn to say that it was all.
    async with http2_receiving(answer, tls, streams_max=None, reads_bodies=False) as receiver:
        sender = make_sender()
        endpoint = sender.endpoint(receiver.url(), headers=(), content_type="a/b")
        outcomes = await asyncio.gather(*(start(sender, endpoint, b"x" * 1_000) for _ in range(100)))

    assert {kind(outcome) for outcome in outcomes} == {f"http-{status or 200}"}


async def test_there_is_no_connection_before_the_receiver_lets_a_request_come(
    make_sender: MakeSender, tls: ssl.SSLContext
) -> None:
    async with http2_receiving(first_hangs, tls, streams_max=0) as receiver:
        endpoint = (sender := make_sender()).endpoint(receiver.url(), headers=(), content_type="a/b")
        outcomes = await asyncio.gather(*(start(sender, endpoint, timeout_ms=300) for _ in range(2)))

    assert outcomes == [Failure("timeout", "no connection in time", is_unconnected=True)] * 2


async def _hangs_up(peer: Peer) -> None:
    peer.close()


async def _speaks_http1(peer: Peer) -> None:
    await peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await peer.closed()


async def _floods(peer: Peer) -> None:
    while True:
        await peer.send(b"\0\0\0\xee\0\0\0\0\0" * 1_000)


@pytest.mark.parametrize(
    ("behave", "kind_due"), [(_hangs_up, "connect"), (_speaks_http1, "protocol"), (_floods, "protocol")]
)
async def test_a_receiver_that_does_not_begin_http2_is_a_failure_and_leaves_nothing_open(
    make_sender: MakeSender, tls: ssl.SSLContext, behave: Behaviour, kind_due: str
) -> None:
    tls.set_alpn_protocols(["h2"])
    sender = make_sender()
    async with receiving(behave, tls) as receiver:
        outcome = await post(sender, receiver.url())
        reached = await sender.reach(sender.endpoint(receiver.url(), headers=(), content_type="a/b"), 5_000)
        await asyncio.gather(*receiver.handlers)

    assert kind(outcome) == kind_due
    assert reached is not None
    assert reached.kind == kind_due
