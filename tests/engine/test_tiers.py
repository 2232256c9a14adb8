"""Letters on the tiers: when they are tried, hopped on, dropped as copies, or ended."""

from __future__ import annotations

import asyncio

import pytest

from connector.core.event import NeedsSchema, Poison, Skipped
from connector.core.letters import retry_letter
from connector.core.record import Headers, Record
from connector.core.trail import Origin, Trail
from connector.engine import tiers
from connector.engine.ports import NotWritten, SchemaReady, SchemaUnknown, SchemaUnreachable, TopicPartition
from tests.support.fake_kafka import Cluster
from tests.support.virtual_time import VirtualClock, virtual
from tests.support.world import POSTS, FakeSender, World, replies, subscription

FIVE_SECONDS = TopicPartition("webhooks.retry.5s", 0)
SOURCE = Record("post.created", 0, 7, 1_700_000_000_000, b"k", b"1")


def put(world: World, *, topic: str = "webhooks.retry.5s", offset: int = 7, **trail: object) -> Record:
    """Write a letter for the subscription ``a`` as some worker would have."""
    origin = Origin(topic="post.created", partition=0, offset=offset, timestamp_ms=1_700_000_000_000)
    fields = {"subscription_id": "a", "event_id": "e", "event_type": "post.created", "hop": 1} | trail
    letter = retry_letter(SOURCE, Trail(origin=origin, **fields))  # type: ignore[arg-type]  # named by the tests
    return world.cluster.append(topic, letter.value, key=letter.key, headers=letter.headers)


def tries_s(world: World) -> list[float]:
    return [(post.at_ms - 1_700_000_000_000) / 1_000 for post in world.sender.posts]


@virtual
async def test_a_letter_is_tried_when_its_tier_is_over_and_little_later():
    world = World.new()
    put(world)

    world.start([subscription("a")])
    await asyncio.sleep(10)

    [at_s] = tries_s(world)
    assert 5.0 <= at_s <= 6.1
    assert world.cluster.committed["g.retry", FIVE_SECONDS][0] == 1


@virtual
async def test_a_letter_read_late_is_tried_at_once():
    world = World.new()
    put(world)
    await asyncio.sleep(60)

    world.start([subscription("a")])
    await asyncio.sleep(0.1)

    assert len(tries_s(world)) == 1


@virtual
async def test_a_retry_after_between_two_tiers_is_waited_out_by_hops():
    world = World.new()
    answers = [replies(429, retry_after=b"47"), replies(200)]
    world.behave("a", lambda post: answers.pop(0)(post))
    world.cluster.append("post.created", b"1")

    world.start([subscription("a", ladder_ms=(5_000, 30_000))])
    await asyncio.sleep(80)

    first, second = tries_s(world)
    assert 47 <= second - first <= 53  # by hops, so exact to the shortest tier
    assert world.worker.accounts.tier_records_hopped >= 1


@virtual
async def test_due_times_out_of_order_make_none_early():
    world = World.new()
    now_ms = world.clock.now_ms()
    put(world, offset=1, not_before_ms=now_ms + 60_000)
    put(world, offset=2)

    world.start([subscription("a")])
    await asyncio.sleep(80)

    near, far = tries_s(world)
    assert 5.0 <= near <= 6.1
    assert 60.0 <= far <= 63


@virtual
async def test_a_clock_that_is_behind_makes_a_letter_later_by_no_more_than_its_tolerance():
    cluster = Cluster(VirtualClock())
    clock = VirtualClock()
    clock.skew_ms = -300_000
    world = World(cluster, FakeSender(cluster.clock), clock=clock)
    put(world)

    world.start([subscription("a")])
    await asyncio.sleep(20)

    [at_s] = tries_s(world)
    assert 5.0 <= at_s <= 7.5


@virtual
async def test_a_clock_that_is_behind_holds_up_a_thousand_letters_no_longer_than_one():
    cluster = Cluster(VirtualClock())
    clock = VirtualClock()
    clock.skew_ms = -300_000
    world = World(cluster, FakeSender(cluster.clock), clock=clock)
    for offset in range(1_200):  # more than two batches
        put(world, offset=offset)

    world.start([subscription("a", queue_max=2_000)])
    await asyncio.sleep(10)

    assert len(tries_s(world)) == 1_200
    assert max(tries_s(world)) <= 8


@virtual
async def test_a_clock_that_is_ahead_makes_no_storm_of_hops():
    cluster = Cluster(VirtualClock())
    clock = VirtualClock()
    clock.skew_ms = 300_000
    world = World(cluster, FakeSender(cluster.clock), clock=clock)
    put(world, not_before_ms=clock.now_ms() + 120_000)

    world.start([subscription("a")])
    await asyncio.sleep(200)

    [at_s] = tries_s(world)
    assert 119 <= at_s <= 130
    assert world.worker.accounts.tier_records_hopped <= 50


