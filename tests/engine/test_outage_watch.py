"""When nobody can be reached the fault is ours: intake and tiers hold, nothing counts, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connector.core.breaker import BreakerRules, BreakerSnapshot
from connector.core.headers import Decoded, decode
from connector.core.outcome import Failure, Reply
from connector.core.subscription import Subscription
from connector.engine.ports import TopicPartition
from tests.support.virtual_time import run_virtual, virtual
from tests.support.world import POSTS, Behaviour, Post, World, hangs, limits, replies, subscription

HOSTS = 12
TIERS_MS = [5_000, 30_000, 300_000]
HOLDS = "nothing can be sent: intake holds, probing"
RULES = BreakerRules(failures_to_open=5, cool_down_ms=30_000, cool_down_max_ms=240_000)


def no_name(_: Post) -> tuple[float, Reply | Failure]:
    return 0.02, Failure("dns", "the name server does not answer")


def refused(_: Post) -> tuple[float, Reply | Failure]:
    return 0.01, Failure("connect", "no route to host")


def swallowed(_: Post) -> tuple[float, Reply | Failure]:
    """By a firewall that says nothing."""
    return 3.0, Failure("timeout", "no connection in time", is_unconnected=True)


async def with_proven_hosts(count: int = HOSTS, **changes: Any) -> World:
    """A world in which every one of so many endpoints has answered just now."""
    world = World.new(limits=limits(breaker=RULES, dispatch={"in_hand_max": 2_000}, **changes))
    world.start(subscriptions(count))
    world.fill(3)
    await asyncio.sleep(2)
    assert len(world.sender.accepted) == 3 * count
    return world


def subscriptions(count: int = HOSTS) -> list[Subscription]:
    return [subscription(f"s{n}") for n in range(count)]


def everybody(world: World, behaviour: Behaviour, *, but: int = 0) -> None:
    for n in range(but, HOSTS):
        world.behave(f"s{n}", behaviour)


async def holding(failing: Behaviour = refused, *, events: int, for_s: float) -> World:
    """A world that holds: so many events came so many seconds ago, and nobody can be reached."""
    world = await with_proven_hosts()
    everybody(world, failing)
    world.fill(events)
    await asyncio.sleep(for_s)
    assert list(world.worker.held()) == ["sending"]
    return world


async def assert_never_holds(world: World) -> None:
    """Not in a minute in which five events come each second."""
    for _ in range(60):
        world.fill(5)
        await asyncio.sleep(1)
        assert world.worker.held() == {}


@pytest.mark.parametrize("failing", [no_name, refused, swallowed])
def test_when_nobody_can_be_reached_all_holds_and_goes_on_with_the_first_success(failing: Behaviour):
    async def scenario() -> None:
        world = await with_proven_hosts()
        everybody(world, failing)
        for _ in range(60):
            world.fill(20)
            await asyncio.sleep(1)

        assert "sending" in world.worker.held()
        before, read = len(world.sender.posts), world.worker.accounts.records_read
        world.fill(200)
        await asyncio.sleep(30)
        assert len(world.sender.posts) == before
        assert len(world.sender.reached) <= 3 * 90 / 5 + 3
        assert world.worker.accounts.records_read == read
        everybody(world, replies(200))
        await asyncio.sleep(10)
        assert world.worker.held() == {}
        await asyncio.sleep(400)

        assert len(world.sender.accepted) == HOSTS * (3 + 60 * 20 + 200)
        assert world.worker.accounts.dead == {}
        assert world.problems() == []

    run_virtual(scenario)


@virtual
async def test_nothing_is_counted_while_it_holds():
    world = await holding(events=100, for_s=60)

    letters = world.cluster.tier_letters()
    trails = [decoded.trail for one in letters if isinstance(decoded := decode(one.headers), Decoded)]
    assert len(trails) == len(letters)
    assert len(world.log.said(HOLDS)) == 1
    # What failed before nine in ten had is an ordinary failure.
    assert sum(one.attempt for one in trails) <= 2 * HOSTS


@virtual
async def test_the_probes_go_to_other_hosts_each_time():
    world = await holding(events=100, for_s=5)

    await asyncio.sleep(20)

    assert sorted(post.url for post in world.sender.reached) == sorted(one.url for one in subscriptions())


@virtual
async def test_hosts_that_died_on_the_way_do_not_keep_the_hold_when_others_are_back():
    world = await holding(events=100, for_s=10)

    everybody(world, replies(200), but=4)  # s0 to s3 stay dead
    await asyncio.sleep(15)

    assert world.worker.held() == {}


@virtual
async def test_a_hold_ends_after_a_quarter_of_an_hour_and_failures_are_ordinary_then():
    world = await holding(events=20, for_s=890)

    await asyncio.sleep(30)
    assert world.worker.held() == {}
    await asyncio.sleep(1_200)

    assert world.worker.accounts.to_tiers.total() > 0
    assert len(world.log.said(HOLDS)) == 1


@virtual
async def test_breakers_that_the_outage_opened_are_forgiven():
    world = await with_proven_hosts()
    everybody(world, refused)
    for _ in range(20):
        world.fill(5)
        await asyncio.sleep(1)
    everybody(world, replies(200))
    await asyncio.sleep(6)

    states = {lane.breaker.state for lane in world.worker.lanes}

    assert world.worker.held() == {}
    assert states == {"closed"}


@virtual
async def test_breakers_that_others_opened_in_the_same_outage_are_forgiven_too():
    world = await holding(events=100, for_s=2)
    now_ms = world.clock.now_ms()
    told = BreakerSnapshot(
        state="open", until_ms=now_ms + 240_000, cool_down_ms=240_000, failures=9, why="connect",
        opened_ms=now_ms,
    )  # fmt: skip
    for lane in world.worker.lanes:
        lane.has_failed = False  # as one that nothing came for yet
        lane.adopt(told, now_ms)
        world.worker.dispatcher.heard(lane)

    everybody(world, replies(200))
    await asyncio.sleep(10)

    assert world.worker.held() == {}
    assert {lane.breaker.state for lane in world.worker.lanes} == {"closed"}


@virtual
async def test_one_dead_endpoint_never_holds_even_if_it_is_the_only_one():
    world = await with_proven_hosts(1)
    everybody(world, refused)

    await assert_never_holds(world)

    assert world.committed(POSTS) > 200


@virtual
async def test_three_partners_gone_for_good_never_hold():
    world = await with_proven_hosts(3)
    everybody(world, no_name)

    await assert_never_holds(world)

    assert world.committed(POSTS) > 200


@virtual
async def test_endpoints_that_hang_are_no_outage():
    world = await with_proven_hosts()
    everybody(world, hangs)

    await assert_never_holds(world)


@virtual
async def test_what_waited_out_the_hold_is_not_diverted_for_having_waited():
    world = await holding(events=100, for_s=60)
    before = world.worker.accounts.diverted.copy()

    everybody(world, replies(200, after_s=0.05))
    await asyncio.sleep(20)

    assert world.worker.accounts.diverted == before


@virtual
async def test_a_partition_that_is_revoked_during_the_hold_leaves_in_time_and_repeats_nothing():
    world = await with_proven_hosts()
    everybody(world, refused, but=1)  # s0 accepts all along: other records of its are partly delivered
    world.behave("s0", replies(200, after_s=0.2))
    world.fill(20)
    await asyncio.sleep(1)
    everybody(world, swallowed)
    await asyncio.sleep(5)

    await world.source.revoke(POSTS, budget_ms=10_000)
    everybody(world, replies(200))
    world.source.assign(POSTS)
    await asyncio.sleep(400)

    accepted = [(post.url, post.webhook_id) for post in world.sender.accepted]
    assert len(set(accepted)) == HOSTS * 23
    assert len(accepted) == len(set(accepted))
    assert world.problems() == []


@virtual
async def test_what_fails_of_a_leaving_partition_goes_to_a_tier_without_being_counted():
    world = await holding(swallowed, events=60, for_s=4)

    await world.source.revoke(POSTS, budget_ms=10_000)

    assert world.worker.in_hand().deliveries == 0
    assert world.problems() == []


@virtual
async def test_a_stop_during_the_hold_ends_in_time_and_loses_nothing():
    world = await holding(swallowed, events=60, for_s=10)

    started_s = asyncio.get_running_loop().time()
    await world.worker.stop()
    assert asyncio.get_running_loop().time() - started_s <= 36
    assert world.problems() == []
    everybody(world, replies(200))
    after = world.next_worker(worker_id="w2")
    after.start(subscriptions())
    await asyncio.sleep(400)

    assert len({(post.url, post.webhook_id) for post in world.sender.accepted}) == HOSTS * 63
    assert after.problems() == []


@virtual
async def test_what_fails_during_the_hold_is_parked_if_its_subscription_was_paused_meanwhile():
    world = await holding(swallowed, events=30, for_s=4)

    paused = [subscription("s0", paused=True), *subscriptions()[1:]]
    world.worker.view(paused, TIERS_MS)
    await asyncio.sleep(5)
    lane = world.worker.lanes.get("s0")
    assert lane is not None
    assert lane.waiting == 0
    everybody(world, replies(200))
    await asyncio.sleep(400)

    assert world.committed(POSTS) == 33
    assert world.problems() == []


@virtual
async def test_what_fails_during_the_hold_goes_to_a_tier_if_its_subscription_was_removed_meanwhile():
    world = await holding(swallowed, events=30, for_s=4)

    world.worker.view(subscriptions()[1:], TIERS_MS)
    await asyncio.sleep(5)
    everybody(world, replies(200))
    await asyncio.sleep(1_500)

    assert world.committed(POSTS) == 33
    assert world.worker.in_hand().deliveries == 0
    assert world.problems() == []


@virtual
async def test_a_lane_that_was_asked_to_stay_away_is_no_probe():
    world = await with_proven_hosts()
    world.behave("s0", replies(429, retry_after=b"600"))
    world.fill(1)
    await asyncio.sleep(1)
    everybody(world, refused)
    world.fill(100)

    await asyncio.sleep(300)

    assert world.worker.held()
    assert {post.url for post in world.sender.reached} == {one.url for one in subscriptions()[1:]}


TYPES = 10


def of_own_types() -> list[Subscription]:
    """Each wants the events of a topic of its own."""
    return [subscription(f"s{n}", events=(f"t{n}",)) for n in range(TYPES)]


async def held_with_one_waiting() -> World:
    """A world that holds, with what waits for s8 alone: the others' failures came before it held."""
    world = World.new(limits=limits(breaker=RULES))
    world.start(of_own_types(), [TopicPartition(f"t{n}", 0) for n in range(TYPES)])
    for n in range(TYPES):
        world.fill(1, f"t{n}")
    await asyncio.sleep(2)
    everybody(world, refused)
    for n in range(9):  # nine in ten
        world.fill(1, f"t{n}")
        await asyncio.sleep(0.02)
    assert world.worker.held()
    assert [lane.subscription.id for lane in world.worker.lanes if lane.waiting] == ["s8"]
    return world


