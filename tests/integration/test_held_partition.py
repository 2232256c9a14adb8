"""A partition that is held because its log was cut: where an operator's word ends the hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka import TopicPartition as ClientPartition

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


def reset_offset(bed: ApacheBed, tp: TopicPartition, offset: int) -> None:
    """As kafka-consumer-groups.sh --reset-offsets does."""
    wanted = ClientPartition(tp.topic, tp.partition, offset)
    request = ConsumerGroupTopicPartitions(bed.names.group, [wanted])
    admin = bed.kafka.admin()
    futures = admin.alter_consumer_group_offsets([request])
    futures[bed.names.group].result(20)


@pytest.mark.parametrize("said", [9, 12])  # where the log was cut, and beyond all that was read of it
async def test_a_held_partition_is_read_from_where_the_operator_says_and_the_hold_is_forgotten(
    bed: ApacheBed, join: Join, tp: TopicPartition, said: int
) -> None:
    bed.produce(tp.topic, [b"old"] * 9)
    source, recorder = await join()
    await recorder.until_read(tp, 9)
    await recorder.commit(tp, 10)  # as if there had been a tenth
    await source.close()
    source, recorder = await join()
    await recorder.until_fault("is held", "--to-offset 9 ")
    bed.produce(tp.topic, [b"%d" % n for n in range(9, 14)])
    await source.close()
    source, recorder = await join()
    await recorder.until_fault("is held", "--to-offset 9 ")
    await source.close()

    await asyncio.to_thread(reset_offset, bed, tp, said)
    source, recorder = await join()
    await recorder.until_read(tp, 14 - said)
    await recorder.commit(tp, max(said, 10))  # 10: the very offset it was held at
    await source.close()
    _, last = await join()
    await last.until_read(tp, 14 - max(said, 10))

    assert [record.offset for record in recorder.records[tp]] == list(range(said, 14))
    assert [record.offset for record in last.records[tp]] == list(range(max(said, 10), 14))
    assert recorder.faults == last.faults == []
