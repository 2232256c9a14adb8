"""A log read by hand keeps its contract on the built-in cluster, and when that cluster is away."""

from __future__ import annotations

import asyncio
import threading
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
from tests.support.waiting import wait_until

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

    async def test_closed_in_the_middle_of_a_call_it_waits_a_second_and_leaves_no_thread_behind(
        self, bed: BuiltInBed, letters: KafkaLetterLog, two: list[TopicPartition]
    ) -> None:
        bed.produce(two[0].topic, [b"1"])
        await read_all(letters, two[0], 0, 1)
        bed.mock.take_down([1])
        asked = asyncio.ensure_future(letters.extents(two[0].topic))
        await asyncio.sleep(0)

        await asyncio.wait_for(letters.close(), timeout=4)
        bed.mock.bring_up([1])

        with pytest.raises(Unreadable):
            await asked
        wait_until(lambda: not _threads(), "its thread has ended")

    async def test_whoever_does_not_wait_for_the_close_leaves_no_thread_behind_either(
        self, bed: BuiltInBed, letters: KafkaLetterLog, two: list[TopicPartition]
    ) -> None:
        bed.produce(two[0].topic, [b"1"])
        await read_all(letters, two[0], 0, 1)
        asked = asyncio.ensure_future(letters.read(two[1], 0, 1))
        await asyncio.sleep(0)

        closing = asyncio.ensure_future(letters.close())
        await asyncio.sleep(0)
        closing.cancel()

        assert (await asked).records == []
        wait_until(lambda: not _threads(), "its thread has ended")

    async def test_closed_once_it_may_be_closed_again_and_reads_nothing_more(
        self, letters: KafkaLetterLog, two: list[TopicPartition]
    ) -> None:
        await letters.close()

        await letters.close()

        with pytest.raises(Unreadable, match="closed"):
            await letters.read(two[0], 0, 1)


def _threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("kafka letters")]
