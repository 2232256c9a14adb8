"""What an endpoint asked for with ``Retry-After`` outlasts the success that enables its subscription again,
whoever had which answer, and in whatever order. Only an operator's reset ends it."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from connector.core.disabling import Disabled
from connector.core.outcome import Reply
from connector.engine.lane import Lane
from tests.support.team import TIERS_MS, Team
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


@pytest.mark.parametrize("ahead_ms", [-400, 0, 400])
def test_an_operator_ends_it_though_a_worker_resets_in_the_same_second(ahead_ms: int):
    async def scenario() -> None:
        team = await Team.of(2)
        lanes = await two_probe(team, 0.1, 0.3)
        disable(lanes, team.clock.now_ms())

        team.reset_by_operator()
        lanes[0].forget(team.clock.now_ms() + ahead_ms)  # a probe was accepted there, and its clock differs
        team.worlds[0].worker.knowledge.tell(lanes[0])
        await asyncio.sleep(3)

        await team.start(subscription("a"))
        assert [(lane.disabled, lane.breaker.state) for lane in team.lanes()] == [(None, "closed")] * 3

    run_virtual(scenario)


@virtual
async def test_an_operator_who_ended_it_at_one_url_does_not_end_it_at_the_next():
    team = await Team.of(1)
    team.reset_by_operator()
    await asyncio.sleep(1)
    moved = subscription("a", url="https://new.example/hooks")
    await team.start(moved)
    team.behave("new", replies(429, **ASKED))
    team.fill(1, 1)
    await asyncio.sleep(2)

    team.worlds[0].worker.view([moved], TIERS_MS)
    await asyncio.sleep(2)

    assert [lane.breaker.state for lane in team.lanes()] == ["open", "open"]


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


# ── all of it at once ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_reset_at_times", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_however_news_of_wishes_and_resets_cross_all_agree_on_the_latest_wish_and_fall_silent(
    seed: int, is_reset_at_times: bool
):
    async def scenario() -> None:
        chance = Random(seed)
        team = await Team.of(3, delay_s=lambda: chance.uniform(0.001, 1.0))
        lanes = team.lanes()
        latest_ms = 0
        for _ in range(60):
            one = chance.randrange(3)
            lane, now_ms = lanes[one], team.clock.now_ms()
            event = chance.choice(("asked", "accepted", "disabled", "operator"))
            if event == "asked":
                until_ms = now_ms + chance.choice((300_000, 900_000))
                lane.breaker.hold_off(until_ms, now_ms)
                latest_ms = max(latest_ms, until_ms)
            elif event == "accepted":
                lane.forget(now_ms + chance.randrange(-200, 200))
            elif event == "disabled":
                disable([lane], now_ms)
            elif is_reset_at_times:
                team.reset_by_operator()
            if event != "operator":
                team.worlds[one].worker.knowledge.tell(lane)
            await asyncio.sleep(chance.choice((0.001, 0.05, 0.5, 3.0)))
        await asyncio.sleep(10)
        told = team.told()
        await asyncio.sleep(20)

        assert team.told() == told
        await team.start(subscription("a"))
        known = [(lane.breaker.until_ms, lane.disabled, lane.reset_at_ms) for lane in team.lanes()]
        assert known == [known[0]] * 4
        assert is_reset_at_times or known[0][0] == latest_ms
        team.reset_by_operator()
        await asyncio.sleep(2)
        assert [(lane.breaker.state, lane.disabled) for lane in team.lanes()] == [("closed", None)] * 4

    run_virtual(scenario)
