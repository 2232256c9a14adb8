"""A reader outside every group keeps its contract on the built-in cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.kafka.mock_cluster import MockCluster
from tests.support.kafka_beds import BuiltInBed
from tests.support.names import Names
from tests.support.peek_contract import PeekContract


class TestBuiltIn(PeekContract):
    @pytest.fixture
    def bed(self, names: Names) -> Iterator[BuiltInBed]:
        with MockCluster() as mock:
            yield BuiltInBed(mock, names)
