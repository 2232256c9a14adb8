"""The engine as a whole, on fakes and in virtual time: each test states one promise."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.virtual_time import virtual
from tests.support.world import POSTS, World, hangs, limits, replies, subscription


@virtual
async def test_every_record_becomes_one_accepted_delivery_per_subscription():
    world = World.new()
    for n in range(50):
        world.cluster.append("post.created", b'{"n":%d}' % n)

    world.start([subscription("a"), subscription("b")])
    await asyncio.sleep(3)

    assert len(world.sender.accepted) == 100
    assert world.committed(POSTS) == 50
    assert world.problems() == []
    await world.worker.stop()
    assert world.fatal == []


@virtual
async def test_a_failed_delivery_walks_the_ladder_to_the_dead_letters():
    world = World.new()
    world.behave("a", replies(500))
    world.cluster.append("post.created", b"1")

    world.start([subscription("a")])
    await asyncio.sleep(400)

    waits = [b.at_ms - a.at_ms for a, b in zip(world.sender.posts, world.sender.posts[1:], strict=False)]
    assert len(world.sender.posts) == 4
    assert all(wait >= step for wait, step in zip(waits, (5_000, 30_000, 300_000), strict=True)), waits
    assert len({post.body for post in world.sender.posts}) == 1
    assert world.worker.accounts.dead == {"exhausted": 1}
    assert world.problems() == []
    await world.worker.stop()


@virtual
async def test_a_hanging_endpoint_does_not_delay_another():
    world = World.new()
    world.behave("slow", hangs)
    for n in range(2_000):
        world.cluster.append("post.created", b"%d" % n)

    world.start([subscription("slow", queue_max=20), subscription("quick")])
    await asyncio.sleep(5)

    assert world.accepted("quick") == 2_000
    assert world.problems() == []
    await world.worker.stop()


@pytest.mark.slow
@virtual
async def test_a_hanging_endpoint_costs_the_other_little_of_its_pace():
    world = World.new(limits=limits(dispatch={"in_hand_max": 2_000}))
    world.behave("slow", hangs)
    world.behave("quick", replies(200, after_s=0.004))
    for n in range(10_000):
        world.cluster.append("post.created", b"%d" % n)

    world.start([subscription("slow"), subscription("quick", in_flight_max=1)])
    await asyncio.sleep(20)  # after that, what is left waits in tiers

    assert world.accepted("quick") >= 0.9 * 20 * 250  # one after the other, 4 ms each


@pytest.mark.slow
@virtual
async def test_hundreds_of_seconds_of_a_dead_endpoint_grow_nothing():
    world = World.new(limits=limits(dispatch={"in_hand_max": 200}))
    world.behave("dead", replies(503))

    world.start([subscription("dead"), subscription("well")])
    for _ in range(60):
        world.fill(50)
        await asyncio.sleep(10)
        assert world.worker.in_hand().deliveries <= 200

    assert world.accepted("well") == 3_000
    assert world.source.pauses == 0
    assert world.problems() == []


@virtual
async def test_a_view_is_needed_before_the_start():
    world = World.new()

    with pytest.raises(AssertionError):
        world.worker.start()


@virtual
async def test_a_worker_is_ready_once_both_groups_are_joined():
    world = World.new()
    world.worker.view([subscription("a")], [5_000])
    world.worker.start()
    before = world.worker.unready()

    world.source.assign()
    world.tier_source.assign()

    assert before == ["has not joined its group: source", "has not joined its group: tiers"]
    assert world.worker.unready() == []


@virtual
async def test_a_stop_waits_for_what_is_in_flight_commits_and_leaves():
    world = World.new()
    world.behave("a", replies(200, after_s=5))
    world.fill(2)
    world.start([subscription("a")])
    await asyncio.sleep(0.5)

    await world.worker.stop()

    assert world.accepted("a") == 2
    assert world.committed(POSTS) == 2
    assert world.source.is_closed
    assert world.tier_source.is_closed
    assert world.problems() == []
    assert world.fatal == []


@virtual
async def test_a_stop_ends_within_its_budget_when_an_endpoint_hangs():
    world = World.new(limits=limits(stop_budget_ms=6_000))
    world.behave("a", hangs)
    world.cluster.append("post.created", b"1")
    world.start([subscription("a")])
    await asyncio.sleep(0.5)
    started_s = asyncio.get_running_loop().time()

    await world.worker.stop()

    assert asyncio.get_running_loop().time() - started_s <= 6.1
    assert world.committed(POSTS) == 0
    assert world.problems() == []


@virtual
async def test_a_hurried_stop_ends_at_once_and_loses_nothing():
    world = World.new()
    world.behave("a", hangs)
    world.fill(20)
    world.start([subscription("a")])
    await asyncio.sleep(0.5)
    stopping = asyncio.create_task(world.worker.stop())
    await asyncio.sleep(0.5)
    started_s = asyncio.get_running_loop().time()

    world.worker.hurry()
    await stopping

    assert asyncio.get_running_loop().time() - started_s <= 0.1
    assert world.writer.is_hurried
    second = world.next_worker()
    second.behave("a", replies(200))
    second.start([subscription("a")])
    await asyncio.sleep(3)
    assert second.accepted("a") == 20


@virtual
async def test_a_kill_during_a_stop_loses_nothing():
    world = World.new()
    world.behave("a", replies(200, after_s=5))
    world.fill(20)
    world.start([subscription("a", in_flight_max=4)])
    await asyncio.sleep(0.5)
    stopping = asyncio.create_task(world.worker.stop())
    await asyncio.sleep(1)
    await world.kill()
    stopping.cancel()

    second = world.next_worker()
    second.behave("a", replies(200))
    second.start([subscription("a")])
    await asyncio.sleep(10)

    assert {post.webhook_id for post in second.sender.accepted} == {f"post_created-0-{n}" for n in range(20)}
    assert second.committed(POSTS) == 20


@virtual
async def test_no_timer_and_no_task_is_left_after_a_stop():
    world = World.new()
    world.behave("a", replies(500))
    world.fill(20)
    world.start([subscription("a")])
    await asyncio.sleep(3)

    await world.worker.stop()
    await asyncio.sleep(1)

    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert others == set()
    assert world.worker.outbox.tickets == []
