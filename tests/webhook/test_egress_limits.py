"""The second sender's bounds, each reached; ages of its connections; two senders behind one port."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from connector.core.outcome import Failure
from connector.core.subscription import Egress
from connector.webhook.egress_sender import EgressEndpoint, EgressSender
from connector.webhook.room import Room
from connector.webhook.router import SenderRouter
from connector.webhook.sender import PreparedEndpoint, WebhookSender
from tests.support.contested_room import Contested
from tests.support.egress_senders import egress_senders
from tests.support.posting import LOOPBACK, MakeSender, kind, post, start
from tests.support.raw_receiver import Peer, always, ok, receiving


@pytest.fixture
async def make_sender() -> AsyncIterator[MakeSender]:
    async with egress_senders(Egress()) as make:
        yield make


async def test_requests_beyond_the_limit_fail_as_ours(make_sender: MakeSender) -> None:
    sender = make_sender(requests_max=2)
    async with receiving(Peer.closed) as receiver:
        endpoint = sender.endpoint(receiver.url(), headers=(), content_type="a/b")
        outcomes = await asyncio.gather(*(start(sender, endpoint, timeout_ms=200) for _ in range(3)))

    assert [kind(outcome) for outcome in outcomes] == ["timeout", "timeout", "resources"]


async def test_bodies_beyond_the_limit_fail_as_ours_and_room_is_given_back(make_sender: MakeSender) -> None:
    sender = make_sender(sending_bytes_max=1_500)
    async with receiving(always(ok())) as receiver:
        endpoint = sender.endpoint(receiver.url(), headers=(), content_type="a/b")
        outcomes = await asyncio.gather(*(start(sender, endpoint, b"x" * 1_000) for _ in range(2)))
        after = await start(sender, endpoint, b"x" * 1_000)

    assert [kind(outcome) for outcome in (*outcomes, after)] == ["http-200", "resources", "http-200"]


async def test_hosts_that_hang_reach_their_own_bound_before_they_have_all_the_room_for_bodies(
    make_sender: MakeSender,
) -> None:
    sender = make_sender(sending_bytes_max=64_000)
    async with contextlib.AsyncExitStack() as stack:
        hanging = [await stack.enter_async_context(receiving(Peer.closed)) for _ in range(8)]
        well = await stack.enter_async_context(receiving(always(ok())))
        endpoints = [sender.endpoint(each.url(), headers=(), content_type="a/b") for each in hanging]
        hung = [start(sender, endpoint, b"x" * 1_000) for endpoint in endpoints for _ in range(8)]
        outcome = await post(sender, well.url(), b"x" * 1_000)
        sender.cancel_all()
        ended = {kind(each) for each in await asyncio.gather(*hung)}

    assert kind(outcome) == "http-200"
    assert ended == {"reset", "resources"}


async def test_who_waits_for_a_connection_gets_it_or_fails_as_ours(make_sender: MakeSender) -> None:
    answered = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.request()
        await answered.wait()
        await peer.send(ok())
        await always(ok())(peer)

    sender = make_sender(links_per_place_max=1)
    async with receiving(behave) as receiver:
        endpoint = sender.endpoint(receiver.url(), headers=(), content_type="a/b")
        first, second = start(sender, endpoint), start(sender, endpoint)
        late = await start(sender, endpoint, timeout_ms=100)
        answered.set()
        outcomes = [kind(await first), kind(await second)]

    assert late == Failure("resources", "no connection to this host came free in time")
    assert outcomes == ["http-200", "http-200"]
    assert receiver.accepted == 1


async def test_at_the_limit_of_all_connections_an_idle_one_makes_room(make_sender: MakeSender) -> None:
    sender = make_sender(room=Room(1))
    async with (
        receiving(always(ok())) as one,
        receiving(always(ok())) as other,
        receiving(Peer.closed) as third,
    ):
        outcomes = [kind(await post(sender, receiver.url())) for receiver in (one, other, one)]
        hanging = start(sender, sender.endpoint(third.url(), headers=(), content_type="a/b"), timeout_ms=200)
        await asyncio.sleep(0)
        none_left = await post(sender, other.url())
        await hanging

    assert outcomes == ["http-200"] * 3
    assert kind(none_left) == "resources"


async def test_an_idle_connection_of_either_sender_makes_room_for_one_of_the_other(
    make_sender: MakeSender,
) -> None:
    room = Room(40)
    second = make_sender(room=room)
    fast = WebhookSender(guard=LOOPBACK, allow_http=True, room=room)
    async with contextlib.AsyncExitStack() as stack:
        receivers = [await stack.enter_async_context(receiving(always(ok()))) for _ in range(40)]
        outcomes = []
        for sender in (fast, second, fast, second):
            outcomes += await asyncio.gather(*(post(sender, receiver.url()) for receiver in receivers))
            assert room.taken <= 40
        await fast.close()
        await second.close()

    assert [kind(outcome) for outcome in outcomes] == ["http-200"] * 160
    assert room.taken == 0


async def test_who_waits_where_the_last_connection_ended_fails_when_another_has_its_room(
    make_sender: MakeSender,
) -> None:
    sender = make_sender(room=Contested(1))
    async with receiving(Peer.closed) as receiver:
        endpoint = sender.endpoint(receiver.url(), headers=(), content_type="a/b")
        last = start(sender, endpoint, timeout_ms=200)
        outcomes = await asyncio.gather(*(start(sender, endpoint, timeout_ms=5_000) for _ in range(3)))
        ended = await last

    assert kind(ended) == "timeout"
    assert outcomes == [Failure("resources", "the limit of connections is reached")] * 3


async def test_room_that_comes_back_is_for_who_still_waits_and_who_came_since(
    make_sender: MakeSender,
) -> None:
    asked, may_end = asyncio.Event(), asyncio.Event()

    async def behave(peer: Peer) -> None:
        if peer.index == 0:
            await peer.request()
            asked.set()
            await may_end.wait()
            peer.close()
        else:
            await always(ok())(peer)

    room = Contested(1)
    sender = make_sender(room=room)
    async with receiving(behave) as receiver:
        endpoint = sender.endpoint(receiver.url(), headers=(), content_type="a/b")
        start(sender, endpoint)
        await asked.wait()
        waiting = [start(sender, endpoint) for _ in range(100)]  # each is told in a turn of the loop
        may_end.set()
        given_up = [await waiting[0]]
        newcomer = start(sender, endpoint)
        given_up.append(await waiting[49])
        room.leaves()
        served = await asyncio.gather(waiting[99], newcomer)

    assert given_up == [Failure("resources", "the limit of connections is reached")] * 2
    assert [kind(outcome) for outcome in served] == ["http-200", "http-200"]


async def test_room_is_given_back_whatever_came_of_a_connection(make_sender: MakeSender) -> None:
    room = Room(5)
    sender = make_sender(room=room)
    async with receiving(always(ok())) as receiver, receiving(Peer.closed) as hanging:
        for url in ("http://127.0.0.1:1/", hanging.url(), receiver.url()):
            await asyncio.gather(*(post(sender, url, timeout_ms=200) for _ in range(3)))
        sender.cancel_all()
        await sender.close()

    assert room.taken == 0


@pytest.mark.parametrize("limit", ["idle_ms", "connection_life_ms"])
async def test_an_idle_or_old_connection_is_closed_by_itself(make_sender: MakeSender, limit: str) -> None:
    gone = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok())
        await peer.closed()
        gone.set()

    sender = make_sender(**{limit: 100})
    async with receiving(behave) as receiver:
        await post(sender, receiver.url())
        await asyncio.wait_for(gone.wait(), 5)

    assert receiver.accepted == 1


async def test_the_way_decides_which_sender_and_the_second_is_made_when_it_is_needed() -> None:
    made: list[EgressSender] = []

    def second() -> EgressSender:
        made.append(EgressSender(guard=LOOPBACK, allow_http=True))
        return made[-1]

    router = SenderRouter(WebhookSender(guard=LOOPBACK, allow_http=True), second)
    async with receiving(always(ok())) as receiver:
        url = receiver.url()
        fast = router.endpoint(url, headers=(), content_type="a/b")
        made_before = len(made)
        slow = [
            router.endpoint(url, headers=(), content_type="a/b", egress=Egress(http2=True)) for _ in range(2)
        ]
        outcomes = [kind(await start(router, endpoint)) for endpoint in (fast, *slow)]
        reached = [await router.reach(endpoint, 1_000) for endpoint in (fast, *slow)]
        await router.close()

    assert isinstance(fast, PreparedEndpoint)
    assert all(isinstance(endpoint, EgressEndpoint) for endpoint in slow)
    assert (made_before, len(made)) == (0, 1)
    assert outcomes == ["http-200"] * 3
    assert reached == [None, None, None]


async def test_both_senders_send_the_same_bytes(make_sender: MakeSender) -> None:
    second = make_sender()
    fast = WebhookSender(guard=LOOPBACK, allow_http=True)
    async with receiving(always(ok())) as receiver:
        for sender in (fast, second):
            await post(sender, receiver.url("/hook?a=b"), b'{"a":1}', headers=[("X-Token", "t")])
        await fast.close()

    assert receiver.requests[0].raw == receiver.requests[1].raw
