"""What cannot be sent for a fault of our own waits, uncounted and unwritten, until a probe comes about."""

from __future__ import annotations

import asyncio

import pytest

from connector.core.outcome import Failure, Reply
from connector.core.topic_names import parked_topic
from connector.engine.ports import Endpoint
from tests.support.fake_kafka import PREFIX
from tests.support.own_faults import (
    IDS,
    PROXY,
    attempts_told,
    everybody,
    held,
    no_descriptor,
    no_tunnel,
    not_admitted,
    posts_to,
    proxy_down,
    resting,
    started,
    through,
)
from tests.support.virtual_time import virtual
from tests.support.world import POSTS, Post, replies, subscription


def refused(_: Post) -> tuple[float, Reply | Failure]:
    return 0.01, Failure("connect", "connection refused")


async def breaks(_: Endpoint, timeout_ms: int) -> Failure | None:
    raise ValueError("nobody foresaw this")


@pytest.mark.parametrize("ids", [IDS, IDS[:1]])
def test_without_descriptors_nothing_is_written_nor_counted_however_long_it_lasts(ids: list[str]):
    @virtual
    async def scenario() -> None:
        world = await held(*map(subscription, ids), fault=no_descriptor, records=2_000, for_s=3_600)

        accounts = world.worker.accounts
        assert accounts.to_tiers.total() == 0
        assert accounts.dead == {}
        assert accounts.records_read <= 400  # what may be in hand
        assert sum(accounts.attempts.values()) <= 200  # what was under way when it began
        everybody(world, replies(200))
        await asyncio.sleep(30)

        assert len(world.sender.accepted) == 2_000 * len(ids)
        assert world.committed(POSTS) == 2_000
        assert accounts.to_tiers.total() == 0
        assert world.problems() == []

    scenario()


@virtual
async def test_the_hold_is_told_with_its_cure_and_so_is_its_end():
    world = await held(*map(subscription, IDS), fault=no_descriptor)

    [what, why] = next(iter(world.worker.held().items()))
    assert what == "sending"
    assert why.startswith("no connection: Too many open files; ")
    assert "ulimit -n" in why
    assert world.worker.dispatcher.outage_reason == "resources"
    everybody(world, replies(200))
    await asyncio.sleep(6)

    assert world.worker.held() == {}
    assert len(world.log.said("intake goes on")) == 1


@virtual
async def test_the_hold_is_told_as_it_is_now_and_logged_once():
    world = await held(*map(through, IDS), fault=proxy_down, for_s=10)
    assert "does not answer" in world.worker.held()["sending"]

    everybody(world, not_admitted)
    await asyncio.sleep(6)

    assert "it answers 407" in world.worker.held()["sending"]
    assert len(world.log.said("nothing can be sent: intake holds, probing")) == 1
    assert len(world.log.said("nothing is sent for a fault of our own, probing")) == 1


@virtual
async def test_a_few_hosts_are_probed_every_five_seconds_and_all_in_turn():
    world = await held(*map(subscription, IDS), fault=no_descriptor)
    world.sender.reached.clear()
    posts = len(world.sender.posts)

    await asyncio.sleep(20)

    assert len(world.sender.posts) == posts
    assert len(world.sender.reached) == 12
    assert len({one.url for one in world.sender.reached}) == 10


@virtual
async def test_a_probe_that_finds_a_receiver_dead_ends_the_hold_too():
    world = await held(*map(subscription, IDS), fault=no_descriptor)

    everybody(world, refused)
    await asyncio.sleep(6)

    assert world.worker.held() == {}


@virtual
async def test_a_probe_that_fails_in_a_way_nobody_foresaw_is_a_failed_probe_and_others_follow():
    world = started(*map(subscription, IDS))
    everybody(world, no_descriptor)
    world.fill(10)
    reach, world.sender.reach = world.sender.reach, breaks  # type: ignore[method-assign]
    await asyncio.sleep(20)
    world.sender.reach = reach  # type: ignore[method-assign]

    everybody(world, replies(200))
    await asyncio.sleep(30)

    assert len(world.sender.accepted) == 100
    assert world.worker.accounts.probes["protocol"] > 0
    assert world.problems() == []


