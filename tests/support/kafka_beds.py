"""Clusters for tests of the Kafka adapter: the built-in one and a real one behind one face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer
from confluent_kafka import TopicPartition as ClientPartition

from connector.core.record import Record
from connector.engine.ports import Capabilities, TopicPartition
from connector.kafka.access import Access, Property
from connector.kafka.cluster import APACHE_KAFKA
from connector.kafka.member import MemberSettings
from connector.kafka.mock_cluster import CAPABILITIES, MockCluster
from connector.kafka.source import KafkaSource
from connector.kafka.writer import KafkaWriter, WriterSettings
from deploy.testbed import KafkaCluster
from tests.support.names import Names

Header = tuple[str, bytes | None]


class _Reachable:
    """What tests do on a cluster as clients of their own, not by way of the adapter."""

    access: Access
    names: Names

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        *,
        partition: int = 0,
        headers: Sequence[Header] = (),
    ) -> None:
        """Append ``values`` and wait until the broker has them."""
        producer = Producer({"bootstrap.servers": self.access.bootstrap_servers, "linger.ms": 0})
        for value in values:
            producer.produce(topic, value=value, partition=partition, headers=list(headers))
        assert producer.flush(20) == 0

    def committed(self, tp: TopicPartition) -> tuple[int, str]:
        """What the test's group has committed, and its metadata."""
        with self._consumer(self.names.group) as consumer:
            found = consumer.committed([ClientPartition(tp.topic, tp.partition)], timeout=10)[0]
            return found.offset, found.metadata or ""

    def read_back(self, topic: str, count: int) -> list[Record]:
        """The first ``count`` records of the topic's first partition."""
        with self._consumer("reader") as consumer:
            consumer.assign([ClientPartition(topic, 0, OFFSET_BEGINNING)])
            found: list[Message] = []
            for _ in range(100):
                found += [m for m in consumer.consume(count - len(found), 0.2) if m.error() is None]
                if len(found) == count:
                    return [_record(message) for message in found]
        raise AssertionError(f"only {len(found)} of {count} records in {topic}")

    def writer(self) -> KafkaWriter:
        return KafkaWriter(self.access, WriterSettings(delivery_timeout_ms=5_000), faulted=lambda what: None)

    @contextmanager
    def _consumer(self, group: str) -> Iterator[Consumer]:
        consumer = Consumer({"bootstrap.servers": self.access.bootstrap_servers, "group.id": group})
        try:
            yield consumer
        finally:
            consumer.close()


@dataclass
class BuiltInBed(_Reachable):
    """librdkafka's own cluster; ``mock`` injects faults."""

    mock: MockCluster
    names: Names
    capabilities: Capabilities = CAPABILITIES
    access: Access = field(init=False)

    def __post_init__(self) -> None:
        self.access = self.mock.access

    def create_topic(self, name: str, partitions: int = 1) -> None:
        self.mock.create_topic(name, partitions)


@dataclass
class ApacheBed(_Reachable):
    """A real Apache Kafka; ``kafka`` deletes topics and sets them up in other ways."""

    kafka: KafkaCluster
    names: Names
    capabilities: Capabilities = APACHE_KAFKA
    access: Access = field(init=False)

    def __post_init__(self) -> None:
        self.access = Access(bootstrap_servers=self.kafka.bootstrap_servers)

    def create_topic(self, name: str, partitions: int = 1) -> None:
        self.kafka.create_topic(name, partitions=partitions)


def _record(message: Message) -> Record:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    return Record(
        topic,
        partition,
        offset,
        message.timestamp()[1],
        message.key(),
        message.value(),
        cast(list[Header] | None, message.headers()) or (),  # the client gives it so, and types it wider
    )


Bed = BuiltInBed | ApacheBed
"""A cluster under test, and the names this test may use on it."""


_QUICK_GROUP: dict[str, Property] = {"session.timeout.ms": 3_000, "heartbeat.interval.ms": 100}
"""A classic group then notices within three seconds who left; the other protocol has it from the broker."""


def make_source(bed: Bed, settings: MemberSettings) -> KafkaSource:
    """A member whose sources topic is that of the names' prefix; the topic must exist."""
    access = bed.access
    if settings.protocol == "classic":
        access = replace(access, properties={**access.properties, **_QUICK_GROUP})
    return KafkaSource(settings, access=access, prefix=bed.names.prefix, capabilities=bed.capabilities)
