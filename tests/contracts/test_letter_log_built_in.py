"""A log read by hand keeps its contract on the built-in cluster, and when that cluster is away."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from connector.engine.letter_log import Unreadable
from connector.engine.ports import TopicPartition
from connector.kafka.letter_log import KafkaLetterLog
from connector.kafka.mock_cluster import MockCluster
from tests.contracts.letter_log_contract import LetterLogContract, read_all
from tests.support.kafka_beds import BuiltInBed
from tests.support.mock_kafka import shared_mock_kafka
from tests.support.names import Names

__all__ = ["shared_mock_kafka"]


class TestBuiltIn(LetterLogContract):
    @pytest.fixture
    def bed(self, shared_mock_kafka: MockCluster, names: Names) -> BuiltInBed:
        return BuiltInBed(shared_mock_kafka, names)

    @pytest.fixture
    async def letters(self, bed: BuiltInBed) -> AsyncIterator[KafkaLetterLog]:
        letters = KafkaLetterLog(bed.access, name=bed.names.group, capabilities=bed.capabilities)
        yield letters
        await letters.close()

    async def test_while_the_cluster_is_away_nothing_is_read_and_afterwards_it_goes_on(
        self, bed: BuiltInBed, letters: KafkaLetterLog, two: list[TopicPartition]
    ) -> None:
        bed.produce(two[0].topic, [b"1", b"2"])
        before = await read_all(letters, two[0], 0, 1)

        bed.mock.take_down([1])
        with pytest.raises(Unreadable):
            await letters.extents(two[0].topic)
        waited = await letters.read(two[0], 1, 2)
        bed.mock.bring_up([1])

        assert (before, waited.records, waited.next_offset) == ([b"1"], [], 1)
        assert await read_all(letters, two[0], 1, 2) == [b"2"]
