"""What a group has committed, asked from outside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, KafkaError
from confluent_kafka import TopicPartition as ClientPartition

from connector.engine.ports import TopicPartition
from connector.kafka.cluster import Cluster
from connector.kafka.errors import KafkaTrouble
from connector.kafka.mock_cluster import CAPABILITIES, MockCluster

OFFSET_FETCH = 9
ONE, OTHER = TopicPartition("posts", 0), TopicPartition("posts", 1)


@pytest.fixture
def mock() -> Iterator[MockCluster]:
    with MockCluster(brokers=2) as cluster:
        cluster.create_topic("posts", 2)
        yield cluster


@pytest.fixture
def cluster(mock: MockCluster) -> Cluster:
    return Cluster(mock.access, CAPABILITIES)


def commit(mock: MockCluster, group: str, tp: TopicPartition, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": mock.access.bootstrap_servers, "group.id": group})
    consumer.commit(offsets=[ClientPartition(tp.topic, tp.partition, offset)], asynchronous=False)
    consumer.close()


def test_partitions_without_a_commit_are_left_out(mock: MockCluster, cluster: Cluster) -> None:
    commit(mock, "orders", ONE, 7)

    assert cluster.committed("orders", [ONE, OTHER]) == {ONE: 7}
    assert cluster.committed("another", [ONE]) == {}
    assert cluster.committed("orders", []) == {}


@pytest.mark.parametrize(
    "answer",
    [
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    ],
)
def test_a_coordinator_that_moves_or_starts_is_asked_again(
    mock: MockCluster, cluster: Cluster, answer: int
) -> None:
    """The administrator's way of asking ends the whole process here."""
    commit(mock, "orders", ONE, 7)
    mock.fail_requests(OFFSET_FETCH, [answer, answer])

    assert cluster.committed("orders", [ONE]) == {ONE: 7}


def test_a_refusal_is_told_and_nothing_is_guessed(mock: MockCluster, cluster: Cluster) -> None:
    mock.fail_requests(OFFSET_FETCH, [KafkaError.GROUP_AUTHORIZATION_FAILED])

    with pytest.raises(KafkaTrouble, match=r"committed offsets cannot be read: .*GROUP_AUTHORIZATION_FAILED"):
        cluster.committed("orders", [ONE])
