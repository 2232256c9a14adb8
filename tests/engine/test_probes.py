"""A disabled lane is tried by one delivery once its probe is due, and that is used up by an answer alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from connector.core.breaker import BreakerRules
from connector.core.dialect import DIALECTS
from connector.core.disabling import NEVER_MS, Disabled, DisableRules
from connector.core.outcome import Failure
from connector.core.topic_names import parked_topic
from connector.engine.lane import Lane
from connector.engine.ports import TopicPartition
from tests.support.fake_kafka import PREFIX
from tests.support.virtual_time import VirtualLoop, virtual
from tests.support.world import POSTS, World, limits, replies, subscription

HOUR_MS = 3_600_000
OTHER = TopicPartition("other", 0)
B = subscription("b", events=("other",))
A = subscription("a", events=("post.*",), dialect=replace(DIALECTS["webhooks-v1"], gone_is_final=True))


async def disabled_since_an_hour(**changes: object) -> tuple[World, Lane]:
    """A world in which the probe is due; with another subscription, to another topic."""
    world = World.new(limits=limits(**changes))  # type: ignore[arg-type]
    world.start([A, B], [POSTS, OTHER])
    await asyncio.sleep(1)
    lane = world.worker.lanes.get("a")
    assert lane is not None
    now_ms = world.clock.now_ms()
    lane.disabled = Disabled(since_ms=now_ms - HOUR_MS, why="It failed.", probes_at_ms=now_ms)
    await asyncio.sleep(3)  # until its parking is known
    return world, lane


@virtual
async def test_one_delivery_probes_while_the_others_are_parked():
    world, lane = await disabled_since_an_hour()
    world.behave("a", replies(500, after_s=5))
    world.fill(10)
    await asyncio.sleep(4)
    world.fill(10)
    await asyncio.sleep(4)

    assert len(world.sender.posts) == 1
    assert lane.disabled is not None
    assert lane.disabled.probes_at_ms >= lane.disabled.since_ms + 3 * HOUR_MS
    assert world.worker.accounts.parked == 19
    assert world.problems() == []


@virtual
async def test_a_probe_that_failed_for_a_fault_of_ours_is_not_used_up():
    world, lane = await disabled_since_an_hour()
    world.behave("a", lambda _: (0.01, Failure("resources", "no descriptors")))
    world.fill(1)
    await asyncio.sleep(1)
    assert len(world.sender.posts) == 1

    world.behave("a", replies(200))
    world.fill(1)
    await asyncio.sleep(1)

    assert lane.disabled is None


@virtual
async def test_a_probe_that_was_never_sent_is_not_used_up():
    world, lane = await disabled_since_an_hour(dispatch={"in_flight_max": 1, "wait_max_ms": 1_000})
    world.behave("b", replies(200, after_s=10))
    world.fill(1, "other")  # takes the only place
    await asyncio.sleep(1)
    world.fill(1)
    await asyncio.sleep(3)
    assert world.worker.accounts.diverted["waited too long"] == 1

    await asyncio.sleep(10)
    world.fill(1)
    await asyncio.sleep(1)

    assert lane.disabled is None
    assert world.accepted("a") == 1


@virtual
async def test_what_is_gone_for_good_is_never_probed():
    world = World.new()
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    world.behave("a", replies(410))
    world.start([A])
    world.fill(1)
    await asyncio.sleep(3)
    lane = world.worker.lanes.get("a")
    assert lane is not None
    assert lane.disabled is not None
    assert lane.disabled.probes_at_ms == NEVER_MS

    world.behave("a", replies(200))
    for _ in range(3):
        world.fill(1)
        await asyncio.sleep(5)
        loop.pass_time(30 * 86_400)
    await asyncio.sleep(5)

    assert len(world.sender.posts) == 1
    assert len(world.cluster.letters(parked_topic(PREFIX))) == 3


@virtual
async def test_what_is_gone_is_probed_where_that_is_chosen():
    world = World.new(limits=limits(disable=DisableRules(probe_first_ms=60_000, probes_gone=True)))
    world.behave("a", replies(410))
    world.start([A])
    world.fill(1)
    await asyncio.sleep(3)

    world.behave("a", replies(200))
    await asyncio.sleep(60)
    world.fill(1)
    await asyncio.sleep(3)

    assert world.accepted("a") == 1


@virtual
async def test_a_disabled_one_that_says_it_is_gone_for_good_is_probed_no_more():
    world, lane = await disabled_since_an_hour(breaker=BreakerRules())
    world.behave("a", replies(410))
    world.fill(1)
    await asyncio.sleep(1)

    assert lane.disabled is not None
    assert lane.disabled.probes_at_ms == NEVER_MS
