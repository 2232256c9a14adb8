"""A partition that is held because its log was cut: where an operator's word ends the hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka import TopicPartition as ClientPartition

from connector.core.topic_names import sources_topic
from connector.engine.ports import TopicPartition
from connector.kafka.member import MemberSettings
from connector.kafka.source import KafkaSource
from deploy.testbed import KafkaCluster
from tests.support.kafka_beds import ApacheBed, make_source
from tests.support.names import Names
from tests.support.reading import Recorder

Join = Callable[[], Awaitable[tuple[KafkaSource, Recorder]]]


@pytest.fixture
def bed(kafka: KafkaCluster, names: Names) -> ApacheBed:
    bed = ApacheBed(kafka, names)
    bed.create_topic(sources_topic(names.prefix))
    bed.create_topic(names.topic())
    return bed


@pytest.fixture
def tp(names: Names) -> TopicPartition:
    return TopicPartition(names.topic(), 0)


@pytest.fixture(params=["classic", "consumer"])
async def join(request: pytest.FixtureRequest, bed: ApacheBed) -> AsyncIterator[Join]:
    joined: list[KafkaSource] = []

    async def start() -> tuple[KafkaSource, Recorder]:
        settings = MemberSettings(
            group=bed.names.group, start="earliest", protocol=request.param, look_every_ms=300
        )
        source = make_source(bed, settings)
        joined.append(source)
        recorder = Recorder()
        recorder.own(source, [bed.names.topic()])
        return source, recorder

    yield start
    await asyncio.gather(*(source.close() for source in joined))


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
    source.commit([recorder.commit_of(tp, 10)])  # as if there had been a tenth
    await recorder.until(lambda: bool(recorder.results), "the commit")
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
    source.commit([recorder.commit_of(tp, max(said, 10))])  # 10: the very offset it was held at
    await recorder.until(lambda: bool(recorder.results), "the commit")
    await source.close()
    _, last = await join()
    await last.until_read(tp, 14 - max(said, 10))

    assert [record.offset for record in recorder.records[tp]] == list(range(said, 14))
    assert [record.offset for record in last.records[tp]] == list(range(max(said, 10), 14))
    assert recorder.faults == last.faults == []