@virtual
async def test_a_clock_that_steps_back_while_a_letter_waits_stalls_nothing():
    cluster = Cluster(VirtualClock())
    clock = VirtualClock()
    world = World(cluster, FakeSender(cluster.clock), clock=clock)
    put(world)
    world.start([subscription("a")])
    await asyncio.sleep(2)

    clock.skew_ms = -3_600_000
    await asyncio.sleep(10)

    [at_s] = tries_s(world)
    assert at_s <= 7.5


@virtual
async def test_a_second_copy_of_a_letter_is_dropped_and_counted():
    world = World.new()
    put(world)
    put(world)

    world.start([subscription("a")])
    await asyncio.sleep(10)

    assert len(tries_s(world)) == 1
    assert world.worker.accounts.dropped_copies == 1
    assert world.cluster.committed["g.retry", FIVE_SECONDS][0] == 2
    assert world.problems() == []


@pytest.mark.parametrize("other", [{"hop": 2}, {"generation": 1}, {"offset": 8}])
def test_what_differs_in_delivery_hop_or_generation_is_no_copy(other: dict[str, int]):
    @virtual
    async def run() -> None:
        world = World.new()
        put(world)
        put(world, **other)

        world.start([subscription("a")])
        await asyncio.sleep(10)

        assert len(tries_s(world)) == 2

    run()


@virtual
async def test_a_letter_given_back_unsettled_is_no_copy_when_it_is_read_again():
    world = World.new()
    world.behave("a", replies(500, after_s=10))
    put(world)
    world.start([subscription("a")])
    await asyncio.sleep(6)
    assert len(tries_s(world)) == 1
    world.tier_source.lose(FIVE_SECONDS)
    world.behave("a", replies(200))

    world.tier_source.assign(FIVE_SECONDS)
    await asyncio.sleep(30)

    assert world.accepted("a") == 1
    assert world.worker.accounts.dropped_copies == 0
    assert world.problems() == []


@virtual
async def test_only_so_many_letters_are_remembered():
    world = World.new()
    intake = world.worker.pumps[1]._turns._intake
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(tiers, "COPIES_MAX", 3)
    for offset in range(10):
        put(world, offset=offset)

    world.start([subscription("a")])
    await asyncio.sleep(10)
    monkeypatch.undo()

    assert len(intake._seen) == 3  # type: ignore[attr-defined]  # the bound itself is the fact
    assert world.accepted("a") == 10


@virtual
async def test_a_subscription_unheard_of_is_waited_for_and_then_counts_as_deleted():
    world = World.new()
    put(world, subscription_id="b")

    world.start([subscription("a")])
    await asyncio.sleep(14 * 60)
    assert world.worker.accounts.dead == {}
    await asyncio.sleep(3 * 60)

    assert world.worker.accounts.dead == {"deleted": 1}
    assert world.problems() == []


@virtual
async def test_a_subscription_heard_of_in_time_gets_its_letter():
    world = World.new()
    put(world, subscription_id="b")
    world.start([subscription("a")])
    await asyncio.sleep(10 * 60)

    world.worker.view([subscription("a"), subscription("b")], [5_000, 30_000, 300_000])
    await asyncio.sleep(6 * 60)

    assert world.accepted("b") == 1
    assert world.worker.accounts.dead == {}


@virtual
async def test_a_subscription_that_is_gone_once_more_is_waited_for_anew():
    """Its letter lies in a long tier while it is back."""
    world = World.new()
    put(world, subscription_id="b")
    world.start([subscription("a")])
    await asyncio.sleep(13 * 60)

    world.worker.view([subscription("a"), subscription("b")], (5_000, 30_000, 300_000))
    await asyncio.sleep(1)
    world.worker.view([subscription("a")], (5_000, 30_000, 300_000))
    await asyncio.sleep(14 * 60)
    assert world.worker.accounts.dead == {}
    await asyncio.sleep(12 * 60)

    assert world.worker.accounts.dead == {"deleted": 1}
    assert world.accepted("b") == 0


@virtual
async def test_only_so_many_unheard_subscriptions_are_remembered():
    world = World.new()
    intake = world.worker.pumps[1]._turns._intake
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(tiers, "UNHEARD_MAX", 3)
    for n in range(10):
        put(world, subscription_id=f"gone{n}")

    world.start([subscription("a")])
    await asyncio.sleep(10)
    monkeypatch.undo()

    assert len(intake._unheard) == 3  # type: ignore[attr-defined]  # the bound itself is the fact


