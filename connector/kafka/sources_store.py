"""The compacted topic ``<prefix>.sources``: which partitions each group has begun, and how far it is.

Read whole when needed (it is small), written with acknowledgement before a topic is worked on, and
without waiting when a watermark moves on. What the entries mean is :mod:`connector.core.start`'s.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as ClientPartition

from connector.core.start import BadEntry, Entry, EntryKey, decode_entry, encode_key, encode_value, fold
from connector.engine.ports import TopicPartition
from connector.kafka.access import Access, consumer_properties, producer_properties
from connector.kafka.cluster import Cluster
from connector.kafka.errors import KafkaTrouble, error_of, words

Entries = Mapping[EntryKey, Entry]

_READ_TIMEOUT_S = 20.0
_WRITE_TIMEOUT_S = 10.0


class SourcesStore:
    """Used by one thread. Trouble is raised as :class:`~connector.kafka.errors.KafkaTrouble`."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self._cluster = cluster
        self._access: Access = cluster.access
        self._topic = topic
        self._entries: dict[EntryKey, Entry] = {}
        self._positions: dict[int, int] = {}  # of the partitions followed; empty before the first read
        self._consumer = Consumer(
            consumer_properties(self._access, group=f"{topic}.reader", queued_bytes_max=1 << 20)
        )
        self._producer = Producer(
            producer_properties(
                self._access,
                message_bytes_max=1_000_000,
                delivery_timeout_ms=int(_WRITE_TIMEOUT_S * 1000),
                queued_bytes_max=1 << 20,
            )
            # An entry written twice does no harm, but an idempotent producer is lost for good once the
            # cluster refuses it: it could not write when it may at last. One at a time keeps the order.
            | {"enable.idempotence": False, "max.in.flight.requests.per.connection": 1}
        )

    def read(self) -> Mapping[EntryKey, Entry]:
        """Every entry that was acknowledged before this call, folded."""
        look = self._cluster.look([self._topic])[self._topic]
        if look.absence:
            raise KafkaTrouble(f"topic {self._topic}, which remembers where reading began, is {look.absence}")
        tps = [TopicPartition(self._topic, p) for p in range(look.partitions)]
        ends = self._cluster.offsets(tps, "latest")
        try:
            if len(self._positions) != look.partitions:
                self._entries = {}
                starts = self._cluster.offsets(tps, "earliest")
                self._positions = {tp.partition: offset for tp, offset in starts.items()}
                self._consumer.assign(
                    [ClientPartition(self._topic, p, at) for p, at in self._positions.items()]
                )
            self._follow_to(ends)
        except KafkaException as error:
            self._positions = {}  # what was fetched is gone: begin again next time
            raise self._trouble(error_of(error)) from None
        except KafkaTrouble:
            self._positions = {}
            raise
        return self._entries

    def put(self, entries: Sequence[Entry]) -> None:
        """Write entries and wait until the broker has acknowledged each."""
        failed: list[KafkaError] = []
        acknowledged: list[Message] = []

        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                acknowledged.append(message)
            else:
                failed.append(error)

        for entry in entries:
            self._produce(entry, report)
        self._producer.flush(_WRITE_TIMEOUT_S + 1)
        if failed:
            raise self._trouble(failed[0])
        if len(acknowledged) < len(entries):
            raise KafkaTrouble(f"topic {self._topic} cannot be written: no acknowledgement in time")

    def note(self, entry: Entry) -> None:
        """Write one entry without waiting. Should it fail, the next one a minute later tells more."""
        self._produce(entry, None)
        self._producer.poll(0)

    def close(self) -> None:
        self._producer.flush(1)
        self._consumer.close()

    def _produce(self, entry: Entry, report: Any) -> None:  # Any: the stub wants a wider callback
        try:
            self._producer.produce(
                self._topic, key=encode_key(entry), value=encode_value(entry), on_delivery=report
            )
        except KafkaException as error:
            raise self._trouble(error_of(error)) from None
        except BufferError:
            raise KafkaTrouble(f"topic {self._topic} cannot be written: the client's queue is full") from None

    def _follow_to(self, ends: Mapping[TopicPartition, int]) -> None:
        deadline = time.monotonic() + _READ_TIMEOUT_S
        while any(self._positions[tp.partition] < end for tp, end in ends.items()):
            if time.monotonic() > deadline:
                raise KafkaTrouble(f"topic {self._topic} cannot be read to its end in time")
            first = self._consumer.poll(0.1)
            messages = [first, *self._consumer.consume(1_000, 0)] if first is not None else []
            self._entries = fold([*self._entries.values(), *self._decoded(messages)])

    def _decoded(self, messages: Sequence[Message]) -> list[Entry]:
        """The entries in ``messages``; moves the positions past them."""
        entries = []
        for message in messages:
            error, partition, offset = message.error(), message.partition(), message.offset()
            if error is not None and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                continue  # the client asks for its group's coordinator, and needs none
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise self._trouble(error)
            assert partition is not None
            assert offset is not None
            value = message.value()
            if error is None and value is not None:
                entries.append(self._entry(value, f"record {offset} of {self._topic}[{partition}]"))
            self._positions[partition] = offset if error is not None else offset + 1
        return entries

    def _entry(self, value: bytes, where: str) -> Entry:
        try:
            return decode_entry(value)
        except BadEntry as error:
            raise KafkaTrouble(
                f"{where} was not written by this connector: {error}. Remove it (write a null value to its "
                "key, and wait for compaction), or choose another prefix"
            ) from None

    def _trouble(self, error: KafkaError) -> KafkaTrouble:
        what = f"topic {self._topic}: {self._access.redact(words(error))}"
        return KafkaTrouble(what, is_fatal=error.fatal() or error.code() == KafkaError._FATAL)

