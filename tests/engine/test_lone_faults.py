"""A host that alone fails as by our own fault, while others by the same way come about, is not at rest for
ever: after a quarter of an hour it is in doubt whose fault it is, and that ends as the receiver's."""

from __future__ import annotations

import asyncio

import pytest

from connector.core.outcome import Failure, Reply
from connector.core.subscription import Egress, Subscription
from tests.support.own_faults import (
    IDS,
    PROXY,
    attempts_told,
    everybody,
    no_descriptor,
    not_admitted,
    posts_to,
    proxy_down,
    resting,
    started,
    through,
)
from tests.support.virtual_time import virtual
from tests.support.world import POSTS, Behaviour, Post, World, replies, subscription

SAID = "failing alone for long, no longer taken for a fault of our own"
QUARTER_S = 900


def crowded(post: Post) -> tuple[float, Reply | Failure]:
    """A probe comes about, a delivery does not."""
    is_probe = not post.webhook_id
    return 0.01, Reply(200) if is_probe else Failure("resources", "no connection came free in time")


async def in_doubt(world: World) -> None:
    """s0 alone fails for so long that it is in doubt whose fault that is."""
    world.behave("s0", not_admitted)
    world.fill(5)
    await asyncio.sleep(QUARTER_S + 30)
    assert resting(world) == set()
    assert len(world.log.said(SAID)) == 1


@pytest.mark.parametrize(
    ("alike", "failing"),
    [([through(id_) for id_ in IDS], not_admitted), ([subscription(id_) for id_ in IDS], no_descriptor)],
)
@pytest.mark.parametrize("lone", [IDS[:1], IDS[:5]])
def test_what_fails_for_few_alone_is_billed_to_nobody_for_a_quarter_of_an_hour_and_then_ends_as_theirs(
    lone: list[str], alike: list[Subscription], failing: Behaviour
):
    @virtual
    async def scenario() -> None:
        world = started(*alike)
        for id_ in lone:
            world.behave(id_, failing)
        world.fill(20)
        await asyncio.sleep(QUARTER_S)

        assert resting(world) == set(lone)
        assert attempts_told(world) == 0
        assert world.worker.accounts.dead == {}
        await asyncio.sleep(30)

        assert resting(world) == set()
        assert sum(world.worker.dispatcher.hosts_at_rest.values()) == 0
        assert attempts_told(world) == 0  # ten in a row are excused
        for _ in range(14):
            await asyncio.sleep(300)
            assert world.worker.held() == {}
            assert resting(world) == set()

        assert world.worker.accounts.dead == {"exhausted": 20 * len(lone)}
        assert {world.accepted(id_) for id_ in IDS if id_ not in lone} == {20}
        assert world.committed(POSTS) == 20
        assert world.problems() == []

    scenario()


@virtual
async def test_one_in_doubt_is_sent_what_waits_for_it_at_once():
    world = started(*map(through, IDS))
    world.behave("s0", not_admitted)
    for _ in range(QUARTER_S):
        world.fill(1)
        await asyncio.sleep(1)
    before = posts_to(world, "s0")

    for _ in range(15):
        world.fill(1)
        await asyncio.sleep(1)

    assert len(world.log.said(SAID)) == 1
    assert posts_to(world, "s0") - before >= 5


