"""A long replay keeps nobody else's waiting: a pass ends in time, and who has waited longest is next."""

from __future__ import annotations

import asyncio

from connector.core.disabling import Disabled
from tests.support.two_workers import TIERS, TwoWorkers, paused, resumed
from tests.support.virtual_time import virtual
from tests.support.world import subscription

OFTEN = 8_000
"""Of each source partition: at 2,000 a second, twice as many take 8 s."""


async def with_two_backlogs() -> TwoWorkers:
    """A long one of acme, which is resumed, and one letter from each partition for b, parked before that."""
    two = await TwoWorkers.joined()
    two.view(paused("acme"), paused("b"))
    await asyncio.sleep(2)
    two.produce(1)
    await two.until(lambda: two.parked == 4, "both are parked")
    two.view(paused("acme"), subscription("b", ladder_ms=TIERS, paused=True, events=("none",)))
    await asyncio.sleep(2)
    two.produce(OFTEN)
    await two.until(lambda: two.parked == 4 + 2 * OFTEN, "all is parked")
    two.view(resumed("acme"), paused("b"))
    await two.until(lambda: two.replayed >= 1_000, "the long replay has begun")
    return two


@virtual
async def test_what_is_resumed_during_a_long_replay_waits_for_seconds_only() -> None:
    two = await with_two_backlogs()

    two.view(resumed("acme"), resumed("b"))
    await two.until(lambda: two.first.accepted("b") == 2, "b has what was parked for it")

    assert two.replayed < 2 * OFTEN - 2_000
    await two.until_replayed()
    await two.until(lambda: len(two.accepted) == 2 * OFTEN + 2, "acme has all")
    assert two.first.accepted("b") == 2
    two.check_books()


@virtual
async def test_a_probe_that_is_due_during_a_long_replay_is_made_within_seconds() -> None:
    two = await with_two_backlogs()
    lanes = [world.worker.lanes.get("b") for world in (two.first, two.second)]
    two.view(resumed("acme"), subscription("b", ladder_ms=TIERS, events=("none",), paused=True))
    for lane in lanes:
        assert lane is not None
        lane.disabled = Disabled(since_ms=0, why="It failed.", probes_at_ms=1)
    two.view(resumed("acme"), subscription("b", ladder_ms=TIERS, events=("none",)))

    await two.until(lambda: two.first.accepted("b") == 1, "b is probed")

    assert two.replayed < 2 * OFTEN - 2_000


@virtual
async def test_a_log_that_is_slow_to_say_how_far_it_reaches_leaves_each_of_two_its_turn() -> None:
    two = await with_two_backlogs()
    two.first.letters.extents_s = 6.0

    two.view(resumed("acme"), resumed("b"))
    await two.until_replayed()
    await two.until(lambda: len(two.accepted) == 2 * OFTEN + 2, "acme has all")

    assert two.first.accepted("b") == 2
    two.check_books()
