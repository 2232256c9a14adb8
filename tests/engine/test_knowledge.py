"""What workers learn of endpoints from each other: within a second, without ping-pong, and all the same."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from connector.core.breaker import BreakerRules
from connector.core.disabling import DisableRules
from connector.core.outcome import Reply
from connector.core.sharing import EndpointNews, digest_of, encode
from connector.core.subscription import Subscription
from connector.engine.exclusion import ANSWERED_MS
from connector.engine.knowledge import UNREADABLE_MAX
from connector.engine.lane import Lane
from connector.engine.ports import TopicPartition
from tests.support.fake_board import FakeBoard, FakeTopic
from tests.support.fake_kafka import Cluster
from tests.support.virtual_time import UNIX_AT_START_MS, VirtualClock, run_virtual, virtual
from tests.support.world import FakeSender, Post, World, limits, replies, subscription

RULES = BreakerRules(failures_to_open=5, cool_down_ms=30_000, cool_down_max_ms=240_000)
DISABLE = DisableRules(after_ms=60_000, attempts=8, probe_first_ms=60_000)
A = "https://a.example/hooks"
TIERS_MS = [5_000, 30_000, 300_000]


class Team:
    """Workers of one group on one cluster, each with a source partition of its own, and one board."""

    def __init__(self, delay_s: Callable[[], float] = lambda: 0.5, *, rules: BreakerRules = RULES) -> None:
        self.rules = rules
        self.clock = VirtualClock()
        self.cluster = Cluster(self.clock)
        self.topic = FakeTopic(delay_s)
        self.sender = FakeSender(self.clock)
        self.worlds: list[World] = []

    async def start(self, *subscriptions: Subscription) -> World:
        """Another worker, once it has learnt what the others know."""
        number = len(self.worlds)
        sender = FakeSender(self.clock)
        sender.posts, sender.accepted = self.sender.posts, self.sender.accepted
        sender.behaviour = self.sender.behaviour
        world = World(
            self.cluster,
            sender,
            limits=limits(breaker=self.rules, disable=DISABLE),
            board=FakeBoard(self.topic),
            worker_id=f"w{number}",
        )
        self.worlds.append(world)
        await world.worker.knowledge.caught_up()
        world.worker.view(subscriptions, TIERS_MS)
        world.worker.start()
        world.source.assign(TopicPartition("post.created", number))
        if number == 0:
            tiers = [TopicPartition(f"webhooks.retry.{tier}", 0) for tier in ("5s", "30s", "5m")]
            world.tier_source.assign(*tiers)
        return world

    def fill(self, count: int, worker: int) -> None:
        for _ in range(count):
            self.cluster.append("post.created", b"1", partition=worker)

    def behave(self, id_: str, behaviour: Any) -> None:
        self.sender.behaviour[f"https://{id_}.example/hooks"] = behaviour

    def lanes(self, id_: str = "a") -> list[Lane]:
        found = [world.worker.lanes.get(id_) for world in self.worlds]
        return [lane for lane in found if lane is not None]

    def told(self, id_: str = "a") -> int:
        """How many records there are of what was learnt of one endpoint."""
        return sum(key == f"endpoint/{id_}".encode() for key, _ in self.topic.appended)

    def posts(self, id_: str = "a") -> list[Post]:
        return [post for post in self.sender.posts if post.url == f"https://{id_}.example/hooks"]


async def team_of(count: int, *, delay_s: Callable[[], float] = lambda: 0.5, **changes: Any) -> Team:
    team = Team(delay_s)
    for _ in range(count):
        await team.start(subscription("a", **changes))
    await asyncio.sleep(1)
    return team


# ── what one learns ─────────────────────────────────────────────────────────────────────────────


@virtual
async def test_a_retry_after_that_one_worker_was_given_keeps_all_away_within_a_second():
    team = await team_of(3, delay_s=lambda: 0.99)
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
    team = await team_of(2, ladder_ms=(300_000,))
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
    team = await team_of(2, ladder_ms=(5_000,) * 40)
    team.behave("a", replies(500))

    for _ in range(600):
        team.fill(1, 0)
        await asyncio.sleep(1)

    assert all(lane.disabled is not None for lane in team.lanes())


@virtual
async def test_a_reset_by_the_operator_reaches_all_and_what_was_learnt_before_does_not_come_back():
    team = await team_of(3)
    team.behave("a", replies(429, retry_after=b"3600"))
    team.fill(1, 0)
    await asyncio.sleep(2)
    assert [lane.breaker.state for lane in team.lanes()] == ["open"] * 3

    team.behave("a", replies(200))
    reset_by_operator(team)
    await asyncio.sleep(1.1)

    assert [lane.breaker.state for lane in team.lanes()] == ["closed"] * 3
    team.fill(1, 1)
    await asyncio.sleep(3)
    assert len(team.sender.accepted) == 1


def reset_by_operator(team: Team, id_: str = "a") -> None:
    """As ``subscriptions reset`` posts it."""
    now_ms = team.clock.now_ms()
    lane = team.lanes(id_)[0]
    fresh = type(lane.breaker)(RULES).snapshot()
    news = EndpointNews(
        subscription_id=id_,
        url_digest=digest_of(lane.subscription.url),
        worker="operator",
        at_ms=now_ms,
        breaker=fresh,
        disabled=None,
        failing_since_ms=0,
        failed_attempts=0,
        succeeded_at_ms=0,
        reset_at_ms=now_ms,
    )
    team.topic.append(*encode(news))


@virtual
async def test_a_worker_that_starts_later_knows_before_it_reads_anything():
    team = await team_of(1)
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
    team = await team_of(1)
    other = await team.start(subscription("b"))
    team.behave("a", replies(429, retry_after=b"600"))
    team.fill(1, 0)
    await asyncio.sleep(2)

    other.worker.view([subscription("a"), subscription("b")], TIERS_MS)

    assert other.worker.lanes.get("a").breaker.state == "open"  # type: ignore[union-attr]


@virtual
async def test_the_longer_of_two_hold_offs_learnt_at_once_is_what_a_later_worker_learns():
    team = await team_of(2)
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
    team = await team_of(2)
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
    team = await team_of(1)
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
    team = await team_of(1)
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


# ── failures of one worker, successes of another ────────────────────────────────────────────────


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
    team = await team_of(3, delay_s=lambda: 0.9, ladder_ms=(300_000,) * 40)
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
    team = await team_of(2, ladder_ms=(300_000,) * 40)
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
    team = await team_of(1)
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


# ── no ping-pong ────────────────────────────────────────────────────────────────────────────────


@virtual
async def test_news_that_everybody_agrees_on_are_told_once():
    team = await team_of(3)
    team.behave("a", replies(429, retry_after=b"60"))
    team.fill(1, 0)

    await asyncio.sleep(50)

    assert team.told() == 1


@virtual
async def test_many_answers_at_once_do_not_flood_the_board():
    team = await team_of(3, in_flight_max=32)
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
        team = await team_of(3, delay_s=lambda: chance.uniform(0.001, 1.0), ladder_ms=(5_000,) * 30)
        for _ in range(60):
            team.behave("a", some_behaviour(chance))
            team.fill(chance.randrange(8), chance.randrange(3))
            if chance.random() < 0.1:
                reset_by_operator(team)
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
    team = await team_of(2, delay_s=lambda: 0.9, ladder_ms=(5_000,) * 40)
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


# ── news that cannot be read ────────────────────────────────────────────────────────────────────


@virtual
async def test_news_that_cannot_be_read_are_told_once_for_each_key():
    team = await team_of(1)
    world = team.worlds[0]

    for _ in range(30):
        team.topic.append(b"worker/of-another-version", b'{"v":99}')
        team.topic.append(b"endpoint/a", b"garbage")
        await asyncio.sleep(1)

    told = [facts["key"] for facts in world.log.said("news that cannot be read")]
    assert sorted(told) == ["endpoint/a", "worker/of-another-version"]
    assert world.worker.knowledge.faults == 60


@virtual
async def test_no_more_unreadable_keys_are_remembered_than_there_may_be():
    team = await team_of(1)

    for number in range(UNREADABLE_MAX + 1):
        team.topic.append(b"endpoint/%d" % number, b"garbage")
    team.topic.append(b"endpoint/0", b"garbage")
    await asyncio.sleep(2)

    assert len(team.worlds[0].log.said("news that cannot be read")) == UNREADABLE_MAX + 2


# ── rate limits of the group ────────────────────────────────────────────────────────────────────


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
