"""What happens to topics while they are read: made anew, cut by retention, given more partitions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from confluent_kafka.admin import NewPartitions

from connector.engine.ports import TopicPartition
from deploy.testbed import KafkaCluster
from tests.support.joining import Join, joining, make_topics
from tests.support.kafka_beds import ApacheBed
from tests.support.names import Names


@pytest.fixture
def bed(kafka: KafkaCluster, names: Names) -> ApacheBed:
    bed = ApacheBed(kafka, names)
    make_topics(bed)
    return bed


@pytest.fixture
def tp(names: Names) -> TopicPartition:
    return TopicPartition(names.topic(), 0)


@pytest.fixture(params=["classic", "consumer"])
async def join(request: pytest.FixtureRequest, bed: ApacheBed) -> AsyncIterator[Join]:
    async with joining(bed, protocol=request.param, look_every_ms=300) as join:
        yield join


async def make_anew(bed: ApacheBed, topic: str) -> None:
    await asyncio.to_thread(bed.kafka.delete_topic, topic)
    await asyncio.to_thread(bed.create_topic, topic)


@pytest.mark.parametrize("count", [2, 40])
async def test_a_topic_made_anew_while_it_is_read_is_read_from_its_beginning(
    bed: ApacheBed, join: Join, tp: TopicPartition, count: int
) -> None:
    bed.produce(tp.topic, [b"old"] * 10)
    source, recorder = await join()
    await recorder.until_read(tp, 10)
    await recorder.commit(tp, 10)
    first = recorder.live[tp]

    await make_anew(bed, tp.topic)
    bed.produce(tp.topic, [b"new-%d" % n for n in range(count)])
    await recorder.until(lambda: recorder.live.get(tp, first) is not first, "a new epoch")
    # The old epoch may have read the end of the new log before anybody noticed: its beginning follows.
    new = {b"new-%d" % n for n in range(count)}
    await recorder.until(lambda: new <= set(recorder.values(tp)), "the new records")
    second = recorder.live[tp]
    source.commit([recorder.commit_of(tp, count)])
    await recorder.until(lambda: recorder.results[-1].commit.epoch == second.epoch, "the commit")

    assert set(recorder.values(tp)) == {b"old"} | new
    assert any(jump.reason == "recreated" for jump in recorder.jumps)
    assert second.epoch != first.epoch
    assert second.topic_id != first.topic_id
    assert recorder.records[tp][-1].topic_id == second.topic_id
    assert bed.committed(tp)[0] == count


async def test_a_topic_made_anew_while_nobody_read_it_is_read_from_its_beginning(
    bed: ApacheBed, join: Join, tp: TopicPartition
) -> None:
    bed.produce(tp.topic, [b"old"] * 3)
    source, recorder = await join()
    await recorder.until_read(tp, 3)
    await recorder.commit(tp, 3)
    await source.close()

    await make_anew(bed, tp.topic)
    bed.produce(tp.topic, [b"new-%d" % n for n in range(5)])
    _, again = await join(start="latest")
    await again.until_read(tp, 5)

    assert again.values(tp) == [b"new-0", b"new-1", b"new-2", b"new-3", b"new-4"]
    assert [jump.reason for jump in again.jumps] == ["recreated"]


async def test_partitions_added_to_a_topic_that_was_begun_are_read_from_zero(
    bed: ApacheBed, join: Join, tp: TopicPartition
) -> None:
    _, recorder = await join(start="latest")
    await recorder.until_assigned(1)

    admin = bed.kafka.admin()
    admin.create_partitions([NewPartitions(tp.topic, 2)])[tp.topic].result(20)
    added = TopicPartition(tp.topic, 1)
    bed.produce(tp.topic, [b"first"], partition=1)
    await recorder.until_read(added, 1)

    assert recorder.live[added].position == 0
    assert recorder.values(added) == [b"first"]


async def test_metadata_over_the_brokers_limit_is_told_apart(
    bed: ApacheBed, join: Join, tp: TopicPartition
) -> None:
    source, recorder = await join()
    await recorder.until_assigned(1)

    source.commit([recorder.commit_of(tp, 0, "x" * 5_000)])
    await recorder.until(lambda: bool(recorder.results), "the answer")

    assert recorder.results[0].is_metadata_refused
