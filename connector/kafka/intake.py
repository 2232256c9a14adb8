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
from connector.core.start import Entry
from connector.engine.ports import Fetched, TopicPartition

_headers_of: Callable[[Message], Headers | None] = methodcaller("headers")
"""A message's headers; ``SystemError`` when a name is not UTF-8.

The client then returns a list with holes *and* leaves an exception set. Python notices that in any call
but a plain ``message.headers()`` that has become hot, after which the exception would break out of some
innocent call further down; and asked a second time, the client answers with the holes alone.
"""


@dataclass(slots=True)
class Held:
    """A partition we read. ``position`` is the next offset we expect; ``committed`` the last one
    the broker took in this epoch; ``is_paused`` is the engine's wish, not ours. ``entry`` is what
    the sources topic says (``None`` outside every group); ``noted`` is the committed offset noted there
    last, at ``noted_at_s`` (monotonic seconds). ``cut_at`` is where the log ended when it was found to be
    cut below ``position``: from then on nothing is read of it, whatever the client brings."""

    tp: TopicPartition
    epoch: int
    position: int
    topic_id: str = ""
    entry: Entry | None = None
    committed: int = -1
    is_paused: bool = False
    cut_at: int | None = None
    noted: int = -1
    noted_at_s: float = float("-inf")
    begun: int = field(init=False)  # the first position of this epoch

    def __post_init__(self) -> None:
        self.begun = self.position

    @property
    def may_flow(self) -> bool:
        return not self.is_paused and self.cut_at is None

    @property
    def settled(self) -> int:
        """All below this offset is known to be done."""
        return max(self.begun, self.committed)


@dataclass(slots=True)
class Sorted:
    """What one fetch brought. ``regressed`` holds the lower offset at which a partition's log
    turned out to be another; its records are dropped, they are read again from there."""

    batch: list[Fetched] = field(default_factory=list)
    regressed: dict[TopicPartition, int] = field(default_factory=dict)
    errors: list[Message] = field(default_factory=list)


def sort(messages: Sequence[Message], held: dict[tuple[str, int], Held]) -> Sorted:
    """Sort ``messages`` and move the positions of ``held`` past them. End-of-partition events become
    :attr:`Fetched.end_offset`; every other error is left to the caller."""
    found = Sorted()
    records_by_epoch: dict[int, list[Record]] = {}
    end_by_epoch: dict[int, int] = {}
    one: Held | None = None
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
            found.batch.append(Fetched(one.tp, one.epoch, records, end_offset))
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
