"""A pause is no time of failing: what is resumed is not disabled for what failed before."""

from __future__ import annotations

import asyncio

from connector.core.disabling import DisableRules
from tests.support.two_workers import TIERS, TwoWorkers, resumed
from tests.support.virtual_time import virtual
from tests.support.world import World, limits, replies, subscription

RULES = DisableRules(after_ms=120_000, attempts=20)


@virtual
async def test_a_bad_minute_before_a_long_pause_and_one_failure_after_it_disable_nothing() -> None:
    world = World.new(limits=limits(disable=RULES))
    world.behave("a", replies(500))
    world.start([subscription("a")])
    await asyncio.sleep(1)
    world.fill(20)
    await asyncio.sleep(4)
    lane = world.worker.lanes.get("a")
    assert lane is not None
    failed = lane.failures.attempts

    world.worker.view([subscription("a", paused=True)], [5_000])
    await asyncio.sleep(150)
    world.worker.view([subscription("a")], [5_000])
    world.fill(1)
    await asyncio.sleep(4.5)

    assert failed == 20
    assert len(world.sender.posts) > 20
    assert lane.disabled is None


@virtual
async def test_a_run_that_another_still_knows_when_we_resume_is_over_for_all() -> None:
    two = await TwoWorkers.joined()
    lanes = [world.worker.lanes.get("acme") for world in (two.first, two.second)]
    first, second = (lane for lane in lanes if lane is not None)
    begun_ms = two.cluster.clock.now_ms()
    await two.pause()
    for lane in (first, second):
        lane.failures.told_of_run(begun_ms, 20, told_at_ms=begun_ms, now_ms=begun_ms)
    await asyncio.sleep(5)

    two.first.worker.view([resumed("acme")], TIERS)
    two.second.worker.knowledge.tell(second)
    await asyncio.sleep(2)

    assert (first.failures.attempts, second.failures.attempts) == (0, 0)
