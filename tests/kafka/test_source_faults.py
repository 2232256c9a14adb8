"""A member of a group when the cluster misbehaves, on the built-in cluster."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from connector.engine.ports import TopicPartition
from connector.kafka.access import Access
from connector.kafka.member import MemberSettings
from connector.kafka.mock_cluster import HEARTBEAT, METADATA, OFFSET_COMMIT
from connector.kafka.source import KafkaSource
from tests.support.joining import Join
from tests.support.kafka_beds import BuiltInBed
from tests.support.reading import Recorder

pytestmark = pytest.mark.slow


# ── commits ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "error",
    [
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    ],
)
async def test_a_refused_commit_can_be_asked_again(
    bed: BuiltInBed, join: Join, tp: TopicPartition, error: int
) -> None:
    bed.produce(tp.topic, [b"1", b"2"])
    source, recorder = await join()
    await recorder.until_read(tp, 2)
    bed.mock.fail_requests(OFFSET_COMMIT, [error])

    async with asyncio.timeout(20):  # some of these make the client join again, in a new epoch
        while not any(result.error == "" for result in recorder.results):
            source.commit([recorder.commit_of(tp, 2) for tp in recorder.live])
            await asyncio.sleep(0.1)

    assert bed.committed(tp)[0] == 2
    assert not any(is_fatal for _, is_fatal in recorder.faults)


async def test_metadata_that_is_too_long_is_told_apart(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    source, recorder = await join()
    await recorder.until_assigned(1)
    bed.mock.fail_requests(OFFSET_COMMIT, [KafkaError.OFFSET_METADATA_TOO_LARGE])

    source.commit([recorder.commit_of(tp, 0, "long")])
    await recorder.until(lambda: bool(recorder.results), "the answer")

    assert recorder.results[0].is_metadata_refused


async def test_the_last_commit_is_made_without_metadata_that_is_too_long(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    bed.produce(tp.topic, [b"1"])
    source, recorder = await join()
    await recorder.until_read(tp, 1)
    recorder.last_commits = lambda tps: [recorder.commit_of(tp, 1, "long")]
    bed.mock.fail_requests(OFFSET_COMMIT, [KafkaError.OFFSET_METADATA_TOO_LARGE])

    await source.close()

    assert bed.committed(tp) == (1, "")


async def test_the_last_commit_does_not_wait_long_for_a_cluster_that_is_away(
    bed: BuiltInBed, tp: TopicPartition
) -> None:
    bed.produce(tp.topic, [b"1"])
    settings = MemberSettings(group=bed.names.group, start="earliest")
    source = KafkaSource(  # with the client's own session timeout, 45 s
        settings, access=bed.access, prefix=bed.names.prefix, capabilities=bed.capabilities
    )
    recorder = Recorder()
    recorder.own(source, [tp.topic])
    await recorder.until_read(tp, 1)
    recorder.last_commits = lambda tps: [recorder.commit_of(tp, 1)]
    bed.mock.take_down([1, 2, 3])

    async with asyncio.timeout(15):
        await source.close()

    assert any("the last commit before handing back failed" in what for what, _ in recorder.faults)


# ── outages ─────────────────────────────────────────────────────────────────────────────────────


async def test_brokers_that_come_back_are_read_on_without_loss_or_repetition(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    bed.produce(tp.topic, [b"1", b"2"])
    source, recorder = await join()
    await recorder.until_read(tp, 2)

    bed.mock.take_down([1, 2, 3])
    source.commit([recorder.commit_of(tp, 2)])
    bed.mock.bring_up([1, 2, 3])
    bed.produce(tp.topic, [b"3"])
    await recorder.until_read(tp, 3)

    assert recorder.values(tp) == [b"1", b"2", b"3"]


async def test_leader_and_coordinator_may_move(bed: BuiltInBed, join: Join, tp: TopicPartition) -> None:
    bed.mock.set_leader(tp.topic, 0, 1)
    bed.mock.set_coordinator(bed.names.group, 1)
    bed.produce(tp.topic, [b"1"])
    _, recorder = await join()
    await recorder.until_read(tp, 1)

    bed.mock.set_leader(tp.topic, 0, 2)
    bed.mock.set_coordinator(bed.names.group, 3)
    bed.produce(tp.topic, [b"2"])
    await recorder.until_read(tp, 2)

    assert recorder.values(tp) == [b"1", b"2"]


async def test_a_forbidden_topic_is_told_again_and_again_while_others_flow(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    forbidden = bed.names.topic("forbidden")
    bed.create_topic(forbidden)
    bed.mock.fail_topic(forbidden, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    bed.produce(tp.topic, [b"1"])
    source, recorder = await join()

    source.subscribe([tp.topic, forbidden])
    await recorder.until_read(tp, 1)
    await recorder.until(
        lambda: sum(forbidden in what for what, _ in recorder.faults) >= 2, "the fault to be repeated"
    )

    assert not any(is_fatal for _, is_fatal in recorder.faults)


async def test_partitions_taken_away_by_the_group_are_lost_without_a_commit(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    bed.produce(tp.topic, [b"1", b"2"])
    _, recorder = await join()
    await recorder.until_read(tp, 2)
    recorder.last_commits = lambda tps: [recorder.commit_of(tp, 2)]

    bed.mock.fail_requests(HEARTBEAT, [KafkaError.UNKNOWN_MEMBER_ID])
    await recorder.until(lambda: ("lost", tp) in recorder.log, "the loss")
    await recorder.until_assigned(1)
    await recorder.until_read(tp, 4)

    assert bed.committed(tp)[0] < 0
    assert recorder.values(tp) == [b"1", b"2", b"1", b"2"]
    assert len({assignment.epoch for assignment in recorder.ever}) == 2


# ── back-pressure ───────────────────────────────────────────────────────────────────────────────


async def test_long_starvation_loses_and_reorders_nothing(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    bed.produce(tp.topic, [b"%d" % n for n in range(1_000)])
    recorder = Recorder(is_granting=False)
    source, _ = await join(recorder, batch_records_max=100)
    source.grant()
    await recorder.until_read(tp, 1)  # a batch, of as many as one fetch brought

    await asyncio.sleep(2.5)  # past the point where everything is paused
    starved = len(recorder.batches)
    recorder.is_granting = True
    source.grant()
    await recorder.until_read(tp, 1_000)

    assert starved == 1
    assert [record.offset for record in recorder.records[tp]] == list(range(1_000))


async def test_a_starved_member_stays_in_its_group(bed: BuiltInBed, join: Join, tp: TopicPartition) -> None:
    recorder = Recorder(is_granting=False)
    source, _ = await join(recorder, poll_interval_max_ms=3_000, revoke_budget_ms=500)
    await recorder.until_assigned(1)

    await asyncio.sleep(4)  # longer than the group waits for a silent member
    for _ in range(3):
        source.grant()
    bed.produce(tp.topic, [b"1"])
    await recorder.until_read(tp, 1)

    assert [what for what, _ in recorder.log if what in ("lost", "revoking")] == []


# ── the end ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_callback_that_fails_ends_the_member_since_the_poll_it_broke_may_have_lost_records(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    def refuse(*_: object) -> None:
        raise KafkaException(KafkaError(KafkaError._STATE, "in a callback"))

    source, recorder = await join()
    await recorder.until_assigned(1)
    source._member._commit_requests.answered = refuse  # type: ignore[method-assign, assignment]  # to fail

    source.commit([recorder.commit_of(tp, 0)])
    await recorder.until_fault("in a callback")

    assert [is_fatal for _, is_fatal in recorder.faults] == [True]


async def test_looks_at_the_topics_that_end_unexpectedly_end_the_member(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    source, recorder = await join()
    await recorder.until_assigned(1)

    source._topics = 5  # type: ignore[assignment]  # no look can cope with it
    await recorder.until_fault("topics are not looked at any more", "TypeError")

    assert [is_fatal for _, is_fatal in recorder.faults] == [True]


async def test_a_client_that_refuses_partitions_ends_the_member(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    taken = bed.names.topic("taken")
    bed.create_topic(taken)
    source, recorder = await join(revoke_budget_ms=200)
    await recorder.until_assigned(1)
    source._bridge.ask(lambda: source._member._consumer.incremental_assign([ClientPartition(taken, 0, 0)]))

    source.subscribe([tp.topic, taken])
    await recorder.until_fault("already part of the current assignment")

    assert [is_fatal for _, is_fatal in recorder.faults] == [True]


async def test_a_member_that_is_fenced_says_so_once_and_for_all(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    properties = {**bed.access.properties, "group.instance.id": "pod-0"}
    bed.access = Access(bootstrap_servers=bed.access.bootstrap_servers, properties=properties)
    _, first = await join()
    await first.until_assigned(1)

    bed.mock.fail_requests(HEARTBEAT, [KafkaError.FENCED_INSTANCE_ID])
    await first.until(lambda: any(is_fatal for _, is_fatal in first.faults), "the end")

    assert "FENCED" in first.faults[-1][0].upper() or "fatal" in first.faults[-1][0].lower()


# ── settings ────────────────────────────────────────────────────────────────────────────────────


def test_a_drain_longer_than_the_group_waits_is_refused() -> None:
    with pytest.raises(ValueError, match="more than a third"):
        MemberSettings(group="g", revoke_budget_ms=10_001, poll_interval_max_ms=30_000)


async def test_metadata_that_fails_once_delays_but_does_not_stop(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    bed.produce(tp.topic, [b"1"])
    bed.mock.fail_requests(METADATA, [KafkaError.LEADER_NOT_AVAILABLE] * 2)

    _, recorder = await join()
    await recorder.until_read(tp, 1)

    assert recorder.values(tp) == [b"1"]
