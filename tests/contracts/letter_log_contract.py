"""What a log read by hand must do, on any cluster. A subclass gives ``bed`` and ``letters``."""

from __future__ import annotations

from typing import Any

import pytest

from connector.engine.letter_log import BITE_RECORDS_MAX, Extent, LetterLog, Unreadable
from connector.engine.ports import TopicPartition


async def read_all(letters: LetterLog, tp: TopicPartition, begin: int, end: int) -> list[bytes | None]:
    """The values from ``begin`` to ``end``, read bite by bite."""
    values: list[bytes | None] = []
    while begin < end:
        bite = await letters.read(tp, begin, end)
        assert len(bite.records) <= BITE_RECORDS_MAX
        values += [record.value for record in bite.records]
        begin = bite.next_offset
    assert begin == end, "no read goes further than it was to"
    return values


class LetterLogContract:
    @pytest.fixture
    def two(self, bed: Any) -> list[TopicPartition]:  # Any: every cluster has its own kind of bed
        bed.create_topic(bed.names.topic(), 2)
        return [TopicPartition(bed.names.topic(), p) for p in range(2)]

    async def test_every_partition_tells_where_it_starts_and_ends(
        self, bed: Any, letters: LetterLog, two: list[TopicPartition]
    ) -> None:
        bed.produce(two[1].topic, [b"1", b"2", b"3"], partition=1)

        extents = await letters.extents(two[0].topic)

        id_ = extents[0].topic_id
        assert extents == {
            0: Extent(topic_id=id_, start=0, end=0),
            1: Extent(topic_id=id_, start=0, end=3),
        }

    async def test_a_partition_is_read_bite_by_bite(
        self, bed: Any, letters: LetterLog, two: list[TopicPartition]
    ) -> None:
        values = [b"%d" % number for number in range(250)]
        bed.produce(two[0].topic, values)

        assert await read_all(letters, two[0], 0, 250) == values

    async def test_it_is_read_from_where_and_to_where_it_was_asked_for(
        self, bed: Any, letters: LetterLog, two: list[TopicPartition]
    ) -> None:
        bed.produce(two[0].topic, [b"0", b"1", b"2", b"3", b"4"])

        assert await read_all(letters, two[0], 1, 3) == [b"1", b"2"]
        assert await read_all(letters, two[0], 3, 5) == [b"3", b"4"]
        assert await read_all(letters, two[0], 0, 1) == [b"0"]

    async def test_partitions_may_be_read_in_turn(
        self, bed: Any, letters: LetterLog, two: list[TopicPartition]
    ) -> None:
        bed.produce(two[0].topic, [b"a", b"b"], partition=0)
        bed.produce(two[0].topic, [b"c", b"d"], partition=1)

        first = await read_all(letters, two[0], 0, 1)
        other = await read_all(letters, two[1], 0, 2)
        rest = await read_all(letters, two[0], 1, 2)

        assert (first, other, rest) == ([b"a"], [b"c", b"d"], [b"b"])

    async def test_records_come_with_key_headers_and_time(
        self, bed: Any, letters: LetterLog, two: list[TopicPartition]
    ) -> None:
        bed.produce(two[0].topic, [b"1"], headers=[("webhook.v", b"1")])

        bite = await letters.read(two[0], 0, 1)

        (record,) = bite.records
        assert (record.topic, record.partition, record.offset) == (two[0].topic, 0, 0)
        assert list(record.headers) == [("webhook.v", b"1")]
        assert record.timestamp_ms > 0

    async def test_an_offset_that_is_not_in_the_log_cannot_be_read(
        self, bed: Any, letters: LetterLog, two: list[TopicPartition]
    ) -> None:
        bed.produce(two[0].topic, [b"1"])

        with pytest.raises(Unreadable):
            await letters.read(two[0], 90, 91)

        assert await read_all(letters, two[0], 0, 1) == [b"1"]

    async def test_a_topic_that_is_not_there_says_so(self, bed: Any, letters: LetterLog) -> None:
        with pytest.raises(Unreadable, match="is missing"):
            await letters.extents(bed.names.topic("absent"))
