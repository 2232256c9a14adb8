"""What workers learn of endpoints from each other: within a second, and of the URL that they send to."""

from __future__ import annotations

import asyncio

from connector.core.outcome import Reply
from tests.support.team import TIERS_MS, Team
from tests.support.virtual_time import virtual
from tests.support.world import replies, subscription


@virtual
async def test_a_retry_after_that_one_worker_was_given_keeps_all_away_within_a_second():
    team = await Team.of(3, delay_s=lambda: 0.99)
    team.behave("a", replies(429, retry_after=b"60"))
    team.fill(1, 0)
    await asyncio.sleep(0.1)
    asked_ms = team.posts()[0].at_ms

    await asyncio.sleep(1.0)
    assert [lane.breaker.state for lane in team.lanes()] == ["open"] * 3
    team.behave("a", replies(200))
    for second in range(50):
        team.fill(1, second % 3)
        await asyncio.sleep(1)

    assert [post for post in team.posts() if asked_ms < post.at_ms < asked_ms + 60_000] == []
    await asyncio.sleep(120)
    assert len(team.sender.accepted) == 51


@virtual
async def test_a_breaker_that_opens_at_one_opens_at_all_and_a_probe_of_one_closes_it_for_all():
    team = await Team.of(2, ladder_ms=(300_000,))
    team.behave("a", replies(500))
    team.fill(20, 0)
    await asyncio.sleep(1)
    assert [lane.breaker.state for lane in team.lanes()] == ["open", "open"]

    team.behave("a", replies(200))
    await asyncio.sleep(30)
    team.fill(1, 0)
    await asyncio.sleep(1)

    assert [lane.breaker.state for lane in team.lanes()] == ["closed", "closed"]
    assert team.lanes()[1].pace.limit == 1, "one at a time after it was shut"


@virtual
async def test_a_subscription_that_one_disables_is_disabled_at_all():
    team = await Team.of(2, ladder_ms=(5_000,) * 40)
    team.behave("a", replies(500))

    for _ in range(600):
        team.fill(1, 0)
        await asyncio.sleep(1)

    assert all(lane.disabled is not None for lane in team.lanes())


@virtual
async def test_a_reset_by_the_operator_reaches_all_and_what_was_learnt_before_does_not_come_back():
    team = await Team.of(3)
    team.behave("a", replies(429, retry_after=b"3600"))
    team.fill(1, 0)
    await asyncio.sleep(2)
    assert [lane.breaker.state for lane in team.lanes()] == ["open"] * 3

    team.behave("a", replies(200))
    team.reset_by_operator()
    await asyncio.sleep(1.1)

    assert [lane.breaker.state for lane in team.lanes()] == ["closed"] * 3
    team.fill(1, 1)
    await asyncio.sleep(3)
    assert len(team.sender.accepted) == 1


@virtual
async def test_a_worker_that_starts_later_knows_before_it_reads_anything():
    team = await Team.of(1)
    team.behave("a", replies(429, retry_after=b"600"))
    team.fill(1, 0)
    await asyncio.sleep(1)

    team.behave("a", replies(200))
    team.fill(5, 1)
    late = await team.start(subscription("a"))
    await asyncio.sleep(60)

    assert late.worker.lanes.get("a").breaker.state == "open"  # type: ignore[union-attr]
    assert len(team.posts()) == 1


@virtual
async def test_a_subscription_that_is_viewed_later_gets_what_was_heard_of_it_before():
    team = await Team.of(1)
    other = await team.start(subscription("b"))
    team.behave("a", replies(429, retry_after=b"600"))
    team.fill(1, 0)
    await asyncio.sleep(2)

    other.worker.view([subscription("a"), subscription("b")], TIERS_MS)

    assert other.worker.lanes.get("a").breaker.state == "open"  # type: ignore[union-attr]


@virtual
async def test_the_longer_of_two_hold_offs_learnt_at_once_is_what_a_later_worker_learns():
    team = await Team.of(2)
    answers = iter([b"3600", b"60"])
    team.behave("a", lambda _: (0.01, Reply(429, retry_after=next(answers))))
    team.fill(1, 0)
    await asyncio.sleep(0.006)
    team.fill(1, 1)
    await asyncio.sleep(3)
    ends_ms = [lane.breaker.until_ms for lane in team.lanes()]
    assert ends_ms[0] == ends_ms[1] >= team.posts()[0].at_ms + 3_600_000

    late = await team.start(subscription("a"))

    assert late.worker.lanes.get("a").breaker.until_ms == ends_ms[0]  # type: ignore[union-attr]


@virtual
async def test_a_later_worker_does_not_learn_of_a_new_url_what_was_learnt_of_the_old_one():
    team = await Team.of(2)
    team.behave("a", replies(429, retry_after=b"3600"))
    team.fill(1, 0)
    await asyncio.sleep(2)

    moved = subscription("a", url="https://new.example/hooks")
    for world in team.worlds:
        world.worker.view([moved], TIERS_MS)
        await asyncio.sleep(1)
    late = await team.start(moved)
    await asyncio.sleep(2)

    assert [lane.breaker.state for lane in team.lanes()] == ["closed"] * 3
    assert late.worker.lanes.get("a") is team.lanes()[2]


@virtual
async def test_what_was_learnt_of_the_old_url_is_not_known_of_one_it_leads_to_after_all_were_down():
    team = await Team.of(1)
    team.behave("a", replies(429, retry_after=b"3600"))
    team.fill(1, 0)
    await asyncio.sleep(2)
    await team.worlds[0].worker.stop()

    late = await team.start(subscription("a", url="https://new.example/hooks"))
    team.fill(3, 1)
    await asyncio.sleep(5)

    assert late.worker.lanes.get("a").breaker.state == "closed"  # type: ignore[union-attr]
    assert late.accepted("new") == 3


@virtual
async def test_workers_that_differ_about_the_url_neither_apply_nor_answer_each_others_news():
    team = await Team.of(1)
    other = await team.start(subscription("a", url="https://new.example/hooks"))
    team.behave("a", replies(429, retry_after=b"3600"))
    team.sender.behaviour["https://new.example/hooks"] = replies(429, retry_after=b"60")
    team.fill(1, 0)
    await asyncio.sleep(2)
    assert other.worker.lanes.get("a").breaker.state == "closed"  # type: ignore[union-attr]
    team.fill(1, 1)
    await asyncio.sleep(20)

    assert [lane.breaker.state for lane in team.lanes()] == ["open", "open"]
    assert team.told() == 2
