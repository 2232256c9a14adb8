"""What a group had committed at a moment: what a kill after it must not cause to be sent again.

What was in flight at a kill, or settled since the last commit, comes again, and how much that is depends on
the machine. What stood committed does not come again, however slow it is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition

from connector.core.doneset import decode
from deploy.testbed import KafkaCluster
from tests.support.waiting import wait_until

_ANSWER_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """All that a group had committed of one topic by ``at_ms`` (Unix). By partition: the ``offsets``, and
    what was ``done`` from there on. What is committed only grows: all of it stood there later, too."""

    at_ms: int
    offsets: Mapping[int, int]
    done: Mapping[int, frozenset[int]]

    @classmethod
    def now(cls, kafka: KafkaCluster, group: str, topic: str) -> Committed:
        """Ask the cluster, without joining the group."""
        admin = kafka.admin()  # while it is asked it must not be let go
        described = admin.describe_topics(TopicCollection([topic]))[topic].result()
        consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": group})
        try:
            answered = _answered(
                consumer, [TopicPartition(topic, partition.id) for partition in described.partitions]
            )
        finally:
            consumer.close()
        offsets, done = {}, {}
        for one in answered:
            offsets[one.partition] = max(one.offset, 0)  # negative: none was committed
            found = decode(one.metadata or "", topic_id=str(described.topic_id))
            done[one.partition] = frozenset(found.above(one.offset - 1) if found else ())
        return cls(at_ms=time.time_ns() // 1_000_000, offsets=offsets, done=done)

    @property
    def done_count(self) -> int:
        """Records above the offsets."""
        return sum(map(len, self.done.values()))

    @property
    def count(self) -> int:
        """Records in all, of a topic that lacks none from offset 0 on."""
        return sum(self.offsets.values()) + self.done_count

    def holds(self, partition: int, offset: int) -> bool:
        """Whether this record was committed."""
        return offset < self.offsets[partition] or offset in self.done[partition]


def _answered(consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
    answers: list[list[TopicPartition]] = []

    def is_answered() -> bool:
        try:
            answers.append(consumer.committed(partitions, timeout=_ANSWER_TIMEOUT_S))
        except KafkaException:
            return False  # the group's coordinator is only starting
        return True

    wait_until(is_answered, "the coordinator of the group tells what is committed")
    return answers[0]
