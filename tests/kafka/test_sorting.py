"""From the client's messages to batches."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaError, Message

from connector.core.record import Record
from connector.engine.ports import Fetched, TopicPartition
from connector.kafka.holdings import Holding
from connector.kafka.sorting import sort

A = TopicPartition("t", 0)
B = TopicPartition("t", 1)


def message(tp: TopicPartition, offset: int, **changes: Any) -> Message:
    fields = {"key": None, "value": b"v", "timestamp": (1, 1_700_000_000_000), "leader_epoch": 3}
    return Message(topic=tp.topic, partition=tp.partition, offset=offset, **(fields | changes))


def end(tp: TopicPartition, offset: int) -> Message:
    return message(tp, offset, error=KafkaError(KafkaError._PARTITION_EOF))


def held(*tps: TopicPartition, position: int = 0) -> dict[tuple[str, int], Holding]:
    return {
        (tp.topic, tp.partition): Holding(tp, epoch, position, topic_id="id")
        for epoch, tp in enumerate(tps, 1)
    }


def test_a_message_becomes_a_record_with_everything_it_had() -> None:
    found = sort([message(A, 5, key=b"k", headers=[("h", b"1"), ("h", None)])], held(A))

    assert found.batch == [
        Fetched(
            A,
            1,
            [Record("t", 0, 5, 1_700_000_000_000, b"k", b"v", [("h", b"1"), ("h", None)], 3, "id")],
            -1,
            6,
        )
    ]


def test_records_are_grouped_by_partition_and_positions_move_on() -> None:
    partitions = held(A, B)

    found = sort([message(A, 0), message(B, 7), message(A, 1)], partitions)

    assert [(part.tp, [r.offset for r in part.records]) for part in found.batch] == [(A, [0, 1]), (B, [7])]
    assert [one.position for one in partitions.values()] == [2, 8]


def test_records_of_a_partition_not_held_are_dropped() -> None:
    assert sort([message(B, 0)], held(A)).batch == []


def test_nothing_is_read_of_a_log_that_was_cut() -> None:
    partitions = held(A, B, position=7)
    partitions["t", 0].cut_at = 5

    found = sort([message(A, 7), message(B, 7), end(A, 8)], partitions)

    assert [part.tp for part in found.batch] == [B]
    assert partitions["t", 0].position == 7


def test_the_end_is_told_without_records_too() -> None:
    partitions = held(A)

    found = sort([end(A, 4)], partitions)

    assert found.batch == [Fetched(A, 1, [], 4, 4)]
    assert partitions["t", 0].position == 4


def test_an_end_before_later_records_is_no_end_any_more() -> None:
    found = sort([message(A, 0), end(A, 1), message(A, 1)], held(A))

    assert found.batch[0].end_offset == -1


def test_an_offset_we_have_had_stops_the_partition_there() -> None:
    found = sort([message(A, 9), message(A, 0), message(A, 10), message(B, 9)], held(A, B, position=9))

    assert found.regressed == {A: 0}
    assert [(part.tp, [r.offset for r in part.records]) for part in found.batch] == [(A, [9]), (B, [9])]


def test_other_errors_are_left_to_the_caller() -> None:
    error = message(A, 0, error=KafkaError(KafkaError._AUTO_OFFSET_RESET))

    found = sort([error, message(A, 0)], held(A))

    assert found.errors == [error]
    assert len(found.batch[0].records) == 1


def test_headers_that_cannot_be_read_are_said_and_the_record_is_kept() -> None:
    class Unreadable:
        def __getattr__(self, name: str) -> Any:
            return getattr(message(A, 0), name)

        def headers(self) -> None:
            raise SystemError("returned a result with an exception set")  # as the client does

    found = sort([Unreadable()], held(A))  # type: ignore[list-item]  # no client can be made to build one

    (record,) = found.batch[0].records
    assert record.headers == ()
    assert record.unreadable == "The name of a header is not UTF-8."
