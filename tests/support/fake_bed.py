"""Kafka in memory as a cluster under test: what the contract suites ask of a bed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from connector.core.record import Record
from connector.engine.ports import Capabilities, TopicPartition
from tests.support.fake_kafka import CAPABILITIES, Cluster, FakeSource, FakeWriter
from tests.support.kafka_beds import Header
from tests.support.names import Names
from tests.support.simulated_group import Group
from tests.support.virtual_time import VirtualClock

REVOKE_BUDGET_MS = 2_000
NOTHING_COMMITTED = -1_001


@dataclass
class FakeBed:
    """A cluster in memory, and the one group that reads the test's topic."""

    names: Names
    capabilities: Capabilities = CAPABILITIES
    cluster: Cluster = field(default_factory=lambda: Cluster(VirtualClock()))
    group: Group | None = None

    def create_topic(self, name: str, partitions: int = 1) -> None:
        self.cluster.partitions[name] = partitions

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        *,
        partition: int = 0,
        headers: Sequence[Header] = (),
    ) -> None:
        for value in values:
            self.cluster.append(topic, value, partition=partition, headers=headers)

    def committed(self, tp: TopicPartition) -> tuple[int, str]:
        return self.cluster.committed.get((self.names.group, tp), (NOTHING_COMMITTED, ""))

    def member(self, *, batch_records_max: int = 500) -> FakeMember:
        topic = self.names.topic()
        if self.group is None:
            tps = [TopicPartition(topic, number) for number in range(self.cluster.partitions[topic])]
            self.group = Group(tps, InTurn())
        return FakeMember(self.cluster, self.names.group, self.group, batch_max=batch_records_max)

    def writer(self) -> FakeWriter:
        return FakeWriter(self.cluster)

    def read_back(self, topic: str, count: int) -> list[Record]:
        records = self.cluster.letters(topic)
        assert len(records) >= count, f"only {len(records)} of {count} records in {topic}"
        return records[:count]


class FakeMember(FakeSource):
    """A fake source that joins and leaves its group by itself, as a real one does."""

    def __init__(self, cluster: Cluster, name: str, group: Group, *, batch_max: int) -> None:
        super().__init__(cluster, name, batch_max=batch_max)
        self._group = group
        self._joining: asyncio.Task[None] | None = None

    def subscribe(self, topics: Sequence[str]) -> None:
        self._joining = asyncio.create_task(self._group.join(self))

    async def revoke(self, *tps: TopicPartition, budget_ms: int = REVOKE_BUDGET_MS) -> None:
        await super().revoke(*tps, budget_ms=REVOKE_BUDGET_MS)  # the member's own, whoever asks

    async def close(self) -> None:
        assert self._joining is not None
        await self._joining
        await super().close()
        if self in self._group.members:
            await self._group.leave(self)


class InTurn(Random):
    """Chooses one after the other, so that a group is spread evenly."""

    def __init__(self) -> None:
        super().__init__(0)
        self._turn = itertools.count()

    def choice(self, seq: Any) -> Any:  # Any: of whatever there is to choose from
        return seq[next(self._turn) % len(seq)]
