"""Partitions that leave: drained within a budget, committed, and never touched again."""

from __future__ import annotations

import asyncio
from typing import Any

from connector.core.event import NeedsSchema
from connector.engine.ports import NotWritten, SchemaReady, SchemaUnreachable
from tests.support.virtual_time import virtual
from tests.support.world import POSTS, Behaviour, World, hangs, limits, replies, subscription


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def in_hand(behaviour: Behaviour, *, count: int = 1, **changes: Any) -> World:
    """Half a second after the start: so many events are in hand for an endpoint that behaves so."""
    world = World.new()
    world.behave("a", behaviour)
    world.fill(count)
    world.start([subscription("a", **changes)])
    await asyncio.sleep(0.5)
    return world


async def with_a_letter_that_cannot_be_written() -> World:
    world = World.new()
    world.behave("a", replies(500))
    world.cluster.write_faults_by_topic["webhooks.retry.5s"] = NotWritten("passing", "the broker is away")
    world.fill(1)
    world.start([subscription("a")])
    await asyncio.sleep(0.5)
    return world


async def with_a_partly_delivered_record(**changes: Any) -> World:
    world = World.new()
    world.behave("hanging", hangs)
    world.fill(1)
    world.start([subscription("well"), subscription("hanging", **changes)])
    await asyncio.sleep(0.5)
    return world


@virtual
async def test_what_is_in_flight_is_waited_for_and_committed_and_sent_once():
    world = await in_hand(replies(200, after_s=2), count=2)

    await world.source.revoke(POSTS)
    assert world.committed(POSTS) == 2
    world.source.assign(POSTS)
    await asyncio.sleep(5)

    assert world.accepted("a") == 2
    assert world.problems() == []


@virtual
async def test_a_drain_ends_within_its_budget():
    world = await in_hand(hangs)
    started_s = now_s()

    await world.source.revoke(POSTS, budget_ms=3_000)

    assert now_s() - started_s <= 3.05
    assert world.committed(POSTS) == 0
    assert world.worker.accounts.records_released == 1
    assert world.problems() == []


@virtual
async def test_what_a_partly_delivered_record_still_owes_is_diverted():
    world = await with_a_partly_delivered_record()

    await world.source.revoke(POSTS, budget_ms=3_000)

    assert world.committed(POSTS) == 1
    assert world.worker.accounts.diverted == {"partition leaves": 1}
    assert len(world.cluster.tier_letters()) == 1
    assert world.problems() == []


@virtual
async def test_what_waits_in_a_queue_is_given_back_and_not_sent():
    world = await in_hand(replies(200, after_s=1), count=10, in_flight_max=2)

    await world.source.revoke(POSTS)
    await asyncio.sleep(10)

    assert world.accepted("a") == 2
    assert world.worker.accounts.deliveries_released == 8
    assert world.committed(POSTS) == 2
    assert world.problems() == []


@virtual
async def test_a_drain_whose_letters_cannot_be_written_ends_within_its_budget():
    world = await with_a_letter_that_cannot_be_written()
    started_s = now_s()

    await world.source.revoke(POSTS, budget_ms=3_000)

    assert now_s() - started_s <= 3.05
    assert world.committed(POSTS) == 0
    assert world.worker.outbox.tickets == []
    assert world.worker.accounts.deliveries_released == 1
    assert world.problems() == []


@virtual
async def test_a_letter_given_up_with_its_partition_is_never_written_late():
    world = await with_a_letter_that_cannot_be_written()

    world.source.lose(POSTS)
    world.cluster.write_faults_by_topic.clear()
    await asyncio.sleep(60)

    assert world.cluster.tier_letters() == []
    assert world.problems() == []


@virtual
async def test_nothing_is_committed_for_what_was_lost_and_late_answers_change_nothing():
    world = World.new()
    world.behave("a", replies(200, after_s=3))
    world.cluster.append("post.created", b"1")
    world.start([subscription("a")])
    await asyncio.sleep(1.5)
    before = len(world.cluster.commits)

    world.source.lose(POSTS)
    await asyncio.sleep(10)

    assert len([one for one in world.cluster.commits[before:] if one.tp == POSTS]) == 0
    assert world.committed(POSTS) == 0
    assert world.worker.accounts.accepted == 1
    assert world.problems() == []


@virtual
async def test_a_failure_that_comes_after_the_partition_was_lost_writes_nothing():
    world = await in_hand(replies(500, after_s=3))

    world.source.lose(POSTS)
    await asyncio.sleep(10)

    assert world.cluster.tier_letters() == []
    assert world.worker.accounts.deliveries_released == 1
    assert world.problems() == []


@virtual
async def test_a_record_that_waits_for_a_schema_does_not_hold_up_the_drain():
    world = World.new()
    world.decoder.outcomes[b"1"] = NeedsSchema("7")
    world.decoder.answers = [SchemaUnreachable("down")] * 1_000
    world.cluster.append("post.created", b"1")
    world.start([subscription("a")])
    await asyncio.sleep(0.5)
    started_s = now_s()

    await world.source.revoke(POSTS)
    took_s = now_s() - started_s
    world.decoder.answers.clear()
    await asyncio.sleep(60)

    assert took_s <= 0.05
    assert world.accepted("a") == 0
    assert world.problems() == []


@virtual
async def test_a_schema_that_comes_during_the_drain_starts_nothing():
    world = World.new()
    world.behave("a", replies(200, after_s=3))
    world.cluster.append("post.created", b"1")
    world.cluster.append("post.created", b"2")
    world.decoder.outcomes[b"2"] = NeedsSchema("7")
    world.decoder.answers = [SchemaUnreachable("down"), SchemaReady()]
    world.start([subscription("a")])
    await asyncio.sleep(0.1)

    await world.source.revoke(POSTS)
    await asyncio.sleep(10)

    assert world.accepted("a") == 1
    assert world.committed(POSTS) == 1
    assert world.problems() == []


@virtual
async def test_an_abandoned_post_is_not_waited_for():
    world = await with_a_partly_delivered_record(timeout_ms=20_000)
    started_s = now_s()

    await world.source.revoke(POSTS, budget_ms=9_000)

    assert now_s() - started_s <= 6.1  # two thirds of the budget, and the letter


@virtual
async def test_records_read_on_after_a_revoke_begin_where_the_commit_stood():
    world = World.new(limits=limits(flow={"window_records_max": 5}))
    world.behave("a", replies(200, after_s=0.5))
    world.fill(40)
    world.start([subscription("a", in_flight_max=5)])

    for _ in range(5):
        await asyncio.sleep(0.7)
        await world.source.revoke(POSTS)
        world.source.assign(POSTS)
    await asyncio.sleep(20)

    assert world.accepted("a") == 40
    assert world.committed(POSTS) == 40
    assert world.problems() == []


@virtual
async def test_what_is_queued_beside_a_delivery_in_flight_is_diverted_so_that_nothing_accepted_is_repeated():
    world = World.new()
    world.behave("a", replies(200, after_s=3))
    world.behave("b", replies(200, after_s=4))
    subscriptions = [subscription("a"), subscription("b", in_flight_max=1)]
    world.cluster.append("post.created", b"1")
    world.cluster.append("post.created", b"2")
    world.start(subscriptions)
    await asyncio.sleep(0.5)

    await world.worker.stop()
    after = world.next_worker()
    after.start(subscriptions)
    await asyncio.sleep(60)

    assert (world.accepted("a"), world.accepted("b")) == (2, 2)
