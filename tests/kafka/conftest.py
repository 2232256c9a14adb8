"""A member of a group on a built-in cluster of the test's own, which may misbehave."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from connector.engine.ports import TopicPartition
from connector.kafka.mock_cluster import MockCluster
from tests.support.joining import Join, joining, make_topics
from tests.support.kafka_beds import BuiltInBed
from tests.support.names import Names


@pytest.fixture
def bed(names: Names) -> Iterator[BuiltInBed]:
    with MockCluster(brokers=3) as mock:
        bed = BuiltInBed(mock, names)
        make_topics(bed)
        yield bed


@pytest.fixture
def tp(names: Names) -> TopicPartition:
    return TopicPartition(names.topic(), 0)


@pytest.fixture
async def join(bed: BuiltInBed) -> AsyncIterator[Join]:
    async with joining(bed, look_every_ms=200) as join:
        yield join
