"""Lanes whose endpoint takes nothing: shut, probed, opened again; and those that were asked to stay away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from itertools import pairwise

import pytest

from connector.core.breaker import BreakerRules
from connector.core.dialect import DIALECTS
from connector.core.disabling import Disabled, DisableRules
from connector.core.headers import Decoded, decode
from connector.core.outcome import Failure, Reply
from connector.core.record import Record
from connector.core.trail import Trail
from tests.support.virtual_time import VirtualClock, VirtualLoop, run_virtual, virtual
from tests.support.world import POSTS, Behaviour, Post, World, hangs, limits, replies, subscription

RULES = BreakerRules(failures_to_open=5, cool_down_ms=30_000, cool_down_max_ms=240_000)
LADDER_MS = (5_000, 30_000, 300_000)
A = "https://a.example/hooks"


def world_with_breakers(**changes: object) -> World:
    return World.new(limits=limits(breaker=RULES, **changes))  # type: ignore[arg-type]


def posts_s(world: World, url: str = A) -> list[float]:
    """When each POST began, in seconds since the first."""
    at_ms = [post.at_ms for post in world.sender.posts if post.url == url]
    return [(ms - at_ms[0]) / 1_000 for ms in at_ms]


def trail(letter: Record) -> Trail:
    decoded = decode(letter.headers)
    assert isinstance(decoded, Decoded)
    return decoded.trail


def first(count: int, then: Behaviour, before: Behaviour) -> Behaviour:
    """``before`` for so many POSTs, ``then`` for the rest."""
    seen = 0

    def behave(post: Post) -> tuple[float, Reply | Failure]:
        nonlocal seen
        seen += 1
        return before(post) if seen <= count else then(post)

    return behave


@virtual
async def test_after_so_many_failures_in_a_row_nothing_is_tried_for_a_cool_down():
    world = world_with_breakers()
    world.behave("a", replies(500))
    world.fill(200)

    world.start([subscription("a", in_flight_max=1)])
    await asyncio.sleep(29)

    assert len(world.sender.posts) == 5
    assert world.committed(POSTS) == 200


@virtual
async def test_what_is_turned_away_waits_no_shorter_than_the_cool_down_and_its_attempts_stay():
    world = world_with_breakers()
    world.behave("a", replies(500))
    world.fill(200)

    world.start([subscription("a", in_flight_max=1)])
    await asyncio.sleep(2)

    assert len(world.cluster.letters("webhooks.retry.5s")) == 5  # those that were tried
    turned_away = [trail(letter) for letter in world.cluster.letters("webhooks.retry.30s")]
    assert [(one.attempt, one.hop, one.first_attempt_ms) for one in turned_away] == [(0, 1, 0)] * 195


@virtual
async def test_what_is_turned_away_again_and_again_waits_ever_longer_and_never_dies_of_it():
    world = world_with_breakers()
    world.behave("a", replies(500))
    world.fill(50)

    world.start([subscription("a", in_flight_max=1, ladder_ms=(5_000, 30_000, 60_000, 300_000))])
    await asyncio.sleep(1_200)

    assert world.worker.accounts.dead.total() <= len(world.sender.posts) // 5
    assert max(trail(one).hop - trail(one).attempt for one in world.cluster.tier_letters()) <= 8
    world.behave("a", replies(200))
    await asyncio.sleep(3_600)
    assert world.accepted("a") == 50 - world.worker.accounts.dead.total()
    assert world.problems() == []


@virtual
async def test_after_the_cool_down_one_probe_goes_while_the_others_wait():
    world = world_with_breakers()
    slow_probe = first(1, replies(200), replies(200, after_s=1))
    world.behave("a", first(5, slow_probe, replies(500)))
    world.fill(5)
    world.start([subscription("a", in_flight_max=1, ladder_ms=(60_000, 60_000))])
    await asyncio.sleep(40)
    assert len(world.sender.posts) == 5

    world.fill(20)
    await asyncio.sleep(0.9)
    assert len(world.sender.posts) == 6
    await asyncio.sleep(0.5)

    assert world.accepted("a") == 20
    assert world.worker.lanes.get("a").breaker.state == "closed"  # type: ignore[union-attr]


@virtual
async def test_a_probe_that_fails_shuts_for_twice_as_long():
    world = world_with_breakers()
    world.behave("a", replies(500))
    world.fill(5)
    world.start([subscription("a", in_flight_max=1, ladder_ms=(5_000,) * 200)])

    await asyncio.sleep(900)

    since_open = posts_s(world)[4:]
    waits = [later - earlier for earlier, later in pairwise(since_open)]
    for wait_s, cool_down_s in zip(waits, (30, 60, 120, 240, 240), strict=False):
        assert cool_down_s <= wait_s <= cool_down_s + 6, waits


@virtual
async def test_a_probe_that_succeeds_lets_everything_go_on():
    world = world_with_breakers()
    world.behave("a", replies(500))
    world.fill(200)
    world.start([subscription("a", ladder_ms=(5_000, 5_000, 5_000, 5_000, 30_000, 300_000))])
    await asyncio.sleep(20)

    world.behave("a", replies(200))
    await asyncio.sleep(60)
    world.fill(100)
    await asyncio.sleep(2)

    assert world.accepted("a") == 300
    assert world.worker.accounts.dead == {}


@pytest.mark.slow
@virtual
async def test_an_endpoint_that_is_down_is_asked_no_more_often_than_its_cool_downs_and_settles():
    """Nothing oscillates: an hour of a dead endpoint with steady traffic costs a few dozen attempts."""
    world = world_with_breakers()
    world.behave("a", lambda _: (0.01, Failure("connect", "refused")))
    world.start([subscription("a")])

    for _ in range(3_600):
        world.fill(2)
        await asyncio.sleep(1)

    assert len(world.sender.posts) <= 5 + 3_600 // 240 + 10
    assert world.worker.in_hand().deliveries < 20
    assert world.problems() == []


@virtual
async def test_a_probe_given_up_by_the_head_of_the_line_still_tells_the_breaker():
    world = world_with_breakers(flow={"window_records_max": 20})
    world.behave("a", first(5, replies(200, after_s=15), replies(500)))
    world.fill(5)
    world.start([subscription("a", in_flight_max=1, ladder_ms=(60_000,) * 3), subscription("well")])
    await asyncio.sleep(40)

    for _ in range(100):  # the probe hangs long enough to hold up the window
        world.fill(20)
        await asyncio.sleep(0.1)
    assert world.worker.accounts.diverted["head of line"] > 0
    await asyncio.sleep(10)

    assert world.worker.lanes.get("a").breaker.state == "closed"  # type: ignore[union-attr]


@virtual
async def test_a_probe_whose_partition_leaves_still_tells_the_breaker():
    world = world_with_breakers()
    world.behave("a", first(5, replies(200, after_s=15), replies(500)))
    world.fill(5)
    world.start([subscription("a", in_flight_max=1, ladder_ms=(600_000,))])
    await asyncio.sleep(40)
    world.fill(1)
    await asyncio.sleep(0.5)

    await world.source.revoke(POSTS, budget_ms=1_000)
    await asyncio.sleep(15)

    assert world.worker.lanes.get("a").breaker.state == "closed"  # type: ignore[union-attr]


@virtual
async def test_a_probe_that_fails_for_a_fault_of_ours_leaves_the_way_to_the_next():
    world = world_with_breakers()
    ours = first(1, replies(200), lambda _: (0.01, Failure("resources", "")))
    world.behave("a", first(5, ours, replies(500)))
    world.fill(5)
    world.start([subscription("a", in_flight_max=1, ladder_ms=(600_000,))])
    await asyncio.sleep(40)

    world.fill(10)
    await asyncio.sleep(3)

    assert world.accepted("a") == 10
    assert world.problems() == []


@virtual
async def test_a_body_too_large_to_be_sent_is_no_probe():
    world = world_with_breakers()
    world.behave("a", replies(500))
    world.fill(5)
    world.start([subscription("a", in_flight_max=1, ladder_ms=(600_000,), body_bytes_max=200)])
    await asyncio.sleep(40)

    world.behave("a", replies(200))
    world.cluster.append("post.created", b'"' + b"x" * 300 + b'"')
    world.fill(3)
    await asyncio.sleep(1)

    assert world.worker.accounts.dead == {"oversize": 1}
    assert world.accepted("a") == 3


@virtual
async def test_two_lanes_of_one_partition_do_not_share_a_breaker():
    world = world_with_breakers()
    world.behave("a", replies(500))
    world.fill(300)

    world.start([subscription("a"), subscription("b")])
    await asyncio.sleep(3)

    assert world.accepted("b") == 300


# ── asked to stay away ──────────────────────────────────────────────────────────────────────────


def in_seconds(seconds: int) -> Callable[[], bytes]:
    return lambda: b"%d" % seconds


def at_date(seconds: int) -> Callable[[], bytes]:
    """An HTTP date so far from the virtual now."""
    return lambda: formatdate(VirtualClock().now_ms() // 1_000 + seconds, usegmt=True).encode()


@pytest.mark.parametrize(
    ("status", "asked"),
    [*((status, in_seconds(100)) for status in (429, 503, 500, 404, 301, 413)), (503, at_date(100))],
)
def test_retry_after_keeps_the_whole_lane_away_and_then_one_probe_goes(
    status: int, asked: Callable[[], bytes]
):
    @virtual
    async def scenario():
        world = world_with_breakers()
        slow_probe = first(1, replies(200), replies(200, after_s=2))
        world.behave("a", first(1, slow_probe, lambda _: (0.01, Reply(status, retry_after=asked()))))
        world.fill(1)
        final = frozenset({413})
        world.start([subscription("a", final_statuses=final, ladder_ms=(5_000, 30_000, 300_000))])
        await asyncio.sleep(0.5)
        for _ in range(120):
            world.fill(2)
            await asyncio.sleep(1)

        times = posts_s(world)
        # Nothing earlier, fresh or from a tier; an HTTP date is of whole seconds.
        assert 99 <= times[1] <= 106, times[:4]
        assert times[2] >= times[1] + 2, "the probe goes alone"
        await asyncio.sleep(600)
        assert world.accepted("a") == 241 - (status == 413)
        assert world.problems() == []

    scenario()


@pytest.mark.parametrize("status", [200, 202, 204])
def test_retry_after_of_what_is_accepted_keeps_the_lane_away_too(status: int):
    async def scenario() -> None:
        world = world_with_breakers()
        world.behave("a", first(1, replies(200), replies(status, retry_after=b"100")))
        world.fill(1)
        world.start([subscription("a", dialect=replace(DIALECTS["webhooks-v1"], accepted="2xx"))])
        await asyncio.sleep(0.5)
        for _ in range(120):
            world.fill(1)
            await asyncio.sleep(1)
        assert 100 <= posts_s(world)[1] <= 106
        await asyncio.sleep(600)

        assert len(posts_s(world)) == world.accepted("a") == 121
        assert world.problems() == []

    run_virtual(scenario)


@virtual
async def test_a_probe_that_is_accepted_with_a_retry_after_ends_the_failures_and_holds_off():
    world = world_with_breakers()
    world.behave("a", first(5, replies(200, retry_after=b"100"), replies(500)))
    world.fill(5)
    world.start([subscription("a", in_flight_max=1, ladder_ms=(600_000,))])
    await asyncio.sleep(40)

    world.fill(1)
    await asyncio.sleep(1)

    lane = world.worker.lanes.get("a")
    assert lane is not None
    assert (lane.breaker.state, lane.breaker.why, lane.breaker.failures) == ("open", "retry-after", 0)
    assert lane.failures.attempts == 0


@virtual
async def test_retry_after_holds_the_lane_for_a_day_at_most_and_the_delivery_that_got_it_for_all_of_it():
    world = world_with_breakers()
    two_days_s = 2 * 86_400
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    world.behave("a", first(1, replies(200), replies(503, retry_after=b"%d" % two_days_s)))
    world.fill(1)
    hour_ms = 3_600_000
    world.start([subscription("a", ladder_ms=(5_000, 60_000, hour_ms), max_age_ms=7 * 24 * hour_ms)])
    await asyncio.sleep(1)
    asked = world.sender.posts[0].webhook_id

    world.fill(1)
    await asyncio.sleep(60)
    loop.pass_time(86_400 - 600)  # at once, or it would take minutes of looks
    await asyncio.sleep(1_000)
    assert [post.webhook_id == asked for post in world.sender.posts] == [True, False]
    assert 86_400 <= posts_s(world)[1] <= 86_400 + 300
    loop.pass_time(86_400 - 600)
    await asyncio.sleep(600)

    assert world.sender.posts[2].webhook_id == asked
    assert posts_s(world)[2] >= two_days_s


@virtual
async def test_what_waits_for_a_retry_after_hops_without_end_to_its_attempts():
    world = world_with_breakers()
    world.behave("a", first(1, replies(200), replies(429, retry_after=b"100")))
    world.fill(30)

    world.start([subscription("a", in_flight_max=1)])
    await asyncio.sleep(2)

    waiting = [trail(one) for one in world.cluster.letters("webhooks.retry.30s")]
    assert {one.attempt for one in waiting if one.status == 0} == {0}
    assert all(one.not_before_ms > 0 for one in waiting)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_reply_of_overload_cuts_the_lanes_limit(status: int):
    async def scenario() -> None:
        world = World.new()
        world.behave("a", replies(200, after_s=0.05))
        world.fill(400)
        world.start([subscription("a", in_flight_max=32)])
        await asyncio.sleep(1)
        lane = world.worker.lanes.get("a")
        assert lane is not None
        assert lane.pace.limit == 32

        world.behave("a", first(1, replies(200, after_s=0.05), replies(status)))
        world.fill(10)
        await asyncio.sleep(0.03)

        assert lane.pace.limit == 16

    run_virtual(scenario)


@virtual
async def test_a_hanging_endpoint_is_shut_out_after_its_timeouts():
    world = world_with_breakers()
    world.behave("a", hangs)
    world.start([subscription("a", timeout_ms=2_000), subscription("b")])

    for _ in range(60):
        world.fill(5)
        await asyncio.sleep(0.5)

    assert world.worker.lanes.get("a").breaker.state != "closed"  # type: ignore[union-attr]
    assert world.worker.lanes.get("a").breaker.why == "timeout"  # type: ignore[union-attr]
    assert world.accepted("b") == 300


# ── disabled ────────────────────────────────────────────────────────────────────────────────────


@virtual
async def test_the_probe_of_a_disabled_lane_waits_until_its_breaker_lets_it_through():
    rules = DisableRules(after_ms=60_000, attempts=8, probe_first_ms=60_000)
    world = world_with_breakers(disable=rules)
    world.behave("a", replies(500))
    world.start([subscription("a", ladder_ms=(5_000,) * 100)])
    lane = world.worker.lanes.get("a")
    assert lane is not None
    while lane.disabled is None:
        world.fill(1)
        await asyncio.sleep(1)
    until_ms, tried = lane.breaker.until_ms, len(world.sender.posts)
    assert until_ms > lane.disabled.probes_at_ms + 10_000

    world.behave("a", replies(200))
    while world.clock.now_ms() < until_ms - 1_000:
        world.fill(1)
        await asyncio.sleep(1)
    assert len(world.sender.posts) == tried
    for _ in range(5):
        world.fill(1)
        await asyncio.sleep(1)

    assert lane.disabled is None


@virtual
async def test_the_probe_that_enables_a_lane_again_may_ask_for_a_pause():
    world = world_with_breakers()
    world.behave("a", first(1, replies(200), replies(200, retry_after=b"100")))
    world.start([subscription("a")])
    lane = world.worker.lanes.get("a")
    assert lane is not None
    now_ms = world.clock.now_ms()
    lane.disabled = Disabled(since_ms=now_ms - 10, why="It failed.", probes_at_ms=now_ms)

    for _ in range(200):
        world.fill(1)
        await asyncio.sleep(1)

    assert lane.disabled is None
    assert 100 <= posts_s(world)[1] <= 106
