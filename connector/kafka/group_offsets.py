"""What a group has committed: asked by a consumer of that group, which need not have joined it.

Not by the administrator's ``list_consumer_group_offsets``: there the client dereferences a null pointer,
and with it the process ends, when the coordinator answers that it is another broker's or not there yet
(librdkafka issue 5040, up to 2.16 at least). For a group that was never seen that is a usual answer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from connector.engine.ports import TopicPartition
from connector.kafka.access import Access, consumer_properties
from connector.kafka.errors import KafkaTrouble, error_of, is_coordinator_starting, words

ASK_AGAIN_S = 0.1
_QUEUED_BYTES_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class CommittedOffset:
    """What a group has committed for one partition."""

    offset: int
    metadata: str


CommittedOffsets = dict[TopicPartition, CommittedOffset]
"""By partition; those without a commit are left out."""


def committed_offsets(
    access: Access, consumer: Consumer, tps: Sequence[TopicPartition], *, timeout_s: float
) -> CommittedOffsets:
    """What the group of ``consumer`` has committed, all of it or nothing: raises
    :class:`~connector.kafka.errors.KafkaTrouble` when one partition's cannot be told."""
    return _told(access, _ask(consumer, tps, timeout_s))


def committed_of_group(
    access: Access, group: str, tps: Sequence[TopicPartition], *, timeout_s: float
) -> CommittedOffsets:
    """As :func:`committed_offsets`, by a consumer of its own that joins nothing and commits nothing. Waits,
    within ``timeout_s``, for a coordinator that starts."""
    deadline_s = time.monotonic() + timeout_s
    consumer = Consumer(consumer_properties(access, group=group, queued_bytes_max=_QUEUED_BYTES_MAX))
    try:
        found = _ask(consumer, tps, timeout_s)
        while is_coordinator_starting(found) and (left_s := deadline_s - time.monotonic()) > ASK_AGAIN_S:
            time.sleep(ASK_AGAIN_S)
            found = _ask(consumer, tps, left_s - ASK_AGAIN_S)
    finally:
        consumer.close()
    return _told(access, found)


def _ask(
    consumer: Consumer, tps: Sequence[TopicPartition], timeout_s: float
) -> list[ClientPartition] | KafkaError:
    if not tps:
        return []
    try:
        found = consumer.committed([ClientPartition(tp.topic, tp.partition) for tp in tps], timeout=timeout_s)
    except KafkaException as error:
        return error_of(error)
    return next((p.error for p in found if p.error is not None), found)


def _told(access: Access, found: list[ClientPartition] | KafkaError) -> CommittedOffsets:
    if isinstance(found, KafkaError):
        raise KafkaTrouble(f"committed offsets cannot be read: {access.redact(words(found))}")
    return {
        TopicPartition(p.topic, p.partition): CommittedOffset(p.offset, p.metadata or "")
        for p in found
        if p.offset >= 0
    }
