"""The parked topic as a replay may find it: not to be read for a while, cut, or another of the same name."""

from __future__ import annotations

import asyncio

from connector.engine.ports import TopicPartition
from tests.support.two_workers import PARKED, TwoWorkers
from tests.support.virtual_time import virtual


@virtual
async def test_a_topic_that_cannot_be_read_is_told_once_and_read_when_it_can() -> None:
    two = await TwoWorkers.with_parked(5)
    two.cluster.is_unreadable = True

    await two.resume()
    await asyncio.sleep(30)
    two.cluster.is_unreadable = False
    await two.until_replayed()

    told = two.first.log.said("the parked topic cannot be read; trying again")
    assert told == [{"why": "the brokers are down"}]
    assert len(two.accepted) == 10


@virtual
async def test_a_log_that_was_cut_is_replayed_from_its_start_counted_and_told() -> None:
    two = await TwoWorkers.joined()
    await two.pause()
    await asyncio.sleep(1)
    await two.replay()
    await two.park(700)
    for partition in range(3):
        two.cluster.log_starts[TopicPartition(PARKED, partition)] = 100

    await two.replay()

    assert len(two.accepted) == 1_100
    assert two.first.worker.accounts.offsets_lost == 300
    assert [one["from_offset"] for one in two.first.log.said("position moved")] == [0, 0, 0]
    two.check_books()


@virtual
async def test_a_cursor_beyond_the_end_is_of_another_log() -> None:
    two = await TwoWorkers.with_parked(5)
    two.tell(openings=2, cursor={0: 99, 1: 99, 2: 99}, is_done=False)

    await two.replay()

    assert len(two.accepted) == 10
    assert two.first.worker.accounts.jumps["recreated"] == 3
    assert two.first.worker.accounts.offsets_lost == 0


@virtual
async def test_a_topic_made_anew_is_replayed_from_its_start_whatever_the_cursor_says() -> None:
    two = await TwoWorkers.joined()
    two.cluster.topic_ids[PARKED] = "first"
    await two.park(20)
    await two.replay()
    told = two.backlog

    two.cluster.topics[PARKED].clear()
    two.cluster.topic_ids[PARKED] = "second"
    await two.park(60)
    await two.replay()

    assert told.topic_id == "first"
    assert two.backlog.topic_id == "second"
    assert len(two.accepted) == 160
    assert two.first.worker.accounts.jumps["recreated"] == 3
    assert two.first.worker.accounts.offsets_lost == 0
    assert [one["to_offset"] for one in two.first.log.said("position moved")] == [0, 0, 0]
