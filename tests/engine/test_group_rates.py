"""A rate limit holds for the group, however many workers there are."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.team import TIERS_MS, Team
from tests.support.virtual_time import UNIX_AT_START_MS, run_virtual, virtual
from tests.support.world import subscription


def starts_s(team: Team) -> list[float]:
    """When each POST began, in seconds since the world began."""
    return [(post.at_ms - UNIX_AT_START_MS) / 1_000 for post in team.posts()]


def within(starts: list[float], from_s: float, to_s: float) -> int:
    return sum(from_s <= at_s < to_s for at_s in starts)


@pytest.mark.parametrize("delay_s", [0.02, 0.5])
def test_a_rate_limit_holds_for_one_two_and_four_workers_that_come_and_go(delay_s: float):
    async def scenario() -> None:
        team = Team(lambda: delay_s)
        limited = subscription("a", rate_per_s=10)
        plan = {0: 1, 20: 2, 40: 4, 60: 2, 80: 1}  # at this second there are to be so many
        leaving = []
        working = 0
        for second in range(100):
            for _ in range(max(0, plan.get(second, working) - working)):
                await team.start(limited)
                working += 1
            for _ in range(max(0, working - plan.get(second, working))):
                working -= 1
                leaving.append(asyncio.create_task(team.worlds[working].worker.stop()))
            for number in range(working):
                team.fill(15, number)
            await asyncio.sleep(1)
        await asyncio.gather(*leaving)

        starts = starts_s(team)
        tens = {second: within(starts, second, second + 10) for second in range(4, 90)}
        assert min(tens.values()) >= 90, tens
        assert max(tens.values()) <= 102, tens
        ones = {tenth / 10: within(starts, tenth / 10, tenth / 10 + 1) for tenth in range(990)}
        assert max(ones.values()) <= 10 + 4, "one more for each worker, whose bucket holds one at least"

    run_virtual(scenario)


@virtual
async def test_a_worker_that_has_not_joined_sends_nothing_of_a_limited_lane_but_everything_else():
    team = Team()
    await team.start(subscription("a", rate_per_s=10), subscription("free"))

    team.fill(5, 0)
    await asyncio.sleep(1.5)

    assert len(team.posts("a")) == 0
    assert len(team.posts("free")) == 5
    await asyncio.sleep(3)
    assert len(team.posts("a")) == 5


@virtual
async def test_a_lane_that_is_viewed_or_changed_later_gets_the_present_share():
    team = Team(lambda: 0.02)
    for _ in range(4):
        await team.start(subscription("b"))
    await asyncio.sleep(5)

    for rate_per_s in (10, 20):
        for world in team.worlds:
            world.worker.view([subscription("a", rate_per_s=rate_per_s), subscription("b")], TIERS_MS)
        begun_s = (team.clock.now_ms() - UNIX_AT_START_MS) / 1_000
        for _ in range(10):
            for number in range(4):
                team.fill(15, number)
            await asyncio.sleep(1)
        assert rate_per_s * 9 <= within(starts_s(team), begun_s, begun_s + 10) <= rate_per_s * 10 + 4
