"""Clusters for tests of the Kafka adapter: the built-in one and a real one behind one face."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from confluent_kafka import Producer

from connector.engine.ports import Capabilities
from connector.kafka.access import Access, Property
from connector.kafka.cluster import APACHE_KAFKA
from connector.kafka.member import MemberSettings
from connector.kafka.mock_cluster import CAPABILITIES, MockCluster
from connector.kafka.source import KafkaSource
from deploy.testbed import KafkaCluster
from tests.support.names import Names

Header = tuple[str, bytes | None]


class Bed(Protocol):
    """A cluster under test, and the names this test may use on it."""

    access: Access
    capabilities: Capabilities
    names: Names

    def create_topic(self, name: str, partitions: int = 1) -> None: ...


@dataclass
class BuiltInBed:
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
class ApacheBed:
    """A real Apache Kafka; ``kafka`` deletes topics and sets them up in other ways."""

    kafka: KafkaCluster
    names: Names
    capabilities: Capabilities = APACHE_KAFKA
    access: Access = field(init=False)

    def __post_init__(self) -> None:
        self.access = Access(bootstrap_servers=self.kafka.bootstrap_servers)

    def create_topic(self, name: str, partitions: int = 1) -> None:
        self.kafka.create_topic(name, partitions=partitions)


def produce(
    bed: Bed,
    topic: str,
    values: Iterable[bytes | None],
    *,
    partition: int = 0,
    headers: Sequence[Header] = (),
) -> None:
    """Append ``values`` and wait until the broker has them."""
    producer = Producer({"bootstrap.servers": bed.access.bootstrap_servers, "linger.ms": 0})
    for value in values:
        producer.produce(topic, value=value, partition=partition, headers=list(headers))
    assert producer.flush(20) == 0


_QUICK_GROUP: dict[str, Property] = {"session.timeout.ms": 1_500, "heartbeat.interval.ms": 100}
"""A classic group then notices within a second who left; the other protocol has it from the broker."""


def make_source(bed: Bed, settings: MemberSettings) -> KafkaSource:
    """A member whose sources topic is that of the names' prefix; the topic must exist."""
    access = bed.access
    if settings.protocol == "classic":
        access = replace(access, properties={**access.properties, **_QUICK_GROUP})
    return KafkaSource(settings, access=access, prefix=bed.names.prefix, capabilities=bed.capabilities)
