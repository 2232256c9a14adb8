"""The board keeps its contract on a real Apache Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from confluent_kafka import Producer

from connector.core.sharing import decode
from connector.engine.clock import SystemClock
from connector.engine.presence import Presence
from deploy.testbed import KafkaCluster
from tests.contracts.board_contract import BoardContract, NewBoard, followed
from tests.support.board_beds import Boards
from tests.support.kafka_beds import ApacheBed
from tests.support.names import Names


async def joined(boards: Boards, clock: SystemClock, worker_id: str) -> Presence:
    """A worker on a board of its own."""
    board = boards.new()
    presence = Presence(board, clock, worker_id)
    board.start(lambda key, value: presence.heard(decode(key, value)))
    boards.tasks.append(asyncio.create_task(presence.run()))
    return presence


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what only time brings."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110  # time itself is waited for, nobody could set an event
            await asyncio.sleep(0.02)


class TestApacheKafka(BoardContract):
    @pytest.fixture
    def bed(self, kafka: KafkaCluster, names: Names) -> ApacheBed:
        return ApacheBed(kafka, names)

    @pytest.fixture
    async def boards(self, bed: ApacheBed) -> AsyncIterator[Boards]:
        async with Boards(bed) as boards:
            bed.kafka.create_topic(boards.topic, cleanup_policy="compact")
            yield boards

    @pytest.fixture
    def new_board(self, boards: Boards) -> NewBoard:
        return boards.new

    async def test_a_topic_made_anew_that_is_longer_than_the_old_one_is_read_from_its_start(
        self, bed: ApacheBed, boards: Boards
    ) -> None:
        board = boards.new()
        heard = await followed(board)
        board.post(b"old", b"x")
        await heard.until_newest(b"old", b"x")

        # All of it while the loop stands still, so that the follower can only find out afterwards.
        bed.kafka.delete_topic(boards.topic)
        bed.kafka.create_topic(boards.topic, cleanup_policy="compact")
        producer = Producer({"bootstrap.servers": bed.access.bootstrap_servers})
        for n in range(50):
            producer.produce(boards.topic, key=b"%d" % n, value=b"x")
        assert producer.flush(20) == 0

        await heard.until(lambda: len(heard.newest) == 51, "50 keys of the new topic")

    async def test_no_group_comes_to_be(self, bed: ApacheBed, boards: Boards) -> None:
        await followed(boards.new())

        groups = bed.kafka.admin().list_consumer_groups(request_timeout=10).result().valid

        assert [group.group_id for group in groups if boards.topic in group.group_id] == []

    async def test_two_workers_find_each_other_and_divide_a_limit_until_one_leaves(
        self, boards: Boards
    ) -> None:
        clock = SystemClock()
        one, other = await joined(boards, clock, "one"), await joined(boards, clock, "other")

        await until(lambda: one.share(clock.monotonic_ms()) == other.share(clock.monotonic_ms()) == 0.5)
        leader = one.leader, other.leader
        other.leave()
        await until(lambda: one.share(clock.monotonic_ms()) == 1)

        assert leader == ("one", "one")