FOREIGN: list[Headers] = [
    (),
    (("webhook.v", b"9"),),
    (("webhook.v", b"1"), ("webhook.v", b"1")),
    (("webhook.v", b"1"), ("webhook.subscription-id", b"\xff")),
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_record_that_is_no_letter_of_ours_holds_its_partition_alone(headers: Headers):
    @virtual
    async def run() -> None:
        world = World.new()
        world.cluster.append("webhooks.retry.5s", b"1", headers=headers)
        put(world)
        put(world, topic="webhooks.retry.30s")

        world.start([subscription("a")])
        await asyncio.sleep(60)

        assert len(tries_s(world)) == 1
        assert list(world.worker.held()) == ["webhooks.retry.5s[0]"]
        assert world.cluster.committed["g.retry", FIVE_SECONDS][0] == 0
        assert world.worker.unready() == []

    run()


@virtual
async def test_an_unreachable_registry_diverts_a_letter():
    world = World.new()
    world.decoder.outcomes[b"1"] = NeedsSchema("7")
    world.decoder.answers = [SchemaUnreachable("down"), SchemaReady()]
    put(world)

    world.start([subscription("a")])
    await asyncio.sleep(400)

    assert world.worker.accounts.diverted == {"registry unreachable": 1}
    assert world.accepted("a") == 1
    assert world.problems() == []


@virtual
async def test_a_registry_that_is_away_for_hours_does_not_have_a_letter_written_again_every_half_minute():
    world = World.new()
    world.decoder.outcomes[b"1"] = NeedsSchema("7")
    world.decoder.answers = [SchemaUnreachable("down")] * 1_000
    put(world)

    world.start([subscription("a", ladder_ms=(5_000, 30_000, 300_000, 3_600_000))])
    await asyncio.sleep(10 * 3_600)

    assert world.worker.accounts.diverted["registry unreachable"] <= 15
    assert world.worker.accounts.dead == {}


@pytest.mark.parametrize(
    "outcome", [Poison("corrupt", "cut short"), Skipped("no meaning"), NeedsSchema("unknown")]
)
def test_a_letter_that_is_no_event_any_more_is_a_dead_letter(outcome: Poison | Skipped | NeedsSchema):
    @virtual
    async def run() -> None:
        world = World.new()
        world.decoder.outcomes[b"1"] = outcome
        world.decoder.answers = [SchemaUnknown("no such id")]
        put(world)

        world.start([subscription("a")])
        await asyncio.sleep(10)

        assert world.worker.accounts.dead == {"poison": 1}
        assert world.sender.posts == []
        assert world.problems() == []

    run()


@virtual
async def test_a_subscription_removed_while_its_letter_waits_for_a_schema_is_not_sent_to():
    world = World.new()
    world.decoder.outcomes[b"1"] = NeedsSchema("7")
    put(world)

    async def fetch(_: object) -> SchemaReady:
        world.worker.view([subscription("b")], [5_000, 30_000, 300_000])
        world.decoder.outcomes.clear()
        return SchemaReady()

    world.decoder.fetch = fetch

    world.start([subscription("a"), subscription("b")])
    await asyncio.sleep(10)

    assert world.sender.posts == []
    assert world.worker.accounts.diverted == {"subscription unheard of": 1}


@virtual
async def test_retries_and_fresh_events_do_not_starve_each_other():
    world = World.new()
    world.behave("a", replies(200, after_s=0.01))
    for offset in range(300):
        put(world, offset=10_000 + offset)
    await asyncio.sleep(60)
    world.fill(300)

    world.start([subscription("a", in_flight_max=4)])
    await asyncio.sleep(0.6)

    first = [post.webhook_id for post in world.sender.accepted]
    assert len(first) >= 200
    assert 0.2 <= sum(id_.startswith("post_created-0-10") for id_ in first) / len(first) <= 0.8


@virtual
async def test_the_letter_of_a_crash_between_write_and_commit_is_sent_once_more_with_the_same_id():
    world = World.new()
    world.behave("a", replies(500))
    world.cluster.append("post.created", b"1")
    world.start([subscription("a")])
    await asyncio.sleep(0.1)
    assert len(world.cluster.tier_letters()) == 1
    await world.kill()

    second = world.next_worker()
    second.start([subscription("a")])
    await asyncio.sleep(1)
    second.behave("a", replies(200))
    await asyncio.sleep(30)

    assert second.accepted("a") == 1
    assert {post.webhook_id for post in second.sender.posts} == {"post_created-0-0"}
    assert second.worker.accounts.dropped_copies == 1
    assert second.committed(POSTS) == 1


@virtual
async def test_a_kill_before_the_letter_was_acknowledged_loses_nothing():
    world = World.new()
    world.behave("a", replies(500))
    world.cluster.write_faults_by_topic["webhooks.retry.5s"] = NotWritten("passing", "x")
    world.cluster.append("post.created", b"1")
    world.start([subscription("a")])
    await asyncio.sleep(3)
    await world.kill()

    second = world.next_worker()
    second.behave("a", replies(200))
    second.start([subscription("a")])
    await asyncio.sleep(3)

    assert second.accepted("a") == 1
