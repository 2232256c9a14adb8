"""Fixtures: Kafka's built-in cluster. Import them to use them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.kafka.mock_cluster import MockCluster


@pytest.fixture
def mock_kafka() -> Iterator[MockCluster]:
    """One broker, no topics, groups that assemble at once; of this test alone."""
    with MockCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def shared_mock_kafka() -> Iterator[MockCluster]:
    """The same, shared by a module: its start may take a second. Keep to names of your own, and mend
    what you break."""
    with MockCluster() as cluster:
        yield cluster