@virtual
async def test_a_host_that_alone_lacks_something_of_ours_stops_nobody_else():
    world = started(*map(subscription, IDS))
    world.behave("s0", no_descriptor)
    for _ in range(600):
        world.fill(1)
        await asyncio.sleep(1)
        assert world.worker.held() == {}

    assert {world.accepted(id_) for id_ in IDS[1:]} == {600}
    assert resting(world) == {"s0"}
    assert world.worker.accounts.attempts["resources"] <= 10
    # It waits on tiers, longer each time: of this ladder's 5 s, 30 s and 5 min in the last.
    assert world.worker.accounts.to_tiers.total() <= 2 * 600
    assert world.worker.accounts.dead == {}


@virtual
async def test_a_dead_proxy_holds_what_goes_through_it_and_nothing_else():
    world = started(*map(through, IDS[:5]), *map(subscription, IDS[5:]))
    for id_ in IDS[:5]:
        world.behave(id_, proxy_down)
    for _ in range(600):
        world.fill(1)
        await asyncio.sleep(1)
        assert world.worker.dispatcher.outage == ""

    assert {world.accepted(id_) for id_ in IDS[5:]} == {600}
    assert list(world.worker.held()) == [f"sending through {PROXY}"]
    assert resting(world) == set(IDS[:5])
    assert world.worker.accounts.to_tiers.total() <= 2 * 5 * 600
    assert attempts_told(world) == 0
    assert world.worker.dispatcher.hosts_at_rest == {"proxy": 5}
    for id_ in IDS[:5]:
        world.behave(id_, replies(200))
    await asyncio.sleep(700)

    assert resting(world) == set()
    assert {world.accepted(id_) for id_ in IDS[:5]} == {600}
    assert world.problems() == []


@virtual
async def test_the_lanes_of_a_dead_proxy_are_probed_by_few_connections():
    world = started(*map(through, IDS[:9]), subscription(IDS[9]))
    for id_ in IDS[:9]:
        world.behave(id_, proxy_down)
    world.fill(100)
    await asyncio.sleep(10)
    assert resting(world) == set(IDS[:9])
    world.sender.reached.clear()
    before = world.worker.accounts.attempts["proxy"]

    await asyncio.sleep(60)

    assert len(world.sender.reached) == 36
    assert world.worker.accounts.attempts["proxy"] == before


@virtual
async def test_intake_holds_while_the_proxy_that_everybody_uses_is_down():
    world = await held(
        *map(through, IDS), subscription("paused", paused=True), fault=proxy_down, records=2_000, for_s=3_600
    )

    assert world.worker.dispatcher.outage_reason == "proxy"
    assert world.worker.accounts.to_tiers.total() <= 400  # what is parked goes by a detour
    read = world.worker.accounts.records_read
    assert read <= 400
    everybody(world, replies(200))
    await asyncio.sleep(30)

    assert world.worker.held() == {}
    assert {world.accepted(id_) for id_ in IDS} == {2_000}


@virtual
async def test_a_proxy_that_fails_for_one_receiver_stops_nobody_else():
    world = started(*map(through, IDS))
    world.behave("s0", proxy_down)
    for _ in range(120):
        world.fill(1)
        await asyncio.sleep(1)

    assert resting(world) == {"s0"}
    assert {world.accepted(id_) for id_ in IDS[1:]} == {120}


@virtual
async def test_the_rest_of_a_way_ends_when_its_proxy_answers_whatever_it_says():
    world = await held(*map(through, IDS[:3]), fault=proxy_down, for_s=3_600)
    assert world.worker.dispatcher.outage_reason == "proxy"
    assert attempts_told(world) == 0

    everybody(world, no_tunnel)
    await asyncio.sleep(10)

    assert world.worker.held() == {}
    assert resting(world) == set()


