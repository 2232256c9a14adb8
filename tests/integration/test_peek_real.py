"""A reader outside every group keeps its contract on a real Apache Kafka."""

from __future__ import annotations

import pytest

from deploy.testbed import KafkaCluster
from tests.support.kafka_beds import ApacheBed
from tests.support.names import Names
from tests.support.peek_contract import PeekContract


class TestApacheKafka(PeekContract):
    @pytest.fixture
    def bed(self, kafka: KafkaCluster, names: Names) -> ApacheBed:
        return ApacheBed(kafka, names)
