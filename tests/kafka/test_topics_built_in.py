"""What the built-in cluster can say of topics, and what it cannot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.core.start import StartAtTime
from connector.core.topic_check import TopicSpec
from connector.engine.ports import TopicPartition
from connector.kafka.access import Access
from connector.kafka.cluster import Cluster
from connector.kafka.errors import KafkaTrouble
from connector.kafka.mock_cluster import CAPABILITIES, MockCluster
from connector.kafka.topics import Topics


@pytest.fixture
def mock() -> Iterator[MockCluster]:
    with MockCluster(brokers=2) as cluster:
        yield cluster


async def test_topics_and_brokers_are_listed(mock: MockCluster) -> None:
    mock.create_topic("a", 3)
    topics = Topics(mock.access, CAPABILITIES)

    looks = await topics.look(["a", "b"])

    assert await topics.brokers() == [1, 2]
    assert await topics.names() == ["a"]
    assert (looks["a"].partitions, looks["a"].id, looks["a"].absence) == (3, "", "")
    assert looks["b"].absence == "missing"


async def test_what_it_cannot_create_is_reported_and_what_it_cannot_describe_is_believed(
    mock: MockCluster,
) -> None:
    mock.create_topic("hooks.parked", 2)
    specs = [
        TopicSpec(name="hooks.parked", role="parked", partitions=2, message_bytes_max=1_000_000),
        TopicSpec(name="hooks.sources", role="state", partitions=1, message_bytes_max=1_000_000),
    ]

    problems = await Topics(mock.access, CAPABILITIES).ensure(
        specs, may_create=True, allow_single_replica=True
    )

    assert [(problem.topic, problem.what) for problem in problems] == [("hooks.sources", "it does not exist")]


def test_a_start_by_time_is_refused_where_times_cannot_be_looked_up(mock: MockCluster) -> None:
    mock.create_topic("a")
    cluster = Cluster(mock.access, CAPABILITIES)

    with pytest.raises(KafkaTrouble, match="cannot look up offsets by time") as trouble:
        cluster.offsets([TopicPartition("a", 0)], StartAtTime(1))

    assert trouble.value.is_fatal


def test_a_client_setting_that_the_library_refuses_is_told_without_its_secret() -> None:
    access = Access(
        bootstrap_servers="127.0.0.1:1",
        properties={"sasl.password": "hunter2", "security.protocol": "hunter2"},
    )

    with pytest.raises(KafkaTrouble, match=r"security\.protocol") as trouble:
        Cluster(access, CAPABILITIES)

    assert "hunter2" not in trouble.value.what
