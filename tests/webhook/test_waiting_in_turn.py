"""Who waits for a connection is served in turn by both senders, whatever comes between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from connector.engine.ports import Endpoint, Sender
from connector.webhook.room import Room
from tests.support.contested_room import Contested
from tests.support.posting import MakeSender, kind, start
from tests.support.raw_receiver import Peer, Receiver, always, ok, receiving
from tests.support.senders import BOTH, senders_of


@pytest.fixture(params=BOTH)
async def make_sender(request: pytest.FixtureRequest) -> AsyncIterator[MakeSender]:
    async with senders_of(request.param) as make:
        yield make


class Asked:
    """What a receiver is asked, in order. The test answers."""

    def __init__(self) -> None:
        self._requests: asyncio.Queue[tuple[Peer, bytes]] = asyncio.Queue()

    async def behave(self, peer: Peer) -> None:
        while True:
            request = await peer.request()
            self._requests.put_nowait((peer, request.body))

    async def next(self) -> tuple[Peer, bytes]:
        """The next one's connection and body."""
        return await asyncio.wait_for(self._requests.get(), 10)


def endpoint_of(sender: Sender, receiver: Receiver) -> Endpoint:
    return sender.endpoint(receiver.url(), headers=(), content_type="a/b")


async def test_who_finds_that_another_took_the_room_keeps_its_turn(make_sender: MakeSender) -> None:
    asked, sender = Asked(), make_sender(room=Contested(2))
    async with receiving(asked.behave) as receiver:
        endpoint = endpoint_of(sender, receiver)
        under_way = [start(sender, endpoint, body) for body in (b"a", b"b")]
        (ending, _), (other, _) = await asked.next(), await asked.next()
        for body in (b"1", b"2", b"3"):
            start(sender, endpoint, body)
        ending.close()
        await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)

        served = []
        for _ in range(3):
            await other.send(ok())
            served.append((await asked.next())[1])

    assert served == [b"1", b"2", b"3"]


async def test_room_that_came_back_is_for_who_waits_before_who_comes(make_sender: MakeSender) -> None:
    room = Room(2)
    assert room.take()  # by another
    asked, sender = Asked(), make_sender(room=room)
    async with receiving(asked.behave) as receiver:
        endpoint = endpoint_of(sender, receiver)
        start(sender, endpoint, b"a")
        await asked.next()
        start(sender, endpoint, b"1")
        await asyncio.sleep(0)
        room.give_back()
        start(sender, endpoint, b"2")

        peer, first = await asked.next()
        await peer.send(ok())
        _, second = await asked.next()

    assert [first, second] == [b"1", b"2"]


async def test_what_is_sent_again_has_had_its_turn(make_sender: MakeSender) -> None:
    room = Contested(2)
    asked, sender = Asked(), make_sender(room=room)
    async with receiving(asked.behave) as receiver:
        endpoint = endpoint_of(sender, receiver)
        kept = start(sender, endpoint, b"a")
        ending, _ = await asked.next()
        start(sender, endpoint, b"b")
        other, _ = await asked.next()
        await ending.send(ok())
        await kept
        again = start(sender, endpoint, b"0")
        await asked.next()
        for body in (b"1", b"2"):
            start(sender, endpoint, body)
        ending.close()
        await room.has_taken.wait()

        served = []
        for _ in range(3):
            await other.send(ok())
            served.append((await asked.next())[1])

    assert served == [b"0", b"1", b"2"]
    assert kind(await again) == "http-200"


async def test_who_waits_is_not_given_a_connection_that_is_too_old(make_sender: MakeSender) -> None:
    sender = make_sender(room=Room(1), connection_life_ms=0)
    async with receiving(always(ok())) as receiver:
        endpoint = endpoint_of(sender, receiver)
        outcomes = await asyncio.gather(*(start(sender, endpoint) for _ in range(5)))

    assert [kind(outcome) for outcome in outcomes] == ["http-200"] * 5
    assert receiver.accepted == 5