@virtual
async def test_the_first_probe_that_comes_about_ends_the_rest_of_all_by_its_way():
    world = await held(*map(through, IDS[:3]), fault=proxy_down, for_s=10)
    before = posts_to(world, "s0")

    everybody(world, replies(200))
    world.behave("s0", lambda _: (0.0, Failure("proxy", "refused")))  # before the others come about
    await asyncio.sleep(6)

    assert posts_to(world, "s0") > before


@virtual
async def test_what_is_new_while_its_way_rests_rests_with_it():
    world = started(*map(through, IDS[:3]), subscription(IDS[9]))
    for id_ in IDS[:4]:
        world.behave(id_, proxy_down)
    world.fill(1)
    await asyncio.sleep(2)
    assert resting(world) == set(IDS[:3])

    world.worker.view([*map(through, IDS[:4]), subscription(IDS[9])], [5_000, 30_000, 300_000])
    await asyncio.sleep(1)

    assert resting(world) == set(IDS[:4])
    assert all(post.url != "https://s3.example/hooks" for post in world.sender.posts)


@virtual
async def test_what_one_lacks_that_rests_with_its_way_is_not_said_of_the_others():
    world = await held(*map(through, IDS), fault=proxy_down, records=1)
    late = [f"late{n}" for n in range(10)]
    world.worker.view([*map(through, IDS), *map(through, late)], [5_000, 30_000, 300_000])
    for id_ in late:
        world.behave(id_, proxy_down)
    world.behave(late[0], no_descriptor)
    await asyncio.sleep(60)

    assert world.worker.dispatcher.hosts_at_rest == {"proxy": 19, "resources": 1}


@virtual
async def test_a_proxy_that_nobody_uses_any_more_is_forgotten():
    world = await held(*map(through, IDS), fault=proxy_down, records=50, for_s=10)

    everybody(world, replies(200))
    world.worker.view([*map(subscription, IDS)], [5_000, 30_000, 300_000])
    await asyncio.sleep(1)

    assert world.worker.held() == {}
    assert {world.accepted(id_) for id_ in IDS} == {50}


@virtual
async def test_nobody_to_be_probed_is_nobody_to_wait_for():
    world = started(subscription("a"))
    world.behave("a", no_descriptor)
    world.fill(1)
    await asyncio.sleep(0.1)
    world.cluster.partitions[parked_topic(PREFIX)] = 3

    world.worker.view([subscription("a", paused=True)], [5_000, 30_000, 300_000])
    world.fill(5)
    await asyncio.sleep(20)

    assert world.worker.held() == {}
    assert resting(world) == set()
    assert world.worker.accounts.parked == 6


@virtual
async def test_a_partition_that_leaves_during_the_hold_leaves_in_time_and_loses_nothing():
    world = await held(*map(subscription, IDS), fault=no_descriptor, records=30, for_s=10)

    await world.source.revoke(POSTS, budget_ms=10_000)
    everybody(world, replies(200))
    world.source.assign(POSTS)
    await asyncio.sleep(400)

    assert {world.accepted(id_) for id_ in IDS} == {30}
    assert len({(post.url, post.webhook_id) for post in world.sender.accepted}) == 300
    assert world.problems() == []


@virtual
async def test_a_stop_during_the_hold_ends_in_time_and_loses_nothing():
    world = await held(*map(subscription, IDS), fault=no_descriptor, records=30, for_s=10)

    begun_s = asyncio.get_running_loop().time()
    await world.worker.stop()
    assert asyncio.get_running_loop().time() - begun_s <= 36
    everybody(world, replies(200))
    world.next_worker(worker_id="w2").start([*map(subscription, IDS)])
    await asyncio.sleep(400)

    assert len({(post.url, post.webhook_id) for post in world.sender.accepted}) == 300
