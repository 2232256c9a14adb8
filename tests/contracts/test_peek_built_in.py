"""A reader outside every group keeps its contract on the built-in cluster."""

from __future__ import annotations

import pytest

from connector.kafka.mock_cluster import MockCluster
from tests.support.kafka_beds import BuiltInBed
from tests.support.mock_kafka import shared_mock_kafka
from tests.support.names import Names
from tests.support.peek_contract import PeekContract

__all__ = ["shared_mock_kafka"]


class TestBuiltIn(PeekContract):
    @pytest.fixture
    def bed(self, shared_mock_kafka: MockCluster, names: Names) -> BuiltInBed:
        return BuiltInBed(shared_mock_kafka, names)
