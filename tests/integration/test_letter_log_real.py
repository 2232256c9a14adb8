"""A log read by hand keeps its contract on a real Apache Kafka, and where an operator has cut it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from confluent_kafka import TopicPartition as ClientPartition

from connector.engine.letter_log import Extent, Unreadable
from connector.engine.ports import TopicPartition
from connector.kafka.letter_log import KafkaLetterLog
from deploy.testbed import KafkaCluster
from tests.contracts.letter_log_contract import LetterLogContract, read_all
from tests.support.kafka_beds import ApacheBed
from tests.support.names import Names


class TestApacheKafka(LetterLogContract):
    @pytest.fixture
    def bed(self, kafka: KafkaCluster, names: Names) -> ApacheBed:
        return ApacheBed(kafka, names)

    @pytest.fixture
    async def letters(self, bed: ApacheBed) -> AsyncIterator[KafkaLetterLog]:
        letters = KafkaLetterLog(bed.access, name=bed.names.group)
        yield letters
        await letters.close()

    async def test_where_the_log_was_cut_it_is_read_on_at_its_start(
        self, bed: ApacheBed, letters: KafkaLetterLog, two: list[TopicPartition]
    ) -> None:
        bed.produce(two[0].topic, [b"0", b"1", b"2", b"3"])
        cut = ClientPartition(two[0].topic, 0, 3)
        admin = bed.kafka.admin()  # kept: a future of a client that is gone never ends
        admin.delete_records([cut], request_timeout=10)[cut].result(10)

        with pytest.raises(Unreadable):
            await letters.read(two[0], 1, 4)
        extents = await letters.extents(two[0].topic)

        assert extents[0] == Extent(topic_id=extents[0].topic_id, start=3, end=4)
        assert extents[0].topic_id
        assert await read_all(letters, two[0], 3, 4) == [b"3"]

    async def test_no_group_comes_to_be(
        self, bed: ApacheBed, letters: KafkaLetterLog, two: list[TopicPartition]
    ) -> None:
        bed.produce(two[0].topic, [b"1"])
        await read_all(letters, two[0], 0, 1)

        groups = bed.kafka.admin().list_consumer_groups(request_timeout=10).result().valid

        assert [group.group_id for group in groups if group.group_id == bed.names.group] == []
