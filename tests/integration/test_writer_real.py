"""The writer keeps its contract on a real Apache Kafka."""

from __future__ import annotations

import pytest

from connector.kafka.writer import KafkaWriter, WriterSettings
from deploy.testbed import KafkaCluster
from tests.support.kafka_beds import ApacheBed
from tests.support.names import Names
from tests.support.writer_contract import KafkaWriterContract, begin_write


class TestApacheKafka(KafkaWriterContract):
    @pytest.fixture
    def bed(self, kafka: KafkaCluster, names: Names) -> ApacheBed:
        return ApacheBed(kafka, names)

    async def test_a_topic_that_does_not_exist_is_missing(self, bed: ApacheBed) -> None:
        writer = KafkaWriter(bed.access, WriterSettings(), faulted=lambda what: None)

        result = await begin_write(writer, bed.names.topic("nowhere"))
        await writer.close()

        assert result is not None
        assert result.fault == "missing-topic"

    async def test_a_record_larger_than_the_topic_takes_is_too_large(
        self, bed: ApacheBed, writer: KafkaWriter
    ) -> None:
        topic = bed.names.topic()
        bed.kafka.create_topic(topic, max_message_bytes=10_000)

        result = await begin_write(writer, topic, b"".join(b"%d" % (n * n) for n in range(20_000)))

        assert result is not None
        assert result.fault == "too-large"
