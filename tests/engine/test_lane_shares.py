"""What a lane gives to fresh deliveries and to retries, and how its limit follows its endpoint."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.virtual_time import virtual
from tests.support.world import POSTS, Post, World, limits, replies, subscription


async def flood(world: World, seconds: float, *, a_second: int) -> None:
    for _ in range(round(seconds * 10)):
        world.fill(a_second // 10)
        await asyncio.sleep(0.1)


@virtual
async def test_a_flood_of_fresh_events_does_not_keep_a_due_retry_waiting():
    world = World.new(limits=limits(dispatch={"in_hand_max": 2_000}))
    world.behave("a", replies(500, after_s=0.05))
    world.start([subscription("a", in_flight_max=4, ladder_ms=(5_000, 5_000, 5_000))])
    world.fill(20)
    await asyncio.sleep(1)
    first_tried = {post.webhook_id for post in world.sender.posts}

    world.behave("a", replies(200, after_s=0.05))
    await flood(world, 20, a_second=200)  # 80 a second is what it takes

    retried = [post for post in world.sender.accepted if post.webhook_id in first_tried]
    assert len(retried) == 20
    assert max(post.at_ms for post in retried) - world.sender.posts[0].at_ms <= 5_000 + 1_000 + 2_500


@virtual
async def test_a_flood_of_retries_does_not_keep_fresh_events_out():
    world = World.new(limits=limits(dispatch={"in_hand_max": 2_000}))
    world.behave("a", replies(500, after_s=0.01))
    world.start([subscription("a", in_flight_max=4, ladder_ms=(5_000,) * 50)])
    world.fill(1_500)
    await asyncio.sleep(4)

    world.behave("a", replies(200, after_s=0.05))
    await asyncio.sleep(3)  # the retries come
    begun_ms = world.clock.now_ms()
    await flood(world, 5, a_second=200)

    posts = [post for post in world.sender.posts if post.at_ms >= begun_ms]
    offsets = [int(post.webhook_id.rpartition("-")[2]) for post in posts]
    retries = sum(offset < 1_500 for offset in offsets)
    fresh = len(offsets) - retries
    assert retries > 0
    assert fresh >= 0.4 * (fresh + retries)


@virtual
async def test_a_flood_of_fresh_events_leaves_room_in_hand_for_what_is_due():
    """All lanes together have more to do than the process takes in hand."""
    world = World.new(limits=limits(dispatch={"in_hand_max": 100, "in_flight_max": 40}))
    ids = [f"s{n}" for n in range(20)]
    for id_ in ids:
        world.behave(id_, replies(500, after_s=0.05))
    world.start([subscription(id_, in_flight_max=2, ladder_ms=(5_000, 5_000, 5_000)) for id_ in ids])
    world.fill(2)
    await asyncio.sleep(1)
    first_tried = {(post.url, post.webhook_id) for post in world.sender.posts}
    assert len(first_tried) == 40

    for id_ in ids:
        world.behave(id_, replies(200, after_s=0.05))
    await flood(world, 20, a_second=100)  # 2,000 deliveries a second, of which 800 can be made

    retried = [post for post in world.sender.accepted if (post.url, post.webhook_id) in first_tried]
    assert len(retried) == 40
    assert max(post.at_ms for post in retried) - world.sender.posts[0].at_ms <= 10_000


@pytest.mark.slow
@virtual
async def test_a_flood_of_retries_leaves_room_in_hand_for_fresh_events():
    world = World.new(limits=limits(dispatch={"in_hand_max": 100, "in_flight_max": 40}))
    ids = [f"s{n}" for n in range(20)]
    for id_ in ids:
        world.behave(id_, replies(500, after_s=0.01))
    world.start([subscription(id_, in_flight_max=2, ladder_ms=(5_000,) * 90) for id_ in ids])
    world.fill(400)
    await asyncio.sleep(20)
    before = world.committed(POSTS)

    world.fill(100)
    await asyncio.sleep(10)

    assert world.committed(POSTS) >= min(before + 100, 500)


@virtual
async def test_the_limit_grows_with_a_fast_endpoint_and_falls_with_one_that_becomes_slow():
    world = World.new(limits=limits(dispatch={"in_hand_max": 2_000}))
    world.behave("a", replies(200, after_s=0.02))
    world.start([subscription("a", in_flight_max=32, queue_max=2_000)])
    lane = world.worker.lanes.get("a")
    assert lane is not None
    assert lane.pace.limit == 2
    await flood(world, 3, a_second=1_000)
    assert lane.pace.limit == 32

    world.behave("a", replies(200, after_s=1.5))
    await flood(world, 20, a_second=100)

    assert lane.pace.limit <= 4


@virtual
async def test_an_endpoint_that_takes_four_at_a_time_is_not_stormed():
    world = World.new(limits=limits(dispatch={"in_hand_max": 2_000}))
    under_way = 0

    def behave(post: Post) -> Any:
        nonlocal under_way
        if under_way >= 4:
            return replies(503, after_s=0.001)(post)
        under_way += 1
        asyncio.get_running_loop().call_later(0.05, ended)
        return replies(200, after_s=0.05)(post)

    def ended() -> None:
        nonlocal under_way
        under_way -= 1

    world.sender.behaviour["https://a.example/hooks"] = behave
    world.start([subscription("a", in_flight_max=64, ladder_ms=(5_000,) * 10)])
    await flood(world, 30, a_second=60)  # of the 80 a second that it can take
    await asyncio.sleep(30)

    assert world.accepted("a") == 1_800
    assert len(world.sender.posts) <= 1_800 * 1.25
