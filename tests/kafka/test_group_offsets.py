"""What a group has committed, asked from outside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from connector.engine.ports import TopicPartition
from connector.kafka.cluster import Cluster
from connector.kafka.errors import KafkaTrouble
from connector.kafka.group_offsets import committed_of_group
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


class StartingCoordinator:
    """In the client's place: every time it is asked the coordinator is starting, and says so at once."""

    waited_s: ClassVar[list[float]] = []

    def __init__(self, properties: object) -> None: ...

    def committed(self, partitions: object, *, timeout: float) -> None:
        self.waited_s.append(timeout)
        raise KafkaException(KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS))

    def close(self) -> None: ...


def test_a_coordinator_that_goes_on_starting_gets_no_more_than_the_time_of_one_call(
    mock: MockCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.kafka.group_offsets.Consumer", StartingCoordinator)

    with pytest.raises(KafkaTrouble, match="COORDINATOR_LOAD_IN_PROGRESS"):
        committed_of_group(mock.access, "orders", [ONE], timeout_s=1)

    assert StartingCoordinator.waited_s[0] == 1
    # Each is asked a tenth of a second after the one before, at the earliest.
    assert all(0 < waited_s <= 1 - 0.1 * n for n, waited_s in enumerate(StartingCoordinator.waited_s))


def test_a_refusal_is_told_and_nothing_is_guessed(mock: MockCluster, cluster: Cluster) -> None:
    mock.fail_requests(OFFSET_FETCH, [KafkaError.GROUP_AUTHORIZATION_FAILED])

    with pytest.raises(KafkaTrouble, match=r"committed offsets cannot be read: .*GROUP_AUTHORIZATION_FAILED"):
        cluster.committed("orders", [ONE])
