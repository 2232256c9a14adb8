"""A fixture: Kafka's built-in cluster, new for each test. Import it to use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.kafka.mock_cluster import MockCluster


@pytest.fixture
def mock_kafka() -> Iterator[MockCluster]:
    """One broker, no topics, groups that assemble at once."""
    with MockCluster() as cluster:
        yield cluster
