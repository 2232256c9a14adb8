"""A backlog larger than its lane's queue is drained at the lane's pace, and seldom written again."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from connector.core.breaker import BreakerRules
from connector.core.dialect import DEFAULT_LADDER_MS
from connector.core.ladder import tiers_of
from connector.core.subscription import Subscription
from connector.core.topic_names import parked_topic, tier_topic
from tests.support.fake_kafka import PREFIX
from tests.support.virtual_time import run_virtual, virtual
from tests.support.world import POSTS, Post, World, limits, partitions_of, replies, subscription

SHORT_LADDER_MS = (5_000, 30_000, 120_000, 300_000)
LADDERS = pytest.mark.parametrize("ladder_ms", [DEFAULT_LADDER_MS, SHORT_LADDER_MS], ids=["default", "short"])


def limited(ladder_ms: tuple[int, ...], **changes: object) -> Subscription:
    """It takes ten a second."""
    settings = {"ladder_ms": ladder_ms, "queue_max": 200, "rate_per_s": 10.0}
    return subscription("a", **(settings | changes))


def begun(*subscriptions: Subscription, partitions: int = 1) -> World:
    """With what the settings say by default, but for the partitions of each topic."""
    world = World.new(
        limits=limits(
            dispatch={"in_flight_max": 2_048, "host_in_flight_max": 256, "in_hand_max": 20_000},
            flow={"window_records_max": 2_000},
            tier_flow={"window_records_max": 2_000},
            breaker=BreakerRules(),
        )
    )
    world.cluster.partitions[parked_topic(PREFIX)] = 3
    tiers = tiers_of(subscriptions)
    for topic in (POSTS.topic, *(tier_topic(PREFIX, tier_ms) for tier_ms in tiers)):
        world.cluster.partitions[topic] = partitions
    world.start(
        subscriptions, partitions_of(POSTS.topic, partitions), tiers=tiers, tier_partitions=partitions
    )
    return world


async def with_parked(one: Subscription, paused: Subscription, count: int) -> World:
    """So many are parked, and the subscription is resumed now."""
    world = begun(paused)
    await asyncio.sleep(4)
    world.fill(count)
    await asyncio.sleep(10)
    world.worker.view([one], tiers_of([one]))
    return world


def posts_to_a(world: World) -> list[Post]:
    return [post for post in world.sender.accepted if "//a." in post.url]


def shares(world: World, *, per_s: float) -> list[float]:
    """Of each ten seconds between the first and the last that was accepted: how much of the pace was used."""
    times = [post.at_ms for post in posts_to_a(world)]
    bounds = range(times[0], times[-1], 10_000)
    return [sum(a <= at_ms < b for at_ms in times) / (10 * per_s) for a, b in pairwise(bounds)]


def letters_per_delivery(world: World) -> float:
    return sum(world.worker.accounts.to_tiers.values()) / len(posts_to_a(world))


@LADDERS
def test_what_was_parked_is_drained_at_the_lanes_pace(ladder_ms: tuple[int, ...]) -> None:
    async def scenario() -> None:
        world = await with_parked(limited(ladder_ms), limited(ladder_ms, paused=True), 2_000)

        await asyncio.sleep(215)

        assert len(posts_to_a(world)) == 2_000
        assert sum(shares(world, per_s=10)) >= 0.9 * len(shares(world, per_s=10))
        assert min(shares(world, per_s=10)) >= 0.75
        assert letters_per_delivery(world) <= 3.5  # one of them takes it out of the parked topic

    run_virtual(scenario)


@LADDERS
def test_a_burst_of_fresh_events_is_drained_at_the_lanes_pace(ladder_ms: tuple[int, ...]) -> None:
    async def scenario() -> None:
        world = begun(limited(ladder_ms))
        await asyncio.sleep(4)

        world.fill(2_000)
        await asyncio.sleep(220)

        assert len(posts_to_a(world)) == 2_000
        assert min(shares(world, per_s=10)) >= 0.75
        assert letters_per_delivery(world) <= 3

    run_virtual(scenario)


@LADDERS
def test_what_came_while_it_was_away_is_drained_at_the_lanes_pace(ladder_ms: tuple[int, ...]) -> None:
    async def scenario() -> None:
        world = begun(limited(ladder_ms))
        await asyncio.sleep(4)
        world.behave("a", replies(503))
        for _ in range(600):
            world.fill(5)
            await asyncio.sleep(1)

        world.behave("a", replies(200))
        before = sum(world.worker.accounts.to_tiers.values())
        await asyncio.sleep(2_500)

        drained = shares(world, per_s=10)
        written = sum(world.worker.accounts.to_tiers.values()) - before
        assert len(posts_to_a(world)) >= 2_980  # the probes that failed wait out their ladder
        assert sum(drained[1:25]) >= 0.9 * 24  # what waits longer than five minutes comes later
        assert written <= 3 * 3_000

    run_virtual(scenario)


@virtual
async def test_what_has_come_back_in_vain_for_twenty_times_is_drained_at_the_lanes_pace() -> None:
    ladder_ms = (5_000, *[30_000] * 20)
    world = begun(limited(ladder_ms, rate_per_s=None, in_flight_max=16))
    world.behave("a", replies(503))
    for _ in range(700):
        world.fill(5)
        await asyncio.sleep(1)

    world.behave("a", replies(200, after_s=0.05))
    await asyncio.sleep(300)
    first_ms = posts_to_a(world)[0].at_ms
    in_time = [post for post in posts_to_a(world) if post.at_ms <= first_ms + 35_000]  # a tier, and more

    assert len(in_time) >= 3_400  # but for the probes


@virtual
async def test_a_slow_endpoint_that_nobody_has_limited_is_drained_at_its_pace() -> None:
    slow = {"rate_per_s": None, "in_flight_max": 1}
    one = limited(DEFAULT_LADDER_MS, **slow)
    world = await with_parked(one, limited(DEFAULT_LADDER_MS, paused=True, **slow), 600)
    world.behave("a", replies(200, after_s=0.7))

    await asyncio.sleep(480)

    assert len(posts_to_a(world)) == 600
    assert sum(shares(world, per_s=1 / 0.7)) >= 0.9 * len(shares(world, per_s=1 / 0.7))
    assert letters_per_delivery(world) <= 3.5


@virtual
async def test_more_than_a_lane_takes_for_good_goes_to_ever_longer_tiers() -> None:
    world = begun(limited(DEFAULT_LADDER_MS))

    for _ in range(600):
        world.fill(20)
        await asyncio.sleep(1)

    assert world.accepted("a") >= 0.95 * 6_000
    assert letters_per_delivery(world) <= 3
    assert world.worker.accounts.to_tiers[300_000] > 0


@pytest.mark.parametrize(
    ("in_flight_max", "after_s", "within_s"), [(16, 0.6, 130), (64, 1, 65), (16, 0.05, 20)]
)
def test_a_lane_that_still_learns_its_pace_gets_its_backlog_back_as_soon_as_it_knows(
    in_flight_max: int, after_s: float, within_s: float
) -> None:
    async def scenario() -> None:
        one = limited(DEFAULT_LADDER_MS, rate_per_s=None, in_flight_max=in_flight_max)
        world = begun(one, partitions=6)
        world.behave("a", replies(200, after_s=after_s))

        for n in range(3_000):
            world.cluster.append("post.created", b"1", key=b"%d" % n)
        await asyncio.sleep(within_s)

        assert len(posts_to_a(world)) == 3_000
        assert letters_per_delivery(world) <= 4.5

    run_virtual(scenario)


@virtual
async def test_the_backlog_of_a_lane_that_makes_one_in_20_s_is_not_written_again_every_half_minute() -> None:
    one = limited(DEFAULT_LADDER_MS, rate_per_s=0.05)
    world = await with_parked(one, limited(DEFAULT_LADDER_MS, rate_per_s=0.05, paused=True), 200)

    await asyncio.sleep(4_200)

    assert len(posts_to_a(world)) == 200
    assert letters_per_delivery(world) <= 9


@virtual
async def test_a_backlog_of_an_endpoint_that_refuses_everything_goes_at_its_pace():
    world = World.new()
    world.behave("a", replies(400, after_s=0.05))
    world.fill(4_000)
    world.start([subscription("a", in_flight_max=2, queue_max=20, final_statuses=frozenset({400}))])

    await asyncio.sleep(180)  # 100 s of work at 40 a second

    assert world.worker.accounts.dead.total() == 4_000
