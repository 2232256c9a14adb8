"""What every :class:`~connector.engine.ports.Writer` on Kafka must do, on any cluster.

A subclass gives the fixture ``bed``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message
from confluent_kafka import TopicPartition as ClientPartition

from connector.engine.ports import NotWritten
from connector.kafka.writer import KafkaWriter, WriterSettings
from tests.support.kafka_beds import Bed

Write = Callable[..., "asyncio.Future[NotWritten | None]"]


def read_back(bed: Bed, topic: str, count: int, *, partition: int = 0) -> list[Message]:
    """The first ``count`` records of a partition."""
    consumer = Consumer({"bootstrap.servers": bed.access.bootstrap_servers, "group.id": "reader"})
    try:
        consumer.assign([ClientPartition(topic, partition, OFFSET_BEGINNING)])
        found: list[Message] = []
        for _ in range(100):
            found += [m for m in consumer.consume(count - len(found), 0.2) if m.error() is None]
            if len(found) == count:
                return found
        raise AssertionError(f"only {len(found)} of {count} records in {topic}")
    finally:
        consumer.close()


def begin_write(
    writer: KafkaWriter,
    topic: str,
    value: bytes | None = b"v",
    *,
    key: bytes | None = None,
    headers: list[tuple[str, bytes | None]] | None = None,
) -> asyncio.Future[NotWritten | None]:
    """Write; the future holds the result."""
    done: asyncio.Future[NotWritten | None] = asyncio.get_running_loop().create_future()
    writer.write(topic, key=key, value=value, headers=headers or (), done=done.set_result)
    assert not done.done(), "done is never called before write returns"
    return done


class WriterContract:
    @pytest.fixture
    def topic(self, bed: Bed) -> str:
        bed.create_topic(bed.names.topic())
        return bed.names.topic()

    @pytest.fixture
    async def writer(self, bed: Bed) -> AsyncIterator[KafkaWriter]:
        writer = KafkaWriter(bed.access, WriterSettings(delivery_timeout_ms=5_000), faulted=lambda what: None)
        yield writer
        await writer.close()

    async def test_what_is_acknowledged_can_be_read_back_byte_for_byte(
        self, bed: Bed, writer: KafkaWriter, topic: str
    ) -> None:
        headers: list[tuple[str, bytes | None]] = [("a", b"1"), ("a", None), ("ü", b"\xff"), ("e", b"")]

        result = await begin_write(writer, topic, b"\x00value", key=b"\xffkey", headers=headers)

        assert result is None
        (message,) = read_back(bed, topic, 1)
        assert (message.key(), message.value(), message.headers()) == (b"\xffkey", b"\x00value", headers)

    async def test_null_and_empty_stay_apart(self, bed: Bed, writer: KafkaWriter, topic: str) -> None:
        await begin_write(writer, topic, None, key=b"")
        await begin_write(writer, topic, b"", key=None)

        one, two = read_back(bed, topic, 2)

        assert (one.key(), one.value()) == (b"", None)
        assert (two.key(), two.value()) == (None, b"")

    async def test_a_thousand_writes_are_each_answered_once_and_kept_in_order(
        self, bed: Bed, writer: KafkaWriter, topic: str
    ) -> None:
        results = await asyncio.gather(*(begin_write(writer, topic, b"%d" % n) for n in range(1_000)))

        assert results == [None] * 1_000
        assert [m.value() for m in read_back(bed, topic, 1_000)] == [b"%d" % n for n in range(1_000)]
        assert writer.outstanding == 0

    async def test_a_record_over_the_limit_is_too_large_and_the_next_one_passes(
        self, bed: Bed, writer: KafkaWriter, topic: str
    ) -> None:
        large = await begin_write(writer, topic, b"x" * 1_300_000)
        small = await begin_write(writer, topic, b"x")

        assert large is not None
        assert large.fault == "too-large"
        assert small is None

    async def test_closing_waits_for_what_is_outstanding(self, bed: Bed, topic: str) -> None:
        writer = KafkaWriter(bed.access, WriterSettings(), faulted=lambda what: None)
        writes = [begin_write(writer, topic) for _ in range(100)]

        await writer.close()

        assert [write.result() for write in writes] == [None] * 100

    async def test_after_closing_a_write_is_refused(self, bed: Bed, topic: str) -> None:
        writer = KafkaWriter(bed.access, WriterSettings(), faulted=lambda what: None)
        await writer.close()

        result = await begin_write(writer, topic)

        assert result is not None
        assert result.fault == "passing"