@virtual
async def test_all_of_a_way_failing_is_never_in_doubt_though_others_by_another_way_come_about():
    world = started(*map(through, IDS[:5]), *map(subscription, IDS[5:]))
    for id_ in IDS[:5]:
        world.behave(id_, not_admitted)
    for _ in range(4 * QUARTER_S // 60):
        world.fill(1)
        await asyncio.sleep(60)

    assert resting(world) == set(IDS[:5])
    assert attempts_told(world) == 0
    assert world.log.said(SAID) == []


@virtual
async def test_who_else_fails_at_times_does_not_make_the_quarter_of_an_hour_begin_again():
    world = started(*map(through, IDS))
    world.behave("s0", not_admitted)
    world.behave("s1", crowded)
    for _ in range(QUARTER_S + 30):
        world.fill(1)
        await asyncio.sleep(1)

    assert [facts["host"] for facts in world.log.said(SAID)] == [f"s0.example through {PROXY}"]
    assert world.accepted("s2") == QUARTER_S + 30


@virtual
async def test_the_quarter_of_an_hour_begins_again_when_nobody_came_about():
    world = started(*map(through, IDS))
    world.behave("s0", not_admitted)
    world.fill(5)
    await asyncio.sleep(QUARTER_S - 100)
    everybody(world, proxy_down)
    world.fill(5)
    await asyncio.sleep(60)
    assert resting(world) == set(IDS)
    everybody(world, replies(200))
    world.behave("s0", not_admitted)
    await asyncio.sleep(QUARTER_S - 100)

    assert resting(world) == {"s0"}
    assert attempts_told(world) == 0
    assert world.accepted("s1") == 10


@virtual
async def test_one_in_doubt_rests_with_its_way_and_is_not_billed_meanwhile():
    world = started(*map(through, IDS))
    await in_doubt(world)
    everybody(world, proxy_down)
    world.fill(5)
    await asyncio.sleep(10)
    assert world.worker.dispatcher.outage_reason == "proxy"

    await asyncio.sleep(4 * QUARTER_S)

    assert resting(world) == set(IDS)
    assert attempts_told(world) == 0
    everybody(world, replies(200))
    await asyncio.sleep(600)
    assert {world.accepted(id_) for id_ in IDS} == {10}


@virtual
async def test_one_in_doubt_that_comes_about_is_like_any_other_again():
    world = started(*map(through, IDS))
    await in_doubt(world)
    world.behave("s0", replies(200))
    await asyncio.sleep(600)
    assert world.accepted("s0") == 5

    world.behave("s0", not_admitted)
    world.fill(5)
    await asyncio.sleep(600)

    assert resting(world) == {"s0"}
    assert attempts_told(world) == 0


@virtual
async def test_a_way_that_nobody_was_asked_about_does_not_rest():
    world = started(*map(through, IDS[:5]), *map(subscription, IDS[5:]))
    for id_ in IDS[:5]:
        world.behave(id_, lambda _: (4.0, Failure("proxy", "no connection to the proxy in time")))
    world.fill(1)
    await asyncio.sleep(5.5)
    assert world.sender.reached  # and the probes through the proxy are under way

    world.behave("s5", no_descriptor)
    world.fill(1)
    for _ in range(100):
        await asyncio.sleep(0.1)
        assert resting(world) <= {*IDS[:5], "s5"}

    assert world.worker.dispatcher.holds.keys() == {f"sending through {PROXY}"}


async def all_but_one_in_doubt(*beside: Subscription) -> World:
    """Everybody but s9, which is well and was sent to a moment ago."""
    world = started(*map(through, IDS), *beside)
    for id_ in IDS[:9]:
        world.behave(id_, not_admitted)
    world.fill(5)
    await asyncio.sleep(QUARTER_S + 60)
    assert len(world.log.said(SAID)) == 9
    assert resting(world) == set()
    world.fill(1)
    await asyncio.sleep(1)
    assert world.accepted("s9") == 6
    return world


IDLE = subscription("idle", url="https://s9.example/hooks", egress=Egress(proxy=PROXY), events=("none",))


@pytest.mark.parametrize(
    ("after_s", "beside"), [(0, []), (1, []), (2, []), (3, []), (4, []), (0, [IDLE])]
)  # fmt: skip
def test_a_glitch_of_seconds_holds_for_seconds_however_many_are_in_doubt(
    after_s: int, beside: list[Subscription]
):
    @virtual
    async def scenario() -> None:
        world = await all_but_one_in_doubt(*beside)
        await asyncio.sleep(after_s)
        everybody(world, proxy_down)
        world.fill(1)
        await asyncio.sleep(3)
        assert "s9" in resting(world)

        for id_ in IDS[:9]:
            world.behave(id_, not_admitted)
        world.behave("s9", replies(200))
        await asyncio.sleep(6)

        assert world.accepted("s9") == 7
        assert world.worker.held() == {}
        assert world.problems() == []

    scenario()


@virtual
async def test_whoever_rests_is_asked_before_those_in_doubt():
    world = await all_but_one_in_doubt()
    world.worker.view([*map(through, IDS), through("x"), through("y")], [5_000, 30_000, 300_000])
    world.behave("s9", replies(200, after_s=0.1))
    world.fill(1)
    await asyncio.sleep(1)  # s9 was the last that answered
    for id_ in ("s9", "x"):
        world.behave(id_, not_admitted)
    world.fill(1)
    await asyncio.sleep(11)
    assert resting(world) == {"s9", "x"}

    world.behave("x", replies(200))
    await asyncio.sleep(6)

    assert resting(world) == {"s9"}
