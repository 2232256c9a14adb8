"""A disabled subscription that nothing comes for is probed by its backlog: one letter, once it is due."""

from __future__ import annotations

import asyncio

from connector.core.disabling import NEVER_MS, Disabled
from connector.core.topic_names import parked_topic
from connector.engine.backlog import PROBE_LATE_MS
from connector.engine.lane import Lane
from tests.support.fake_kafka import PREFIX
from tests.support.virtual_time import virtual
from tests.support.world import World, replies, subscription

HOUR_MS = 3_600_000
A = subscription("acme", ladder_ms=(1_000, 30_000))
LATE_S = PROBE_LATE_MS // 1_000


async def with_backlog(count: int, *, probe_in_ms: int = 10_000) -> tuple[World, Lane]:
    """A world with a disabled subscription, which so many letters are parked for in three partitions."""
    world = World.new()
    world.cluster.partitions[parked_topic(PREFIX)] = 3
    world.start([A])
    await asyncio.sleep(1)
    lane = world.worker.lanes.get("acme")
    assert lane is not None
    now_ms = world.clock.now_ms()
    probes_at_ms = NEVER_MS if probe_in_ms == NEVER_MS else now_ms + probe_in_ms
    lane.disabled = Disabled(since_ms=now_ms - HOUR_MS, why="It failed.", probes_at_ms=probes_at_ms)
    await asyncio.sleep(3)
    for number in range(count):
        world.cluster.append("post.created", b"1", partition=0, key=b"%d" % number)
    await asyncio.sleep(3)
    assert world.worker.accounts.parked == count
    return world, lane


@virtual
async def test_one_letter_finds_out_and_all_others_follow_when_it_is_accepted():
    world, lane = await with_backlog(30)
    await asyncio.sleep(LATE_S - 5)
    assert world.sender.posts == []

    await asyncio.sleep(40)

    assert lane.disabled is None
    assert world.accepted("acme") == len({post.webhook_id for post in world.sender.accepted}) == 30
    assert world.worker.parked.backlogs["acme"].is_done
    assert world.problems() == []


@virtual
async def test_when_it_is_not_accepted_the_rest_stays_until_the_next_probe_is_due():
    world, lane = await with_backlog(30)
    world.behave("acme", replies(500))

    await asyncio.sleep(1_800)

    assert len(world.sender.posts) == 1
    assert lane.disabled is not None
    assert lane.disabled.probes_at_ms > world.clock.now_ms()
    assert world.worker.accounts.parked_records_read == 1
    assert not world.worker.parked.backlogs["acme"].is_done
    assert world.problems() == []


@virtual
async def test_letter_by_letter_each_is_taken_once_from_every_partition():
    world, lane = await with_backlog(7)
    assert len({letter.partition for letter in world.cluster.letters(parked_topic(PREFIX))}) > 1
    world.behave("acme", replies(500))
    for _ in range(9):
        assert lane.disabled is not None
        lane.disabled = Disabled(since_ms=lane.disabled.since_ms, why="It failed.", probes_at_ms=0)
        await asyncio.sleep(LATE_S + 10)
    world.behave("acme", replies(200))
    lane.disabled = Disabled(since_ms=0, why="It failed.", probes_at_ms=0)

    await asyncio.sleep(120)

    assert lane.disabled is None
    assert len({post.webhook_id for post in world.sender.accepted}) == world.accepted("acme")
    assert world.accepted("acme") + world.worker.accounts.dead.total() == 7
    assert world.worker.parked.backlogs["acme"].is_done
    assert world.problems() == []


@virtual
async def test_the_last_letter_closes_no_backlog_that_is_still_parked_for():
    world, lane = await with_backlog(1)
    world.behave("acme", replies(500))
    await asyncio.sleep(LATE_S + 20)
    assert len(world.sender.posts) == 1

    world.fill(5)
    await asyncio.sleep(40)
    assert not world.worker.parked.backlogs["acme"].is_done
    lane.forget(world.clock.now_ms())
    world.behave("acme", replies(200))
    await asyncio.sleep(60)

    assert world.accepted("acme") == 6
    assert world.problems() == []


@virtual
async def test_what_is_never_probed_and_what_is_paused_keeps_its_backlog():
    world, _ = await with_backlog(5, probe_in_ms=NEVER_MS)

    await asyncio.sleep(600)

    assert world.sender.posts == []


@virtual
async def test_events_that_come_are_the_probe_before_any_letter_is():
    world, lane = await with_backlog(5)
    world.behave("acme", replies(500))
    for _ in range(100):
        world.fill(1)
        await asyncio.sleep(5)

    assert len(world.sender.posts) == 1
    assert world.worker.accounts.parked_records_read == 0
    assert lane.disabled is not None
