"""What everybody knows is not told again: workers agree, and fall silent."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from connector.core.outcome import Reply
from connector.engine.lane import Lane
from tests.support.team import Team
from tests.support.virtual_time import VirtualClock, run_virtual, virtual
from tests.support.world import replies, subscription


@virtual
async def test_news_that_everybody_agrees_on_are_told_once():
    team = await Team.of(3)
    team.behave("a", replies(429, retry_after=b"60"))
    team.fill(1, 0)

    await asyncio.sleep(50)

    assert team.told() == 1


@virtual
async def test_many_answers_at_once_do_not_flood_the_board():
    team = await Team.of(3, in_flight_max=32)
    team.behave("a", replies(200, after_s=0.05))
    team.fill(400, 0)
    await asyncio.sleep(3)
    lane = team.lanes()[0]
    assert lane.pace.limit == 32

    chance = Random(1)
    team.behave("a", lambda _: (chance.uniform(0.1, 0.3), Reply(429, retry_after=b"30")))
    team.fill(100, 0)
    await asyncio.sleep(20)

    assert team.told() <= 32 * 2 + 3


@pytest.mark.parametrize("seed", range(12))
def test_whatever_three_workers_learn_at_once_they_agree_within_seconds_and_fall_silent(seed: int):
    async def scenario() -> None:
        chance = Random(seed)
        team = await Team.of(3, delay_s=lambda: chance.uniform(0.001, 1.0), ladder_ms=(5_000,) * 30)
        for _ in range(60):
            team.behave("a", some_behaviour(chance))
            team.fill(chance.randrange(8), chance.randrange(3))
            if chance.random() < 0.1:
                team.reset_by_operator()
            await asyncio.sleep(chance.choice((0.05, 0.5, 5.0)))
        # From here on nobody learns anything: no events, and what is on tiers is not read any more.
        for world in team.worlds:
            await world.tier_source.close()
        await asyncio.sleep(25)
        told = team.told()
        await asyncio.sleep(20)

        assert team.told() == told
        one, two, three = (known(lane, team.clock) for lane in team.lanes())
        assert one == two == three
        late = await team.start(subscription("a", ladder_ms=(5_000,) * 30))
        assert known(late.worker.lanes.get("a"), team.clock) == one
        for world in team.worlds:
            assert world.problems() == []

    run_virtual(scenario)


def some_behaviour(chance: Random) -> Any:
    after_s = chance.choice((0.001, 0.3))
    kind = chance.choice(("ok", "ok", "fails", "fails", "asks"))
    if kind == "ok":
        return replies(200, after_s=after_s)
    if kind == "fails":
        return replies(500, after_s=after_s)
    return replies(503, after_s=after_s, retry_after=b"%d" % chance.choice((5, 40, 900)))


def known(lane: Lane | None, clock: VirtualClock) -> Any:
    """What decides whether it is sent to: shut until when, since when disabled."""
    assert lane is not None
    until_ms = lane.breaker.until_ms if lane.breaker.until_ms > clock.now_ms() else 0
    return until_ms, lane.disabled


@virtual
async def test_one_that_enables_while_the_other_disables_end_alike():
    team = await Team.of(2, delay_s=lambda: 0.9, ladder_ms=(5_000,) * 40)
    team.behave("a", replies(500))
    for _ in range(600):
        team.fill(1, 0)
        await asyncio.sleep(1)
    assert all(lane.disabled is not None for lane in team.lanes())

    team.behave("a", replies(200))
    for _ in range(600):
        team.fill(1, 0)
        team.fill(1, 1)
        await asyncio.sleep(1)

    assert [lane.disabled for lane in team.lanes()] == [None, None]
    told = team.told()
    await asyncio.sleep(30)
    assert team.told() == told
