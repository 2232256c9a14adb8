"""A visitor of the board gets what the contract says on a real Apache Kafka."""

from __future__ import annotations

import pytest

from connector.kafka.board_visit import read_board
from connector.kafka.cluster import Cluster
from deploy.testbed import KafkaCluster
from tests.contracts.board_visit_contract import BoardVisitContract
from tests.support.kafka_beds import ApacheBed
from tests.support.names import Names


class TestApacheKafka(BoardVisitContract):
    @pytest.fixture
    def bed(self, kafka: KafkaCluster, names: Names) -> ApacheBed:
        return ApacheBed(kafka, names)

    @pytest.fixture
    def topic(self, bed: ApacheBed) -> str:
        topic = f"{bed.names.prefix}.shared"
        bed.kafka.create_topic(topic, cleanup_policy="compact")
        return topic

    async def test_no_group_comes_to_be(self, bed: ApacheBed, topic: str, cluster: Cluster) -> None:
        await read_board(topic, cluster)

        groups = bed.kafka.admin().list_consumer_groups(request_timeout=10).result().valid

        assert [group.group_id for group in groups if topic in group.group_id] == []
