"""A member of a consumer group keeps the source contract on a real Apache Kafka."""

from __future__ import annotations

import pytest

from deploy.testbed import KafkaCluster
from tests.support.kafka_beds import ApacheBed
from tests.support.names import Names
from tests.support.source_contract import SourceContract


class OnApacheKafka:
    @pytest.fixture
    def bed(self, kafka: KafkaCluster, names: Names) -> ApacheBed:
        return ApacheBed(kafka, names)


class TestCooperative(OnApacheKafka, SourceContract):
    pass


class TestEager(OnApacheKafka, SourceContract):
    strategy = "range"


class TestConsumerProtocol(OnApacheKafka, SourceContract):
    protocol = "consumer"
