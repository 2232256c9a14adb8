"""How far the connector's groups have committed, and where the topics end: asked of the cluster itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from connector.engine.ports import TopicPartition
from connector.kafka.cluster import Cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Offsets:
    """``committed`` has no entry for a partition without a commit."""

    committed: Mapping[TopicPartition, int] = field(default_factory=dict)
    ends: Mapping[TopicPartition, int] = field(default_factory=dict)

    def behind(self) -> dict[TopicPartition, int]:
        """How many offsets each partition still lacks; those that lack none are left out."""
        lacking = {tp: end - self.committed.get(tp, 0) for tp, end in self.ends.items()}
        return {tp: count for tp, count in lacking.items() if count > 0}

    def logged(self) -> int:
        """How many offsets exist."""
        return sum(self.ends.values())

    def together(self, other: Offsets) -> Offsets:
        """These and those of ``other``, of other partitions."""
        return Offsets(
            committed={**self.committed, **other.committed}, ends={**self.ends, **other.ends}
        )

    def of(self, topics: Iterable[str]) -> tuple[int, int]:
        """Committed and written offsets of these topics together."""
        wanted = set(topics)
        ends = {tp: end for tp, end in self.ends.items() if tp.topic in wanted}
        return sum(min(self.committed.get(tp, 0), end) for tp, end in ends.items()), sum(ends.values())


async def look_at(cluster: Cluster, group: str, tps: Iterable[TopicPartition]) -> Offsets:
    """Raises :class:`~connector.kafka.errors.KafkaTrouble`."""
    wanted = list(tps)

    def ask() -> Offsets:
        # The ends last: a commit is then never seen above its end.
        committed = cluster.committed(group, wanted)
        return Offsets(committed=committed, ends=cluster.offsets(wanted, "latest"))

    return await asyncio.to_thread(ask)
