"""The letter log on Kafka: :class:`~connector.engine.letter_log.LetterLog`.

One consumer, assigned by hand to the partition that is read, and to none once a read has reached where it
was to end. All calls of the client are made on one thread of its own, so they never meet. Whatever fails
throws the assignment away: the next read begins anew where it is told to.

No call can be broken off, but each is bounded (:data:`~connector.kafka.cluster.CALL_TIMEOUT_S`), and once
closing none is followed by another. So the thread ends by itself, whether anybody waits for it or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from connector.engine.letter_log import BITE_RECORDS_MAX, Bite, Extent, Unreadable
from connector.engine.ports import Capabilities, TopicPartition
from connector.kafka.access import Access, consumer_properties
from connector.kafka.cluster import APACHE_KAFKA, Cluster
from connector.kafka.errors import KafkaTrouble, error_of, words
from connector.kafka.holdings import Holding
from connector.kafka.sorting import sort

CLOSE_WAIT_S = 1.0
"""So long a close waits for the thread: whoever closes has given up what was read."""
_WAIT_S = 1.0
_QUEUED_BYTES_MAX = 1 << 20
_CLOSED = "its reader is closed"

T = TypeVar("T")


class KafkaLetterLog:
    """Reads at the cluster of ``access``. Nothing is opened before the first call."""

    def __init__(self, access: Access, *, name: str, capabilities: Capabilities = APACHE_KAFKA) -> None:
        self._access = access
        self._name = name
        self._capabilities = capabilities
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka letters")
        self._cluster: Cluster | None = None
        self._consumer: Consumer | None = None
        self._held: Holding | None = None
        self._is_closing = False

    # ── on the loop ─────────────────────────────────────────────────────────────────────────────

    async def extents(self, topic: str) -> Mapping[int, Extent]:
        return await self._call(partial(self._extents, topic))

    async def read(self, tp: TopicPartition, from_offset: int, to_offset: int) -> Bite:
        assert from_offset < to_offset, "there is something to read"
        return await self._call(partial(self._read, tp, from_offset, to_offset))

    async def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        ending = asyncio.wrap_future(self._thread.submit(self._close))
        self._thread.shutdown(wait=False)
        await asyncio.wait([ending], timeout=CLOSE_WAIT_S)  # cancels nothing: what is queued is still done

    async def _call(self, call: Callable[[], T]) -> T:
        if self._is_closing:
            raise Unreadable(_CLOSED)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._translated, call)

    # ── on the thread ───────────────────────────────────────────────────────────────────────────

    def _translated(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except KafkaTrouble as trouble:
            self._close()
            raise Unreadable(trouble.what) from None
        except KafkaException as error:
            self._close()
            raise Unreadable(self._access.redact(words(error_of(error)))) from None

    def _extents(self, topic: str) -> dict[int, Extent]:
        if self._cluster is None:
            self._cluster = Cluster(self._access, self._capabilities)
        look = self._cluster.look([topic])[topic]
        if look.absence:
            raise Unreadable(f"topic {topic} is {look.absence}")
        tps = [TopicPartition(topic, partition) for partition in range(look.partitions)]
        self._go_on()
        starts = self._cluster.offsets(tps, "earliest")
        self._go_on()
        ends = self._cluster.offsets(tps, "latest")
        return {tp.partition: Extent(topic_id=look.id, start=starts[tp], end=ends[tp]) for tp in tps}

    def _read(self, tp: TopicPartition, from_offset: int, to_offset: int) -> Bite:
        held = self._assigned(tp, from_offset)
        consumer = self._consumer
        assert consumer is not None, "what is assigned has a consumer"
        first = consumer.poll(_WAIT_S)
        if first is None:
            return Bite([], from_offset)
        messages = [first, *consumer.consume(BITE_RECORDS_MAX - 1, 0)]
        found = sort(messages, {(tp.topic, tp.partition): held})
        for message in found.errors:
            error = message.error()
            if error is not None and message.topic() is not None:
                raise KafkaException(error)
        if found.regressed:
            raise KafkaTrouble(f"the log of {tp} is another than the one that was read")
        records = [record for part in found.batch for record in part.records if record.offset < to_offset]
        if held.position >= to_offset:
            consumer.unassign()
            self._held = None
        return Bite(records, min(held.position, to_offset))

    def _assigned(self, tp: TopicPartition, offset: int) -> Holding:
        held = self._held
        if held is None or held.tp != tp or held.position != offset:
            held = self._held = Holding(tp, 0, offset)
            self._opened().assign([ClientPartition(tp.topic, tp.partition, offset)])
        return held

    def _opened(self) -> Consumer:
        if self._consumer is None:
            # A group is required by the client and never used: no group of this name comes to be.
            properties = consumer_properties(
                self._access, group=self._name, queued_bytes_max=_QUEUED_BYTES_MAX
            )
            self._consumer = Consumer({**properties, "error_cb": _told_by_the_next_call})
        return self._consumer

    def _go_on(self) -> None:
        """Between two calls of the client: no other once closing."""
        if self._is_closing:
            raise Unreadable(_CLOSED)

    def _close(self) -> None:
        self._held = None
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()


def _told_by_the_next_call(_: KafkaError) -> None:
    """What keeps a client from its cluster is seen by the calls that fail; without this it is printed."""
