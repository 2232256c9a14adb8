"""What an endpoint asked for with ``Retry-After`` outlasts the success that enables its subscription again,
whoever had which answer, and in whatever order. Only an operator's reset ends it."""

from __future__ import annotations

import asyncio

import pytest

from connector.core.disabling import Disabled
from connector.core.outcome import Reply
from connector.engine.lane import Lane
from tests.support.team import Team
from tests.support.virtual_time import run_virtual, virtual
from tests.support.world import Behaviour, Post, World, replies, subscription

ASKED = {"retry_after": b"120"}


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """The first POST meets the first of them, and so on; every later one the last."""
    met = 0

    def behave(post: Post) -> tuple[float, Reply]:
        nonlocal met
        met += 1
        return behaviours[min(met, len(behaviours)) - 1](post)  # type: ignore[return-value]  # none fails

    return behave


def disable(lanes: list[Lane], now_ms: int) -> None:
    """A probe is due at once."""
    for lane in lanes:
        lane.disabled = Disabled(since_ms=now_ms - 1, why="It failed.", probes_at_ms=now_ms)


async def two_probe(team: Team, accepted_after_s: float, asked_after_s: float) -> list[Lane]:
    """A worker is accepted after one time, the other asked to stay away after the other, and so much time has
    passed that both have heard of it; nothing has come meanwhile."""
    lanes = team.lanes()
    disable(lanes, team.clock.now_ms())
    accepts = replies(200, after_s=accepted_after_s)
    team.behave("a", in_turn(accepts, replies(429, after_s=asked_after_s, **ASKED), replies(200)))
    team.fill(1, 0)
    team.fill(1, 1)
    await asyncio.sleep(5)
    assert len(team.posts()) == 2
    return lanes


@pytest.mark.parametrize(
    ("accepted_after_s", "asked_after_s"),
    [
        pytest.param(0.1, 3.0, id="asked after all have heard of the success"),
        pytest.param(0.1, 0.3, id="asked before it has heard of the success"),
        pytest.param(0.3, 0.1, id="accepted before it has heard of the wish"),
        pytest.param(3.0, 0.1, id="accepted after all have heard of the wish"),
    ],
)
def test_of_two_probes_at_once_the_one_that_is_accepted_ends_no_retry_after_of_the_other(
    accepted_after_s: float, asked_after_s: float
):
    async def scenario() -> None:
        team = await Team.of(2, ladder_ms=(5_000, 30_000))
        lanes = await two_probe(team, accepted_after_s, asked_after_s)
        assert [lane.disabled for lane in lanes] == [None, None]

        for turn in range(11):
            team.fill(1, turn % 2)
            await asyncio.sleep(10)

        assert len(team.posts()) == 2, "nobody sends before the time is over"
        await asyncio.sleep(90)
        assert len(team.sender.accepted) == 13

    run_virtual(scenario)


@pytest.mark.parametrize(("accepted_after_s", "asked_after_s"), [(0.1, 0.3), (0.3, 0.1)])
def test_of_two_attempts_of_one_worker_the_one_that_is_accepted_ends_no_retry_after_of_the_other(
    accepted_after_s: float, asked_after_s: float
):
    async def scenario() -> None:
        world = World.new()
        world.start([subscription("a", ladder_ms=(5_000, 30_000))])
        accepts = replies(200, after_s=accepted_after_s)
        world.behave("a", in_turn(accepts, replies(429, after_s=asked_after_s, **ASKED), replies(200)))
        world.fill(2)
        await asyncio.sleep(0.05)
        lane = world.worker.lanes.get("a")
        assert lane is not None
        assert lane.in_flight == 2
        disable([lane], world.clock.now_ms())

        await asyncio.sleep(1)
        assert lane.disabled is None
        for _ in range(11):
            world.fill(1)
            await asyncio.sleep(10)

        assert len(world.sender.posts) == 2
        await asyncio.sleep(90)
        assert world.accepted("a") == 13

    run_virtual(scenario)


@virtual
async def test_what_a_worker_was_asked_for_outlives_it_though_it_had_not_heard_of_the_success():
    team = await Team.of(2, delay_s=lambda: 0.9)
    lanes = team.lanes()
    disable(lanes, team.clock.now_ms())
    team.behave("a", in_turn(replies(200, after_s=0.1), replies(429, after_s=0.3, **ASKED), replies(200)))
    team.fill(1, 0)
    team.fill(1, 1)

    await asyncio.sleep(0.5)
    await team.worlds[1].kill()
    await asyncio.sleep(5)

    assert (lanes[0].disabled, lanes[0].breaker.state) == (None, "open")


@virtual
async def test_an_operator_ends_what_a_success_did_not():
    team = await Team.of(2)
    lanes = await two_probe(team, 0.1, 0.3)
    assert [lane.breaker.state for lane in lanes] == ["open", "open"]

    team.reset_by_operator()
    await asyncio.sleep(2)
    team.fill(1, 1)
    await asyncio.sleep(1)

    assert [lane.breaker.state for lane in lanes] == ["closed", "closed"]
    assert len(team.posts()) == 3


@pytest.mark.parametrize("ahead_ms", [-400, 400])
def test_an_operator_ends_it_though_a_worker_resets_in_the_same_second(ahead_ms: int):
    async def scenario() -> None:
        team = await Team.of(2)
        lanes = await two_probe(team, 0.1, 0.3)
        disable(lanes, team.clock.now_ms())

        team.reset_by_operator()
        lanes[0].forget(team.clock.now_ms() + ahead_ms)  # a probe was accepted there, and its clock differs
        team.worlds[0].worker.knowledge.tell(lanes[0])
        await asyncio.sleep(3)

        assert [(lane.disabled, lane.breaker.state) for lane in lanes] == [(None, "closed")] * 2

    run_virtual(scenario)


@virtual
async def test_an_answer_from_before_an_operators_reset_still_tells_when_to_come():
    world = World.new()
    world.start([subscription("a")])
    world.behave("a", in_turn(replies(429, after_s=3, **ASKED), replies(200)))
    world.fill(1)
    await asyncio.sleep(1)
    lane = world.worker.lanes.get("a")
    assert lane is not None

    lane.clear(world.clock.now_ms())
    lane.forget(world.clock.now_ms())
    await asyncio.sleep(5)

    assert (lane.breaker.state, lane.failures.attempts) == ("open", 0)
