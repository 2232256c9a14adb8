"""A rate limit holds for the group, however many workers there are."""

from __future__ import annotations

import asyncio

import pytest

from connector.core.subscription import Subscription
from connector.engine.worker import SHARE_WAIT_MAX_MS
from tests.support.team import TIERS_MS, Team
from tests.support.virtual_time import UNIX_AT_START_MS, run_virtual, virtual
from tests.support.world import POSTS, subscription


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


async def waited_s(team: Team, *subscriptions: Subscription, is_heard: bool = True) -> float:
    """How long another worker waits for its share."""
    world = await team.start(*subscriptions)
    team.topic.is_down = not is_heard
    begun_ms = team.clock.now_ms()
    await world.worker.get_share()
    return (team.clock.now_ms() - begun_ms) / 1_000


@virtual
async def test_a_worker_that_has_its_share_before_it_reads_sends_nothing_to_a_tier():
    team = Team(lambda: 0.02)
    world = team.make()
    world.worker.view([subscription("a", rate_per_s=1_000, queue_max=50)], TIERS_MS)
    world.worker.start()

    await world.worker.get_share()
    team.fill(300, 0)
    world.source.assign(POSTS)
    await asyncio.sleep(2)

    assert len(team.posts()) == 300
    assert not world.worker.accounts.to_tiers


@virtual
async def test_a_share_takes_two_seconds_where_others_are_heard_and_none_where_nothing_is_limited():
    team = Team(lambda: 0.5)

    assert await waited_s(team, subscription("a")) == 0
    assert 2 <= await waited_s(team, subscription("a", rate_per_s=10)) <= 2.5
    assert team.worlds[1].worker.share == 0.5


@virtual
async def test_where_the_board_is_not_heard_a_worker_reads_all_the_same():
    team = Team(lambda: 0.02)

    took_s = await waited_s(team, subscription("a", rate_per_s=10), is_heard=False)

    assert SHARE_WAIT_MAX_MS / 1_000 <= took_s <= 5.5


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