def dead(world: World) -> None:
    world.behave("s8", refused)


def paused(world: World) -> None:
    world.worker.view([replace(one, paused=one.id == "s8") for one in of_own_types()], TIERS_MS)


def removed(world: World) -> None:
    world.worker.view([one for one in of_own_types() if one.id != "s8"], TIERS_MS)


@pytest.mark.parametrize("gone", [dead, paused, removed])
def test_a_hold_ends_soon_though_what_waited_is_for_one_that_cannot_be_probed(gone: Callable[[World], None]):
    async def scenario() -> None:
        world = await held_with_one_waiting()
        everybody(world, replies(200))
        gone(world)
        world.fill(50, "t8")
        world.fill(5, "t9")

        await asyncio.sleep(12)

        assert world.worker.held() == {}
        assert world.accepted("s9") == 6
        assert world.problems() == []

    run_virtual(scenario)


@virtual
async def test_nothing_comes_in_during_the_hold_and_nothing_is_written():
    world = await held_with_one_waiting()
    await asyncio.sleep(1)
    accounts = world.worker.accounts
    read, diverted, tried = accounts.records_read, accounts.diverted.copy(), accounts.to_tiers.copy()
    for n in range(TYPES):
        world.fill(90, f"t{n}")

    await asyncio.sleep(600)

    assert world.worker.held()
    assert (accounts.records_read, accounts.diverted, accounts.to_tiers) == (read, diverted, tried)


