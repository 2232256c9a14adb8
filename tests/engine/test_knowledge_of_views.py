"""What is known of endpoints whose subscriptions leave a worker's view, come back, or lead elsewhere."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from connector.core.dialect import DIALECTS
from connector.core.disabling import NEVER_MS
from connector.core.sharing import EndpointNews, decode, encode
from connector.core.topic_names import parked_topic
from connector.engine import knowledge
from connector.engine.knowledge import WITHDRAW_EVERY_MS
from tests.support.fake_board import FakeBoard
from tests.support.fake_kafka import PREFIX
from tests.support.team import TIERS_MS, Team, news_of
from tests.support.virtual_time import VirtualLoop, run_virtual, virtual
from tests.support.world import Behaviour, replies, subscription

GONE_IS_FINAL = replace(DIALECTS["webhooks-v1"], gone_is_final=True)
NEW = "https://new.example/hooks"


def view(team: Team, *ids: str, **changes: object) -> None:
    """All workers learn at once that these are the subscriptions."""
    for world in team.worlds:
        world.worker.view([subscription(id_, **changes) for id_ in ids], TIERS_MS)


async def having_learnt(workers: int, behaviour: Behaviour, **changes: Any) -> Team:  # Any: see there
    """So many workers that know what one of them has learnt of an endpoint that behaves so."""
    team = await Team.of(workers, **changes)
    team.behave("a", behaviour)
    team.fill(1, 0)
    await asyncio.sleep(3)
    lanes = team.lanes()
    assert all(lane.disabled is not None or lane.breaker.state == "open" for lane in lanes), "all know it"
    return team


# ── gone and back ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("apart_s", [0.1, 60])
def test_a_retry_after_holds_for_a_subscription_that_is_removed_and_comes_back(apart_s: float):
    async def scenario() -> None:
        team = await having_learnt(2, replies(429, retry_after=b"3600"))

        view(team, "b")
        await asyncio.sleep(apart_s)
        view(team, "a", "b")
        team.fill(1, 0)
        team.fill(1, 1)
        await asyncio.sleep(60)

        assert [lane.breaker.state for lane in team.lanes()] == ["open", "open"]
        assert len(team.posts()) == 1

    run_virtual(scenario)


@virtual
async def test_a_subscription_that_was_disabled_comes_back_disabled_at_all_and_is_replayed_after_a_reset():
    team = await having_learnt(2, replies(410), dialect=GONE_IS_FINAL)
    view(team, "b", dialect=GONE_IS_FINAL)
    await asyncio.sleep(10)

    view(team, "a", "b", dialect=GONE_IS_FINAL)
    late = await team.start(*(subscription(id_, dialect=GONE_IS_FINAL) for id_ in ("a", "b")))
    await asyncio.sleep(3)
    assert [lane.disabled and lane.disabled.probes_at_ms for lane in team.lanes()] == [NEVER_MS] * 3
    assert late.worker.lanes.get("a") is team.lanes()[2]
    for worker in range(3):
        team.fill(1, worker)
    await asyncio.sleep(60)
    assert len(team.cluster.letters(parked_topic(PREFIX))) == 3
    assert len(team.posts()) == 1

    team.behave("a", replies(200))
    team.reset_by_operator()
    await asyncio.sleep(60)

    assert len(team.posts()) == 1 + 3


@virtual
async def test_what_an_answer_says_after_its_subscription_was_removed_is_known_when_it_comes_back():
    team = await Team.of(2)
    team.behave("a", replies(429, after_s=5, retry_after=b"3600"))
    team.fill(1, 0)
    await asyncio.sleep(1)

    view(team, "b")
    await asyncio.sleep(10)
    view(team, "a", "b")

    assert [lane.breaker.state for lane in team.lanes()] == ["open", "open"]


@virtual
async def test_a_run_of_failures_goes_on_when_its_subscription_comes_back():
    team = await Team.of(1)
    team.behave("a", replies(500))
    team.fill(3, 0)
    await asyncio.sleep(1)
    since_ms = team.lanes()[0].failures.since_ms

    view(team, "b")
    view(team, "a", "b")

    failures = team.lanes()[0].failures
    assert (failures.since_ms, failures.attempts) == (since_ms, 3)


# ── to another url ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("apart_s", [0.1, 3, 60])
def test_what_one_learns_of_a_new_url_holds_for_those_that_see_the_change_later(apart_s: float):
    async def scenario() -> None:
        team = await Team.of(2)
        moved = subscription("a", url=NEW)
        team.sender.behaviour[NEW] = replies(429, retry_after=b"3600")
        team.worlds[0].worker.view([moved], TIERS_MS)
        team.fill(1, 0)
        await asyncio.sleep(apart_s)
        assert [lane.breaker.state for lane in team.lanes()] == ["open", "closed"]

        team.worlds[1].worker.view([moved], TIERS_MS)
        await asyncio.sleep(2)
        late = await team.start(moved)
        for worker in range(3):
            team.fill(1, worker)
        await asyncio.sleep(20)

        assert [lane.breaker.state for lane in team.lanes()] == ["open"] * 3
        assert late.worker.lanes.get("a") is team.lanes()[2]
        assert len([post for post in team.sender.posts if post.url == NEW]) == 1

    run_virtual(scenario)


@virtual
async def test_what_a_worker_that_begins_with_the_new_url_learns_of_it_is_kept_by_one_that_follows():
    team = await Team.of(1)
    team.behave("a", replies(429, retry_after=b"3600"))
    team.reset_by_operator()
    team.fill(1, 0)
    await asyncio.sleep(2)
    moved = subscription("a", url=NEW)
    other = await team.start(moved)
    team.sender.behaviour[NEW] = replies(429, retry_after=b"600")
    team.fill(1, 1)
    await asyncio.sleep(5)

    team.worlds[0].worker.view([moved], TIERS_MS)
    await asyncio.sleep(2)

    ends_ms = [lane.breaker.until_ms for lane in team.lanes()]
    assert ends_ms[0] == ends_ms[1] <= team.clock.now_ms() + 600_000
    assert [lane.breaker.state for lane in team.lanes()] == ["open", "open"]
    late = await team.start(moved)
    assert late.worker.lanes.get("a").breaker.until_ms == ends_ms[0]  # type: ignore[union-attr]
    assert other.problems() == []


@virtual
async def test_what_was_learnt_of_a_url_by_one_that_saw_the_change_late_is_not_known_when_it_is_back():
    team = await Team.of(2, dialect=GONE_IS_FINAL)
    team.behave("a", replies(410, after_s=3))
    team.fill(1, 1)
    await asyncio.sleep(1)
    team.worlds[0].worker.view([subscription("a", url=NEW, dialect=GONE_IS_FINAL)], TIERS_MS)
    await asyncio.sleep(4)
    assert [lane.disabled is not None for lane in team.lanes()] == [False, True]
    await team.worlds[1].kill()

    team.worlds[0].worker.view([subscription("a", dialect=GONE_IS_FINAL)], TIERS_MS)

    assert team.lanes()[0].disabled is None


# ── beside an older release ─────────────────────────────────────────────────────────────────────


def old_news(team: Team) -> EndpointNews:
    """By a worker of a release that tells of no change of a URL: it still has the old one, reset just now."""
    now_ms = team.clock.now_ms()
    return news_of("a", worker="old", at_ms=now_ms, reset_at_ms=now_ms, cleared_at_ms=now_ms)


def answering(team: Team, known: EndpointNews) -> None:
    """That worker answers, as its release does, whatever was learnt before its reset, of any URL."""
    board = FakeBoard(team.topic)

    def hear(key: bytes, value: bytes | None) -> None:
        news = decode(key, value)
        if isinstance(news, EndpointNews) and news.reset_at_ms < known.reset_at_ms:
            board.post(*encode(known))

    board.start(hear)


def told_by(team: Team, worker: str) -> int:
    told = [decode(key, value) for key, value in team.topic.appended]
    return sum(isinstance(news, EndpointNews) and news.worker == worker for news in told)


@virtual
async def test_who_sees_a_new_url_and_an_older_release_that_does_not_yet_answer_each_other_once_or_twice():
    team = await Team.of(2)
    known = old_news(team)
    answering(team, known)
    team.topic.append(*encode(known))
    await asyncio.sleep(3)

    view(team, "a", url=NEW)
    await asyncio.sleep(60)

    assert [told_by(team, "w0"), told_by(team, "w1")] == [2, 2], "that it leads elsewhere, and one answer"
    assert told_by(team, "old") <= 1 + 4


@virtual
async def test_news_of_the_old_url_that_tell_of_no_change_are_answered_once_for_each_change():
    team = await Team.of(1)
    told = []
    for url in (NEW, f"{NEW}/2"):
        view(team, "a", url=url)
        for _ in range(5):
            team.topic.append(*encode(old_news(team)))
            await asyncio.sleep(3)
        told.append(told_by(team, "w0"))

    assert told == [2, 4], "that it leads elsewhere, and one answer"


@virtual
async def test_news_of_the_old_url_are_answered_again_after_the_subscription_was_gone_for_a_while():
    team = await Team.of(1)
    view(team, "a", url=NEW)
    team.topic.append(*encode(old_news(team)))
    await asyncio.sleep(3)
    view(team, "b")
    view(team, "a", url=NEW)
    await asyncio.sleep(3)
    told = told_by(team, "w0")

    for _ in range(5):
        team.topic.append(*encode(old_news(team)))
        await asyncio.sleep(3)

    assert told_by(team, "w0") == told + 1


# ── what nobody needs ───────────────────────────────────────────────────────────────────────────


def pass_days(days: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.pass_time(days * 86_400)


@virtual
async def test_news_of_a_subscription_that_is_in_no_view_are_removed_after_a_week_and_not_before():
    team = await having_learnt(2, replies(410), dialect=GONE_IS_FINAL)
    pass_days(30)
    await asyncio.sleep(10)
    assert team.topic.newest[b"endpoint/a"] is not None

    view(team, "b")
    await asyncio.sleep(3)
    pass_days(6.9)
    await asyncio.sleep(10)
    assert team.topic.newest[b"endpoint/a"] is not None
    pass_days(0.2)
    await asyncio.sleep(10)

    assert team.topic.newest[b"endpoint/a"] is None
    view(team, "a", "b", dialect=GONE_IS_FINAL)
    assert [lane.disabled for lane in team.lanes()] == [None, None]


@virtual
async def test_old_news_are_not_removed_soon_after_a_start_which_may_have_been_with_a_wrong_file():
    team = await having_learnt(1, replies(410), dialect=GONE_IS_FINAL)
    await team.worlds[0].worker.stop()
    pass_days(30)

    late = await team.start(subscription("b"))
    await asyncio.sleep(WITHDRAW_EVERY_MS / 1_000 - 10)
    assert team.topic.newest[b"endpoint/a"] is not None
    late.worker.view([subscription("a"), subscription("b")], TIERS_MS)
    await asyncio.sleep(20)

    assert team.topic.newest[b"endpoint/a"] is not None
    assert late.worker.lanes.get("a").disabled is not None  # type: ignore[union-attr]


@virtual
async def test_what_a_leader_removes_that_has_an_old_view_is_told_again():
    team = await having_learnt(2, replies(429, retry_after=b"3600"))

    team.topic.append(b"endpoint/a", None)
    await asyncio.sleep(3)

    late = await team.start(subscription("a"))
    assert late.worker.lanes.get("a").breaker.state == "open"  # type: ignore[union-attr]


def test_more_news_than_are_kept_of_what_is_in_no_view_leave_those_of_the_view_alone(
    monkeypatch: pytest.MonkeyPatch,
):
    async def scenario() -> None:
        monkeypatch.setattr(knowledge, "UNKNOWN_MAX", 2)
        team = await Team.of(1)
        for id_ in ("a", "b", "c", "d"):
            team.worlds[0].worker.view([subscription(id_)], TIERS_MS)
            team.behave(id_, replies(429, retry_after=b"3600"))
            team.fill(1, 0)
            await asyncio.sleep(3)

        late = team.make()
        late.worker.view([subscription("a")], TIERS_MS)
        await late.worker.hearing.caught_up()

        late.worker.view([subscription(id_) for id_ in ("a", "b", "c", "d")], TIERS_MS)
        states = [lane.breaker.state for lane in late.worker.lanes]
        assert states == ["open", "closed", "open", "open"]

    run_virtual(scenario)


# ── all of it at once ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", [0, 1, 2, 13, 23, 27, 29])
def test_whatever_views_three_workers_had_they_agree_once_they_have_the_same_and_fall_silent(seed: int):
    async def scenario() -> None:
        chance = Random(seed)
        team = await Team.of(3, delay_s=lambda: chance.uniform(0.001, 1.0))
        views = [
            [subscription("a"), subscription("b")],
            [subscription("a", url=NEW), subscription("b")],
            [subscription("b")],
        ]
        for _ in range(60):
            behaviour = chance.choice(
                (replies(200), replies(410), replies(500), replies(429, retry_after=b"900"))
            )
            team.behave("a", behaviour)
            team.sender.behaviour[NEW] = behaviour
            chance.choice(team.worlds).worker.view(chance.choice(views), TIERS_MS)
            team.fill(chance.randrange(8), chance.randrange(3))
            await asyncio.sleep(chance.choice((0.05, 0.5, 5.0)))
        for world in team.worlds:
            world.worker.view(views[0], TIERS_MS)
            await world.tier_source.close()
        await asyncio.sleep(25)
        told = team.told()
        await asyncio.sleep(20)

        assert team.told() == told
        await team.start(*views[0])
        now_ms = team.clock.now_ms()
        known = [(max(lane.breaker.until_ms, now_ms), lane.disabled) for lane in team.lanes()]
        assert known == [known[0]] * 4
        for world in team.worlds:
            assert world.problems() == []

    run_virtual(scenario)
