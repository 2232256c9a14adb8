"""Failures that one worker sees, and successes of another: only what nobody succeeds with is disabled."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest

from connector.core.breaker import BreakerRules
from connector.core.disabling import NEVER_MS, Disabled, DisableRules
from connector.core.sharing import EndpointNews, decode, encode
from connector.engine.exclusion import ANSWERED_MS
from tests.support.team import DISABLE, RULES, Team, news_of
from tests.support.virtual_time import run_virtual, virtual
from tests.support.world import replies, subscription


def blocked_at_the_first(team: Team, **reply: Any) -> None:
    """From now on the first worker sees the endpoint fail, and the others see it accept everything."""
    team.worlds[0].sender.behaviour = defaultdict(lambda: replies(503, **reply))


@pytest.mark.parametrize("rules", [RULES, BreakerRules(failures_to_open=0)])
@pytest.mark.parametrize("reply", [{}, {"retry_after": b"5"}])
def test_what_fails_at_one_worker_and_is_accepted_from_another_is_never_disabled(
    rules: BreakerRules, reply: dict[str, bytes]
):
    async def scenario() -> None:
        team = Team(rules=rules)
        for _ in range(3):
            await team.start(subscription("a", ladder_ms=(300_000,) * 40))
        await asyncio.sleep(1)
        blocked_at_the_first(team, **reply)
        for second in range(600):
            if second % 10 == 0:
                team.fill(1, 0)
            team.fill(1, 1)
            await asyncio.sleep(1)

        assert [lane.disabled for lane in team.lanes()] == [None] * 3
        assert team.worlds[0].log.said("disabled") == []
        for world in team.worlds:
            assert world.problems() == []

    run_virtual(scenario)


@virtual
async def test_a_healthy_endpoint_is_not_told_of_and_one_that_one_worker_cannot_reach_once_in_a_while():
    team = Team(rules=BreakerRules(failures_to_open=0))
    for _ in range(3):
        await team.start(subscription("a", ladder_ms=(300_000,) * 40))
    for _ in range(60):
        for number in range(3):
            team.fill(1, number)
        await asyncio.sleep(1)
    assert team.told() == 0

    blocked_at_the_first(team)
    for _ in range(600):
        for number in range(3):
            team.fill(1, number)
        await asyncio.sleep(1)

    # Asked and answered once for each time that it would have been disabled: every 60 s.
    assert 10 <= team.told() <= 3 * 11


@virtual
async def test_what_nobody_succeeds_with_is_disabled_once_the_others_were_asked():
    team = await Team.of(3, delay_s=lambda: 0.9, ladder_ms=(300_000,) * 40)
    team.fill(1, 1)
    await asyncio.sleep(1)
    team.behave("a", replies(503))
    run_began_ms = team.clock.now_ms()
    while team.lanes()[0].disabled is None:
        team.fill(1, 0)
        await asyncio.sleep(0.1)

    assert team.lanes()[0].disabled.since_ms >= run_began_ms + DISABLE.after_ms + ANSWERED_MS  # type: ignore[union-attr]
    await asyncio.sleep(1)
    assert all(lane.disabled is not None for lane in team.lanes())


@virtual
async def test_nobody_is_disabled_for_failing_while_the_others_cannot_be_asked():
    team = await Team.of(2, ladder_ms=(300_000,) * 40)
    blocked_at_the_first(team)
    team.topic.is_down = True
    for _ in range(300):
        team.fill(1, 0)
        team.fill(1, 1)
        await asyncio.sleep(1)
    assert team.lanes()[0].failures.attempts >= DISABLE.attempts
    assert team.lanes()[0].disabled is None

    team.topic.is_down = False
    await asyncio.sleep(20)

    assert [lane.disabled for lane in team.lanes()] == [None, None]
    assert team.lanes()[0].failures.attempts < DISABLE.attempts


@virtual
async def test_a_worker_that_starts_later_goes_on_with_the_run_of_failures_and_knows_of_the_last_success():
    team = await Team.of(1)
    team.fill(1, 0)
    await asyncio.sleep(5)
    team.behave("a", replies(500))
    team.fill(5, 0)
    await asyncio.sleep(5)

    late = await team.start(subscription("a"))

    lane, first = late.worker.lanes.get("a"), team.lanes()[0]
    assert lane is not None
    assert (lane.failures.since_ms, lane.failures.attempts) == (first.failures.since_ms, 5)
    assert first.failures.since_ms - 6_000 < lane.failures.told_success_ms < first.failures.since_ms


async def with_old_runs(ids: Sequence[str]) -> Team:
    """One worker, which has heard of five failures of each, long ago; it has told nothing yet."""
    team = Team()
    for id_ in ids:
        team.topic.append(*encode(news_of(id_, failing_since_ms=1_000, failed_attempts=5)))
    team.topic.appended.clear()
    await team.start(*(subscription(id_) for id_ in ids))
    await asyncio.sleep(1)
    assert [lane.failures.attempts for id_ in ids for lane in team.lanes(id_)] == [5] * len(ids)
    assert [team.told(id_) for id_ in ids] == [0] * len(ids)
    return team


# ── what a restart must not lose ────────────────────────────────────────────────────────────────


@virtual
async def test_a_success_soon_after_the_question_is_an_answer_and_is_known_after_a_restart():
    team = Team(rules=BreakerRules(failures_to_open=0))
    for _ in range(2):
        await team.start(subscription("a", ladder_ms=(300_000,) * 40))
    await asyncio.sleep(1)
    blocked_at_the_first(team)
    while not team.told():
        team.fill(1, 0)
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.6)
    assert team.lanes()[1].failures.attempts, "it has heard the question and knew of no success"

    team.fill(1, 1)
    succeeded_ms = team.clock.now_ms()
    await asyncio.sleep(30)

    assert [lane.disabled for lane in team.lanes()] == [None, None]
    late = await team.start(subscription("a"))
    assert late.worker.lanes.get("a").failures.told_success_ms >= succeeded_ms  # type: ignore[union-attr]


@virtual
async def test_who_succeeded_within_the_hour_before_it_was_restarted_is_not_forgotten():
    minute_s = 60
    rules = DisableRules(after_ms=90 * minute_s * 1_000, attempts=8)
    team = Team(rules=BreakerRules(failures_to_open=0), disable=rules)
    for _ in range(2):
        await team.start(subscription("a", ladder_ms=(86_400_000,)))
    await asyncio.sleep(1)
    blocked_at_the_first(team)
    for _ in range(8):
        team.fill(1, 0)
        team.fill(1, 1)
        await asyncio.sleep(10 * minute_s)
    await team.worlds[1].worker.stop()
    await team.start(subscription("a", ladder_ms=(86_400_000,)))

    for _ in range(3):
        team.fill(1, 0)
        await asyncio.sleep(10 * minute_s)

    assert team.lanes()[0].failures.attempts >= rules.attempts - 4
    assert team.lanes()[0].disabled is None
    assert team.told() <= 2 * 2, "asked and answered once an hour"


@virtual
async def test_who_stops_tells_of_a_success_that_it_has_just_had():
    team = await with_old_runs(["a"])

    team.fill(1, 0)
    await asyncio.sleep(0.02)
    await team.worlds[0].worker.stop()

    news = decode(b"endpoint/a", team.topic.newest[b"endpoint/a"])
    assert isinstance(news, EndpointNews)
    assert news.failed_attempts == 0
    assert news.succeeded_at_ms >= team.sender.accepted[0].at_ms


@virtual
async def test_a_run_is_told_on_while_it_may_disable_and_not_of_what_is_disabled():
    team = Team()
    await team.start(subscription("a"), subscription("b"))
    a, b = team.lanes("a")[0], team.lanes("b")[0]
    b.disabled = Disabled(since_ms=1_000, why="", probes_at_ms=NEVER_MS)

    for lane in (a, b):
        lane.failures.failed(1_000)
    await asyncio.sleep(3)

    assert (team.told("a"), team.told("b")) == (1, 0)


@virtual
async def test_so_many_ends_of_runs_are_told_a_second_and_no_more():
    ids = [f"s{number}" for number in range(250)]
    team = await with_old_runs(ids)

    team.fill(1, 0)
    told = []
    for _ in range(4):
        await asyncio.sleep(1)
        told.append(sum(team.told(id_) for id_ in ids))

    assert len(team.sender.accepted) == 250
    assert told[0] <= 100
    assert told[1] <= 200
    assert told[3] == 250


@virtual
async def test_who_stops_tells_of_all_runs_that_have_ended_however_many():
    ids = [f"s{number}" for number in range(250)]
    team = await with_old_runs(ids)

    team.fill(1, 0)
    await asyncio.sleep(0.3)
    await team.worlds[0].worker.stop()

    assert len(team.sender.accepted) == 250
    assert [team.told(id_) for id_ in ids] == [1] * 250