@virtual
async def test_a_hold_ends_soon_though_all_that_waits_is_for_endpoints_that_are_dead_for_good():
    world = World.new(limits=limits(breaker=RULES))
    dead = [subscription(f"dead{n}", events=("bad",)) for n in range(12)]
    sound = [subscription(f"s{n}", events=("good",)) for n in range(3)]
    world.start([*dead, *sound], [TopicPartition("bad", 0), TopicPartition("good", 0)])
    world.fill(3, "bad")
    await asyncio.sleep(1)
    world.fill(3, "good")
    await asyncio.sleep(60)
    for one in dead:
        world.behave(one.id, refused)

    world.fill(1_000, "bad")
    await asyncio.sleep(1)
    held = world.worker.held()
    world.fill(10, "good")
    await asyncio.sleep(6)

    assert list(held) == ["sending"]
    assert world.worker.held() == {}
    assert {world.accepted(one.id) for one in sound} == {13}


@virtual
async def test_one_reachable_host_of_twelve_does_not_make_holds_come_and_go():
    world = await with_proven_hosts()
    everybody(world, refused, but=1)  # s0 works
    for _ in range(150):
        world.fill(1)
        await asyncio.sleep(10)

    assert len(world.log.said(HOLDS)) <= 1
    assert world.worker.held() == {}
    assert world.accepted("s0") == 153


