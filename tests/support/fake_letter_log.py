"""A letter log in memory: reads the topics of a :class:`~tests.support.fake_kafka.Cluster` by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from connector.engine.letter_log import BITE_RECORDS_MAX, Bite, Extent, Unreadable
from connector.engine.ports import TopicPartition
from tests.support.fake_kafka import LATENCY_S, Cluster


class FakeLetterLog:
    """``reads`` are the places where reads began; ``latency_s`` is how long an answer takes, ``extents_s``
    how much longer one about extents does: a real log asks several times for it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.reads: list[tuple[TopicPartition, int]] = []
        self.latency_s = LATENCY_S
        self.extents_s = 0.0
        self.is_closed = False

    async def extents(self, topic: str) -> Mapping[int, Extent]:
        await self._answer(self.extents_s)
        if topic not in self._cluster.topics and topic not in self._cluster.partitions:
            raise Unreadable(f"topic {topic} is missing")
        return {p: self._extent(TopicPartition(topic, p)) for p in range(self._cluster.partitions[topic])}

    async def read(self, tp: TopicPartition, from_offset: int, to_offset: int) -> Bite:
        assert from_offset < to_offset, "there is something to read"
        self.reads.append((tp, from_offset))
        await self._answer()
        extent = self._extent(tp)
        if not extent.start <= from_offset <= extent.end:
            raise Unreadable(f"{from_offset} is not in the log")
        log = self._cluster.topics[tp.topic][tp.partition]
        records = log[from_offset:to_offset][:BITE_RECORDS_MAX]
        return Bite(records, from_offset + len(records))

    async def close(self) -> None:
        self.is_closed = True

    def _extent(self, tp: TopicPartition) -> Extent:
        start = self._cluster.log_starts[tp]
        end = max(start, len(self._cluster.topics[tp.topic][tp.partition]))
        return Extent(topic_id=self._cluster.topic_ids[tp.topic], start=start, end=end)

    async def _answer(self, longer_s: float = 0.0) -> None:
        assert not self.is_closed, "nothing is asked of what is closed"
        await asyncio.sleep(self.latency_s + longer_s)
        if self._cluster.is_unreadable:
            raise Unreadable("the brokers are down")
