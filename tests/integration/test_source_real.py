"""A member of a consumer group keeps the source contract on a real Apache Kafka."""

from __future__ import annotations

import pytest

from deploy.testbed import KafkaCluster
from tests.support.kafka_beds import ApacheBed
from tests.support.names import Names
from tests.support.source_contract import KafkaSourceContract


class OnApacheKafka:
    @pytest.fixture
    def bed(self, kafka: KafkaCluster, names: Names) -> ApacheBed:
        return ApacheBed(kafka, names)


class TestCooperative(OnApacheKafka, KafkaSourceContract):
    pass


class TestEager(OnApacheKafka, KafkaSourceContract):
    strategy = "range"


class TestConsumerProtocol(OnApacheKafka, KafkaSourceContract):
    protocol = "consumer"
