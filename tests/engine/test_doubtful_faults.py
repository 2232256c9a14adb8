"""What may be a proxy's fault or its receiver's stops nobody else, and ends as the receiver's in the end."""

from __future__ import annotations

import asyncio

import pytest

from connector.core.breaker import BreakerRules
from connector.core.disabling import DisableRules
from connector.core.outcome import Failure, Reply
from connector.core.subscription import Egress, Subscription
from tests.support.own_faults import (
    IDS,
    PROXY,
    attempts_told,
    everybody,
    no_tunnel,
    resting,
    started,
    through,
)
from tests.support.virtual_time import virtual
from tests.support.world import POSTS, Behaviour, Post, World, limits, replies, subscription


@pytest.mark.parametrize("beside", [[], [subscription("paused", egress=Egress(proxy=PROXY), paused=True)]])
def test_the_only_receiver_behind_a_proxy_that_does_not_say_why_ends_by_itself(beside: list[Subscription]):
    @virtual
    async def scenario() -> None:
        world = started(through("s0"), *beside)
        world.fill(5)
        await asyncio.sleep(2)
        world.behave("s0", no_tunnel)
        world.fill(50)
        for _ in range(14):
            await asyncio.sleep(300)
            assert world.worker.held() == {}
            assert resting(world) == set()

        assert world.committed(POSTS) == 55
        assert world.worker.accounts.dead == {"exhausted": 50}
        assert world.problems() == []

    scenario()


@virtual
async def test_all_receivers_gone_behind_a_proxy_that_does_not_say_why_hold_nobody():
    world = started(*map(through, IDS[:3]))
    world.fill(1)
    await asyncio.sleep(2)
    for id_ in IDS[:3]:
        world.behave(id_, no_tunnel)
    world.fill(10)
    for _ in range(14):
        await asyncio.sleep(300)
        assert world.worker.held() == {}

    assert world.worker.accounts.dead == {"exhausted": 30}


@virtual
async def test_a_receiver_dead_behind_such_a_proxy_is_shut_out_like_any_other_once_that_is_known():
    world = World.new(limits=limits(breaker=BreakerRules()))
    world.start([through("s0")])
    world.behave("s0", no_tunnel)
    world.fill(20)
    await asyncio.sleep(1_200)
    posts = len(world.sender.posts)
    world.fill(5)
    await asyncio.sleep(1_200)

    [lane] = world.worker.lanes
    assert lane.breaker.state != "closed"
    assert lane.breaker.cool_down_ms == 300_000
    assert len(world.sender.posts) - posts <= 5  # the probes, one in five minutes, and they count


def silent_at_connect(_: Post) -> tuple[float, Reply | Failure]:
    """The proxy takes the connection and says nothing, to this one or to anybody."""
    what = "no tunnel through the proxy proxy.internal:3128 in time, which answers nobody"
    return 19.0, Failure("proxy", what, is_doubtful=True)


@virtual
async def test_silence_at_connect_for_one_receiver_stops_nobody_else_and_ends_as_its_own():
    world = started(*map(through, IDS[:3]))
    world.behave("s0", silent_at_connect)
    for _ in range(4):
        world.fill(1)
        await asyncio.sleep(30)
        assert world.worker.held() == {}
        assert resting(world) == set()
    assert {world.accepted(id_) for id_ in IDS[1:3]} == {4}
    await asyncio.sleep(3 * 3_600)

    assert world.worker.accounts.dead == {"exhausted": 4}
    assert world.problems() == []


@virtual
async def test_silence_at_connect_costs_a_receiver_nothing_for_five_minutes():
    world = started(through("s0"))
    world.behave("s0", silent_at_connect)
    world.fill(1)
    await asyncio.sleep(300)

    assert attempts_told(world) == 0
    world.behave("s0", replies(200))
    await asyncio.sleep(60)

    assert world.accepted("s0") == 1


@pytest.mark.parametrize(("failing", "for_s"), [(no_tunnel, 60), (silent_at_connect, 600)])
def test_a_proxy_that_is_cut_off_from_many_or_silent_for_all_is_held_for_as_an_outage_and_bills_nobody(
    failing: Behaviour, for_s: int
):
    @virtual
    async def scenario() -> None:
        world = started(*map(through, IDS))
        world.fill(1)
        await asyncio.sleep(2)
        everybody(world, failing)
        world.fill(100)
        await asyncio.sleep(for_s)

        assert world.worker.dispatcher.outage_reason == "unreachable"
        assert attempts_told(world) == 0
        everybody(world, replies(200))
        await asyncio.sleep(60)

        assert world.worker.held() == {}
        assert {world.accepted(id_) for id_ in IDS} == {101}

    scenario()


@pytest.mark.parametrize("failing", [no_tunnel, silent_at_connect])
def test_a_subscription_that_fails_so_for_long_is_disabled_and_enabled_again_like_any_other(
    failing: Behaviour,
):
    @virtual
    async def scenario() -> None:
        rules = DisableRules(after_ms=2 * 3_600_000, attempts=5, probe_first_ms=3_600_000)
        world = World.new(limits=limits(disable=rules, breaker=BreakerRules()))
        world.start([through("s0"), through("s1")])
        world.behave("s0", failing)
        lane = world.worker.lanes.get("s0")
        assert lane is not None
        for _ in range(60):
            world.fill(1)
            await asyncio.sleep(120)
            assert lane.disabled is None

        for _ in range(60):
            world.fill(1)
            await asyncio.sleep(120)
        assert lane.disabled is not None
        assert len(world.log.said("disabled")) == 1
        assert world.worker.accounts.parked > 0
        assert world.accepted("s1") == 120
        world.behave("s0", replies(200))
        for _ in range(60):
            world.fill(1)
            await asyncio.sleep(120)

        assert lane.disabled is None
        assert world.accepted("s0") > 0
        assert world.worker.held() == {}
        assert world.problems() == []

    scenario()
