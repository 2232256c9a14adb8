"""From the client's messages to batches of records: the hot path of reading.

Sorts what one fetch brought by partition and epoch, drops what belongs to no partition we hold, and
notices what the engine must not see as an ordinary record: an offset at or below one we have had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import methodcaller

from confluent_kafka import KafkaError, Message

from connector.core.record import Headers, Record
from connector.engine.ports import Fetched, TopicPartition
from connector.kafka.holdings import Holding

_headers_of: Callable[[Message], Headers | None] = methodcaller("headers")
"""A message's headers; ``SystemError`` when a name is not UTF-8.

The client then returns a list with holes *and* leaves an exception set. Python notices that in any call
but a plain ``message.headers()`` that has become hot, after which the exception would break out of some
innocent call further down; and asked a second time, the client answers with the holes alone.
"""


@dataclass(slots=True)
class Sorted:
    """What one fetch brought. ``regressed`` holds the lower offset at which a partition's log
    turned out to be another; its records are dropped, they are read again from there."""

    batch: list[Fetched] = field(default_factory=list)
    regressed: dict[TopicPartition, int] = field(default_factory=dict)
    errors: list[Message] = field(default_factory=list)


def sort(messages: Sequence[Message], held: dict[tuple[str, int], Holding]) -> Sorted:
    """Sort ``messages`` and move the positions of ``held`` past them. End-of-partition events become
    :attr:`Fetched.end_offset`; every other error is left to the caller."""
    found = Sorted()
    records_by_epoch: dict[int, list[Record]] = {}
    end_by_epoch: dict[int, int] = {}
    one: Holding | None = None
    records: list[Record] = []
    topic, partition = "", -1
    for message in messages:
        message_topic, message_partition = message.topic(), message.partition()
        if message_partition != partition or message_topic != topic:
            if message_topic is None or message_partition is None:
                found.errors.append(message)
                continue
            topic, partition = message_topic, message_partition
            one = held.get((topic, partition))
            if one is not None and one.cut_at is not None:
                one = None
            if one is not None:
                records = records_by_epoch.setdefault(one.epoch, [])
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            found.errors.append(message)
            continue
        offset = message.offset()
        if one is None or offset is None or one.tp in found.regressed:
            continue
        if error is not None:
            end_by_epoch[one.epoch] = offset
            one.position = max(one.position, offset)
        elif offset < one.position:
            found.regressed[one.tp] = offset
        else:
            one.position = offset + 1
            records.append(_record(message, topic, partition, offset, one.topic_id))
    for one in held.values():
        records = records_by_epoch.get(one.epoch, [])
        end_offset = end_by_epoch.get(one.epoch, -1)
        if records and records[-1].offset >= end_offset:
            end_offset = -1  # more was appended after that end was reached
        if records or end_offset >= 0:
            found.batch.append(Fetched(one.tp, one.epoch, records, end_offset, one.position))
    return found


def _record(message: Message, topic: str, partition: int, offset: int, topic_id: str) -> Record:
    headers: Headers = ()
    unreadable = ""
    try:
        headers = _headers_of(message) or ()
    except SystemError:
        unreadable = "The name of a header is not UTF-8."
    leader_epoch = message.leader_epoch()
    return Record(
        topic,
        partition,
        offset,
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers,
        -1 if leader_epoch is None else leader_epoch,
        topic_id,
        unreadable,
    )
