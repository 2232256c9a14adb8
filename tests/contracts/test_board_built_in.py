"""The board keeps its contract on the built-in cluster, and through what that cluster can be told to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from confluent_kafka import KafkaError

from connector.kafka.mock_cluster import FETCH, MockCluster
from tests.contracts.board_contract import BoardOutageContract, Heard, NewBoard, followed
from tests.support.board_beds import Boards
from tests.support.kafka_beds import BuiltInBed
from tests.support.mock_kafka import shared_mock_kafka
from tests.support.names import Names

__all__ = ["shared_mock_kafka"]


class _Outage:
    def __init__(self, mock: MockCluster) -> None:
        self._mock = mock

    def begin(self) -> None:
        self._mock.take_down([1])

    def end(self) -> None:
        self._mock.bring_up([1])


class TestBuiltIn(BoardOutageContract):
    @pytest.fixture
    def bed(self, shared_mock_kafka: MockCluster, names: Names) -> BuiltInBed:
        return BuiltInBed(shared_mock_kafka, names)

    @pytest.fixture
    async def boards(self, bed: BuiltInBed) -> AsyncIterator[Boards]:
        async with Boards(bed, delivery_timeout_ms=500) as boards:
            bed.create_topic(boards.topic)
            yield boards

    @pytest.fixture
    def new_board(self, boards: Boards) -> NewBoard:
        return boards.new

    @pytest.fixture
    def outage(self, bed: BuiltInBed) -> _Outage:
        return _Outage(bed.mock)

    async def test_a_topic_of_several_partitions_is_read_whole(self, bed: BuiltInBed, boards: Boards) -> None:
        boards.topic = bed.names.topic("wide")
        bed.create_topic(boards.topic, 4)
        one = boards.new()
        first = await followed(one)
        for n in range(20):
            one.post(b"%d" % n, b"x")
        await first.until(lambda: len(first.newest) == 20, "20 keys")

        late = await followed(boards.new())

        assert len(late.newest) == 20

    async def test_a_topic_made_anew_is_read_from_its_start(self, bed: BuiltInBed, boards: Boards) -> None:
        board = boards.new()
        heard = await followed(board)
        for n in range(5):
            board.post(b"%d" % n, b"old")
        await heard.until(lambda: len(heard.newest) == 5, "5 keys")

        bed.mock.delete_topic(boards.topic)
        bed.create_topic(boards.topic)
        board.post(b"0", b"new")

        await heard.until_newest(b"0", b"new")

    async def test_a_missing_topic_is_told_once_and_read_when_it_is_there(
        self, bed: BuiltInBed, boards: Boards
    ) -> None:
        boards.topic = bed.names.topic("late")
        board, heard = boards.new(), Heard()
        board.start(heard)
        await boards.until_told("is missing")

        bed.create_topic(boards.topic)
        async with asyncio.timeout(20):
            await board.caught_up()

        assert sum("is missing" in what for what in boards.told) == 1

    async def test_where_retention_overtook_it_reads_what_is_left(
        self, bed: BuiltInBed, boards: Boards
    ) -> None:
        board = boards.new()
        heard = await followed(board)
        board.post(b"key", b"1")
        await heard.until_newest(b"key", b"1")
        bed.mock.fail_requests(FETCH, [KafkaError.OFFSET_OUT_OF_RANGE])

        board.post(b"key", b"2")

        await heard.until_newest(b"key", b"2")

    async def test_a_topic_that_may_not_be_read_is_told_and_read_when_it_may(
        self, bed: BuiltInBed, boards: Boards
    ) -> None:
        board = boards.new()
        heard = await followed(board)
        board.post(b"key", b"1")
        await heard.until_newest(b"key", b"1")

        bed.mock.fail_topic(boards.topic, KafkaError.TOPIC_AUTHORIZATION_FAILED)
        await boards.until_told("is forbidden")
        bed.mock.fail_topic(boards.topic, 0)
        board.post(b"key", b"2")

        await heard.until_newest(b"key", b"2")

    async def test_fetches_that_are_refused_are_told_once_and_tried_again(
        self, bed: BuiltInBed, boards: Boards
    ) -> None:
        board = boards.new()
        heard = await followed(board)

        bed.mock.fail_requests(FETCH, [KafkaError.TOPIC_AUTHORIZATION_FAILED] * 3)
        board.post(b"key", b"1")
        await heard.until_newest(b"key", b"1")

        assert [what.partition(": ")[2] for what in boards.told] == [
            "grant READ, WRITE and DESCRIBE on it to this user"
        ]

    async def test_records_without_a_key_are_nobodys_news(self, bed: BuiltInBed, boards: Boards) -> None:
        bed.produce(boards.topic, [b"stray"])

        heard = await followed(boards.new())

        assert heard.told == []

    async def test_a_thread_that_fails_says_so_and_can_be_closed(self, boards: Boards) -> None:
        board = boards.new()
        await followed(board)

        board._follower._untold = None  # type: ignore[assignment]  # so that the next record fails as none should
        board.post(b"key", b"1")
        await boards.until_told("a fault in the follower's thread: AttributeError")

        assert boards.ends == boards.told[-1:]
