"""The operator is told when a subscription is disabled or enabled by itself, once for all workers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

from connector.core.breaker import BreakerRules
from connector.core.dialect import DIALECTS
from connector.core.disabling import Disabled, DisableRules
from connector.core.event import Event
from connector.core.headers import DecodedPoison, decode_dead
from connector.core.topic_names import dead_letters_topic, operator_events_topic, parked_topic
from connector.engine.operator_events import PENDING_MAX
from connector.engine.ports import NotWritten, TopicPartition
from tests.support.fake_board import FakeBoard, FakeTopic
from tests.support.fake_kafka import PREFIX, Cluster
from tests.support.virtual_time import VirtualClock, virtual
from tests.support.world import POSTS, FakeSender, World, limits, replies, subscription

EVENTS = operator_events_topic(PREFIX)
LIMITS = limits(
    disable=DisableRules(after_ms=2_000, attempts=3, probe_first_ms=5_000),
    breaker=BreakerRules(failures_to_open=0),
)
GONE_IS_FINAL = replace(DIALECTS["webhooks-v1"], gone_is_final=True)
ACME = subscription("acme", ladder_ms=(1_000,) * 9)


def told(cluster: Cluster) -> list[dict[str, Any]]:
    return [json.loads(record.value or b"") for record in cluster.letters(EVENTS)]


def failing() -> World:
    world = World.new(limits=LIMITS)
    world.behave("acme", replies(500))
    return world


@virtual
async def test_disabled_parked_probed_enabled_and_the_backlog_delivered() -> None:
    world = failing()
    world.start([ACME])
    world.fill(3)
    await asyncio.sleep(7)  # two to have failed for, three to hear of others
    world.fill(3)
    await asyncio.sleep(3)
    disabled = told(world.cluster)
    parked = len(world.cluster.letters(parked_topic(PREFIX)))

    world.behave("acme", replies(200))
    await asyncio.sleep(3)
    world.fill(1)  # the probe
    await asyncio.sleep(15)

    assert [one["type"] for one in disabled] == ["connector.subscription.disabled"]
    assert disabled[0]["data"]["subscription_id"] == "acme"
    assert parked >= 4
    assert [one["type"] for one in told(world.cluster)][1:] == ["connector.subscription.enabled"]
    assert len({post.webhook_id for post in world.sender.accepted}) == 7
    assert world.worker.parked.backlogs["acme"].is_done
    assert world.problems() == []


@virtual
async def test_a_probe_that_fails_leaves_it_disabled_and_tells_nothing() -> None:
    world = failing()
    world.start([ACME])
    world.fill(3)
    await asyncio.sleep(7)
    before = len(world.sender.posts)

    for _ in range(30):
        await asyncio.sleep(1)
        world.fill(1)
    attempts = len(world.sender.posts)
    await asyncio.sleep(1)

    assert len(told(world.cluster)) == 1
    assert attempts - before <= 3  # a probe after 5, 10 and 20 s


@virtual
async def test_gone_disables_at_once() -> None:
    world = World.new(limits=LIMITS)
    world.behave("acme", replies(410))
    world.start([subscription("acme", dialect=GONE_IS_FINAL)])
    world.fill(1)

    await asyncio.sleep(3)

    (event,) = told(world.cluster)
    assert "410" in event["data"]["why"]


@virtual
async def test_what_is_answered_after_a_subscription_was_removed_neither_disables_nor_enables_it() -> None:
    world = World.new(limits=LIMITS)
    gone, back = (subscription(id_, dialect=GONE_IS_FINAL) for id_ in ("gone", "back"))
    world.behave("gone", replies(410, after_s=5))
    world.behave("back", replies(200, after_s=5))
    world.start([gone, back])
    lanes = list(world.worker.lanes)
    now_ms = world.clock.now_ms()
    lanes[1].disabled = Disabled(since_ms=now_ms - 10, why="It failed.", probes_at_ms=now_ms)
    world.fill(1)
    await asyncio.sleep(1)
    assert [lane.in_flight for lane in lanes] == [1, 1]

    world.worker.view([ACME], [1_000])
    await asyncio.sleep(10)

    assert told(world.cluster) == []
    assert world.log.said("disabled") == world.log.said("enabled again") == []
    assert [lane.disabled is not None for lane in lanes] == [False, True]


@virtual
async def test_two_workers_that_decide_at_once_tell_it_under_one_id() -> None:
    cluster, topic = Cluster(VirtualClock()), FakeTopic(lambda: 0.4)
    cluster.partitions["post.created"] = 2
    worlds = []
    for number, name in enumerate(("a", "b")):
        world = World(
            cluster, FakeSender(cluster.clock), limits=LIMITS, board=FakeBoard(topic), worker_id=name
        )
        world.behave("acme", replies(410, after_s=0.001 + 0.1 * number))
        world.worker.view([subscription("acme", dialect=GONE_IS_FINAL)], [1_000])
        world.worker.start()
        world.source.assign(TopicPartition("post.created", number))
        worlds.append(world)
    await asyncio.sleep(3)

    for number in (0, 1):
        cluster.append("post.created", b"1", partition=number)
    await asyncio.sleep(10)

    first, second = told(cluster)
    assert first["id"] == second["id"]
    lanes = [world.worker.lanes.get("acme") for world in worlds]
    assert lanes[0] is not None
    assert lanes[1] is not None
    assert lanes[0].disabled == lanes[1].disabled


@virtual
async def test_an_event_is_written_again_until_the_broker_has_it() -> None:
    world = failing()
    world.cluster.write_faults_by_topic[EVENTS] = NotWritten("passing", "the broker is away")
    world.start([ACME])
    world.fill(3)
    await asyncio.sleep(20)
    before = told(world.cluster)

    world.cluster.write_faults_by_topic.clear()
    await asyncio.sleep(5)

    assert before == []
    assert len(told(world.cluster)) == 1


@virtual
async def test_what_was_decided_just_before_a_stop_is_told() -> None:
    world = failing()
    world.start([ACME], [POSTS])
    world.fill(3)
    await asyncio.sleep(6.5)
    before = told(world.cluster)

    await world.worker.stop()

    assert (len(world.log.said("disabled")), before) == (1, [])

    assert len(told(world.cluster)) == 1


@virtual
async def test_more_events_than_may_wait_are_told_in_the_log_alone() -> None:
    world = World.new(limits=LIMITS)
    world.cluster.write_faults_by_topic[EVENTS] = NotWritten("passing", "the broker is away")
    world.start([ACME])
    was = Disabled(since_ms=1, why="Gone.", probes_at_ms=2)
    for number in range(PENDING_MAX + 1):
        world.worker._operator_events.enabled(f"s{number}", was)

    assert world.log.said("an operator event is lost: too many wait") == [{"subscription": f"s{PENDING_MAX}"}]


@virtual
async def test_why_an_event_cannot_be_written_is_said_once() -> None:
    world = failing()
    world.cluster.write_faults_by_topic[EVENTS] = NotWritten("forbidden", "no permission to write")
    world.start([ACME])
    world.fill(3)
    await asyncio.sleep(30)
    first = list(world.log.said("operator events cannot be written; trying again"))

    world.cluster.write_faults_by_topic[EVENTS] = NotWritten("passing", "the broker is away")
    await asyncio.sleep(30)

    assert first == [{"why": "no permission to write"}]
    assert world.log.said("operator events cannot be written; trying again") == [
        *first, {"why": "the broker is away"}
    ]  # fmt: skip


# ── types that nobody else may use ──────────────────────────────────────────────────────────────


@virtual
async def test_an_event_that_pretends_to_be_ours_is_poison() -> None:
    world = World.new()
    forged = Event("connector.subscription.disabled", "evt_1", 1_700_000_000_000_000, 3, b"{}")
    world.decoder.outcomes[b"forged"] = forged
    world.start([subscription("operations", events=("connector.**",)), subscription("partner")])
    world.cluster.append("post.created", b"forged")
    world.fill(1)

    await asyncio.sleep(3)

    assert (world.accepted("operations"), world.accepted("partner")) == (0, 1)
    (dead,) = world.cluster.letters(dead_letters_topic(PREFIX))
    poison = decode_dead(dead.headers)
    assert isinstance(poison, DecodedPoison)
    assert poison.trail.code == "unmapped"
    assert poison.trail.detail == (
        "The event's type 'connector.subscription.disabled' begins with 'connector.', which is kept for what "
        "the connector itself tells: map it to another."
    )
    assert world.problems() == []


@virtual
async def test_what_comes_from_our_own_topic_is_no_forgery() -> None:
    world = World.new()
    ours = Event("connector.subscription.disabled", "evt_1", 1_700_000_000_000_000, 3, b"{}")
    world.decoder.outcomes[b"ours"] = ours
    world.start([subscription("operations", events=("connector.**",))], [TopicPartition(EVENTS, 0)])
    world.cluster.append(EVENTS, b"ours")

    await asyncio.sleep(3)

    assert world.accepted("operations") == 1
