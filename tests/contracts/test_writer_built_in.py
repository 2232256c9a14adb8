"""The writer keeps its contract on the built-in cluster, and what its faults show."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from confluent_kafka import KafkaError

from connector.kafka.access import Access
from connector.kafka.mock_cluster import INIT_PRODUCER_ID, PRODUCE, MockCluster
from connector.kafka.writer import KafkaWriter, WriterSettings
from tests.support.kafka_beds import BuiltInBed
from tests.support.mock_kafka import shared_mock_kafka
from tests.support.names import Names
from tests.support.writer_contract import KafkaWriterContract, begin_write

__all__ = ["shared_mock_kafka"]


def without_its_authority(access: Access) -> Access:
    """As while a mounted certificate is being replaced."""
    missing = {"security.protocol": "ssl", "ssl.ca.location": "/no-such-file.pem"}
    return replace(access, properties={**access.properties, **missing})


async def until_written(writer: KafkaWriter, topic: str, value: bytes) -> None:
    """Write again while the fault is passing, as the engine does."""
    async with asyncio.timeout(20):
        while (result := await begin_write(writer, topic, value)) is not None:
            assert result.fault == "passing"


class TestBuiltIn(KafkaWriterContract):
    @pytest.fixture
    def bed(self, shared_mock_kafka: MockCluster, names: Names) -> BuiltInBed:
        return BuiltInBed(shared_mock_kafka, names)

    async def test_what_passes_is_waited_out(
        self, bed: BuiltInBed, writer: KafkaWriter, topic: str
    ) -> None:
        bed.mock.fail_requests(
            PRODUCE,
            [
                KafkaError.NOT_LEADER_FOR_PARTITION,
                KafkaError.NOT_ENOUGH_REPLICAS,
                KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
                KafkaError.REQUEST_TIMED_OUT,
            ],
        )

        result = await begin_write(writer, topic, b"once")

        assert result is None
        assert [record.value for record in bed.read_back(topic, 1)] == [b"once"]

    async def test_brokers_down_for_too_long_is_a_passing_fault_and_later_writes_pass(
        self, bed: BuiltInBed, topic: str
    ) -> None:
        writer = KafkaWriter(bed.access, WriterSettings(delivery_timeout_ms=500), faulted=lambda what: None)
        await begin_write(writer, topic, b"before")
        bed.mock.take_down([1])

        during = await begin_write(writer, topic, b"during")
        bed.mock.bring_up([1])
        await until_written(writer, topic, b"after")
        await writer.close()

        assert during is not None
        assert during.fault == "passing"

    @pytest.mark.parametrize(
        ("error", "fault"),
        [
            (KafkaError.TOPIC_AUTHORIZATION_FAILED, "forbidden"),
            (KafkaError.MSG_SIZE_TOO_LARGE, "too-large"),
            (KafkaError.INVALID_MSG, None),
        ],
    )
    async def test_an_answer_of_the_broker_becomes_a_fault_in_our_words(
        self, bed: BuiltInBed, writer: KafkaWriter, topic: str, error: int, fault: str | None
    ) -> None:
        bed.mock.fail_requests(PRODUCE, [error])

        result = await begin_write(writer, topic)

        assert (result.fault if result else None) == fault

    async def test_a_topic_that_may_not_be_written_is_forbidden(
        self, bed: BuiltInBed, writer: KafkaWriter, topic: str
    ) -> None:
        bed.mock.fail_topic(topic, KafkaError.TOPIC_AUTHORIZATION_FAILED)

        result = await begin_write(writer, topic)

        assert result is not None
        assert result.fault == "forbidden"

    async def test_a_full_client_queue_makes_writes_wait_and_a_full_wait_refuses_them(
        self, bed: BuiltInBed, topic: str
    ) -> None:
        settings = WriterSettings(queued_records_max=10, pending_max=20)
        writer = KafkaWriter(bed.access, settings, faulted=lambda what: None)

        results = await asyncio.gather(*(begin_write(writer, topic, b"%d" % n) for n in range(40)))
        await writer.close()

        written = [n for n, result in enumerate(results) if result is None]
        assert written == list(range(30))
        assert {result.fault for result in results[30:] if result} == {"passing"}
        assert [record.value for record in bed.read_back(topic, 30)] == [b"%d" % n for n in range(30)]

    async def test_a_client_that_failed_for_good_is_replaced_and_nothing_is_left_unanswered(
        self, bed: BuiltInBed, topic: str
    ) -> None:
        faults: list[str] = []
        writer = KafkaWriter(bed.access, WriterSettings(delivery_timeout_ms=5_000), faulted=faults.append)
        await begin_write(writer, topic, b"before")
        bed.mock.fail_requests(PRODUCE, [KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER])

        doomed = await asyncio.gather(*(begin_write(writer, topic, b"doomed") for _ in range(3)))
        await until_written(writer, topic, b"after")
        await writer.close()

        assert [result.fault for result in doomed if result] == ["passing"] * 3
        assert "OUT_OF_ORDER_SEQUENCE_NUMBER" in "".join(faults) or "_FATAL" in "".join(faults)

    async def test_a_new_client_that_cannot_be_made_is_tried_again_until_it_can(
        self, bed: BuiltInBed, topic: str
    ) -> None:
        faults: list[str] = []
        writer = KafkaWriter(bed.access, WriterSettings(delivery_timeout_ms=5_000), faulted=faults.append)
        await begin_write(writer, topic, b"before")
        writer._access = without_its_authority(bed.access)
        bed.mock.fail_requests(PRODUCE, [KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER])

        async with asyncio.timeout(20):
            while not any("ssl.ca.location failed" in fault for fault in faults):
                result = await begin_write(writer, topic, b"meanwhile")
                assert result is None or result.fault == "passing"
        writer._access = bed.access
        await until_written(writer, topic, b"after")
        await writer.close()

        assert sum("ssl.ca.location failed" in fault for fault in faults) == 1

    @pytest.mark.parametrize("is_closing", [True, False])
    async def test_a_hurried_close_does_not_wait_for_brokers_that_are_away(
        self, bed: BuiltInBed, topic: str, is_closing: bool
    ) -> None:
        writer = KafkaWriter(bed.access, WriterSettings(), faulted=lambda what: None)
        await begin_write(writer, topic, b"before")
        bed.mock.take_down([1])
        during = [begin_write(writer, topic, b"during") for _ in range(100)]

        async with asyncio.timeout(5):  # in its own time: the delivery timeout, half a minute
            closing = asyncio.create_task(writer.close()) if is_closing else None
            await asyncio.sleep(0)
            writer.hurry()
            await (closing or writer.close())
        bed.mock.bring_up([1])

        results = [write.result() for write in during]
        assert [result.fault for result in results if result] == ["passing"] * 100

    @pytest.mark.slow
    async def test_a_user_who_may_not_write_is_told_at_once_and_then_ever_more_seldom(
        self, bed: BuiltInBed, topic: str
    ) -> None:
        faults: list[str] = []
        bed.mock.fail_requests(INIT_PRODUCER_ID, [KafkaError.CLUSTER_AUTHORIZATION_FAILED] * 5)

        writer = KafkaWriter(bed.access, WriterSettings(delivery_timeout_ms=5_000), faulted=faults.append)
        await until_written(writer, topic, b"allowed at last")  # five tries, a second apart
        await writer.close()

        assert all("Grant this user WRITE" in fault for fault in faults)
        assert 1 < len(faults) < 4

    async def test_a_thread_that_fails_says_so_and_leaves_nothing_unanswered(
        self, bed: BuiltInBed, topic: str
    ) -> None:
        ends: list[str] = []
        settings = WriterSettings(delivery_timeout_ms=5_000)
        writer = KafkaWriter(bed.access, settings, faulted=lambda what: None, on_fatal=ends.append)
        await begin_write(writer, topic, b"before")
        writer._access = None  # type: ignore[assignment]  # so that making a client fails as nothing should
        bed.mock.fail_requests(PRODUCE, [KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER])

        async with asyncio.timeout(20):
            results = [await begin_write(writer, topic) for _ in range(3)]
        await writer.close()

        assert [result.fault for result in results if result] == ["passing"] * 3
        assert len(ends) == 1
        assert "a fault in the writer's thread: AttributeError" in ends[0]
