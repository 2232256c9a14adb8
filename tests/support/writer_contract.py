"""What every :class:`~connector.engine.ports.Writer` must do: the real one on any cluster, and the one in
memory that the engine is tested on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from connector.core.record import Record
from connector.engine.ports import NotWritten, Writer
from connector.kafka.writer import KafkaWriter
from tests.support.names import Names


class WriterBed(Protocol):
    """A cluster under test, the names this test may use on it, and what another client sees."""

    names: Names

    def create_topic(self, name: str, partitions: int = 1) -> None: ...

    def writer(self) -> Writer: ...

    def read_back(self, topic: str, count: int) -> list[Record]: ...


def begin_write(
    writer: Writer,
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
    """A subclass gives the fixture ``bed``."""

    @pytest.fixture
    def topic(self, bed: WriterBed) -> str:
        bed.create_topic(bed.names.topic())
        return bed.names.topic()

    @pytest.fixture
    async def writer(self, bed: WriterBed) -> AsyncIterator[Writer]:
        writer = bed.writer()
        yield writer
        await writer.close()

    async def test_what_is_acknowledged_can_be_read_back_byte_for_byte(
        self, bed: WriterBed, writer: Writer, topic: str
    ) -> None:
        headers: list[tuple[str, bytes | None]] = [("a", b"1"), ("a", None), ("ü", b"\xff"), ("e", b"")]

        result = await begin_write(writer, topic, b"\x00value", key=b"\xffkey", headers=headers)

        assert result is None
        (record,) = bed.read_back(topic, 1)
        assert (record.key, record.value, list(record.headers)) == (b"\xffkey", b"\x00value", headers)

    async def test_null_and_empty_stay_apart(self, bed: WriterBed, writer: Writer, topic: str) -> None:
        await begin_write(writer, topic, None, key=b"")
        await begin_write(writer, topic, b"", key=None)

        one, two = bed.read_back(topic, 2)

        assert (one.key, one.value) == (b"", None)
        assert (two.key, two.value) == (None, b"")

    async def test_a_thousand_writes_are_each_answered_once_and_kept_in_order(
        self, bed: WriterBed, writer: Writer, topic: str
    ) -> None:
        results = await asyncio.gather(*(begin_write(writer, topic, b"%d" % n) for n in range(1_000)))

        assert results == [None] * 1_000
        assert [record.value for record in bed.read_back(topic, 1_000)] == [b"%d" % n for n in range(1_000)]

    async def test_a_record_over_the_limit_is_too_large_and_the_next_one_passes(
        self, bed: WriterBed, writer: Writer, topic: str
    ) -> None:
        large = await begin_write(writer, topic, b"x" * 1_300_000)
        small = await begin_write(writer, topic, b"x")

        assert large is not None
        assert large.fault == "too-large"
        assert small is None

    async def test_closing_waits_for_what_is_outstanding(self, bed: WriterBed, topic: str) -> None:
        writer = bed.writer()
        writes = [begin_write(writer, topic) for _ in range(100)]

        await writer.close()

        assert [write.result() for write in writes] == [None] * 100

    async def test_a_hurried_close_waits_for_brokers_that_are_well(self, bed: WriterBed, topic: str) -> None:
        writer = bed.writer()
        writes = [begin_write(writer, topic) for _ in range(100)]

        writer.hurry()
        await writer.close()

        assert [write.result() for write in writes] == [None] * 100

    async def test_after_closing_a_write_is_refused(self, bed: WriterBed, topic: str) -> None:
        writer = bed.writer()
        await writer.close()

        result = await begin_write(writer, topic)

        assert result is not None
        assert result.fault == "passing"


class KafkaWriterContract(WriterContract):
    """On a Kafka, where what is outstanding is counted."""

    async def test_what_is_answered_is_not_outstanding(self, writer: KafkaWriter, topic: str) -> None:
        writes = [begin_write(writer, topic) for _ in range(100)]
        before = writer.outstanding

        await asyncio.gather(*writes)

        assert (before, writer.outstanding) == (100, 0)