@virtual
async def test_an_outage_after_one_that_was_overcome_holds_again():
    world = await holding(events=20, for_s=30)
    everybody(world, replies(200))
    await asyncio.sleep(60)
    assert world.worker.held() == {}

    everybody(world, no_name)
    world.fill(20)
    await asyncio.sleep(2)

    assert list(world.worker.held()) == ["sending"]


@virtual
async def test_the_only_three_partners_that_are_left_and_gone_for_good_hold_for_a_quarter_of_an_hour_once():
    world = await holding(events=20, for_s=2)
    world.worker.view(subscriptions(3), TIERS_MS)
    await asyncio.sleep(880)
    assert world.worker.held()

    for _ in range(150):
        world.fill(1)
        await asyncio.sleep(10)

    assert len(world.log.said(HOLDS)) == 1
    assert world.worker.held() == {}
    assert world.committed(POSTS) > 150


@virtual
async def test_forbidden_addresses_across_many_hosts_are_a_slip_of_our_name_servers():
    world = await with_proven_hosts()
    everybody(world, lambda _: (0.01, Failure("forbidden", "it resolves to a forbidden address")))
    world.fill(20)
    await asyncio.sleep(600)

    assert list(world.worker.held()) == ["sending"]
    everybody(world, replies(200))
    await asyncio.sleep(10)
    assert world.worker.held() == {}
    assert world.worker.accounts.dead == {}


@virtual
async def test_hosts_stay_proven_when_the_unix_clock_is_set_back():
    world = await with_proven_hosts()
    world.cluster.clock.skew_ms = -4 * 3_600_000
    for _ in range(70):
        world.fill(1)
        await asyncio.sleep(60)

    everybody(world, refused)
    world.fill(1)
    await asyncio.sleep(1)

    assert world.worker.held()
