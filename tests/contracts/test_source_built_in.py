"""A member of a consumer group keeps the source contract on the built-in cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.kafka.mock_cluster import MockCluster
from tests.support.kafka_beds import BuiltInBed
from tests.support.names import Names
from tests.support.source_contract import SourceContract


class BuiltIn:
    @pytest.fixture
    def bed(self, names: Names) -> Iterator[BuiltInBed]:
        with MockCluster() as mock:
            yield BuiltInBed(mock, names)


class TestCooperative(BuiltIn, SourceContract):
    pass


class TestEager(BuiltIn, SourceContract):
    strategy = "range"


class TestConsumerProtocol(BuiltIn, SourceContract):
    protocol = "consumer"
