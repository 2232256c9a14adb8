"""What is committed and when, and what a restart sends again."""

from __future__ import annotations

import asyncio

import pytest

from connector.engine.ports import Commit, CommitResult, Fetched, Jump, TopicPartition
from tests.support.virtual_time import virtual
from tests.support.world import POSTS, Post, World, hangs, limits, replies, subscription


def refused(error: str, *, is_metadata_refused: bool = False) -> CommitResult:
    commit = Commit(tp=POSTS, epoch=0, offset=0, metadata="")
    return CommitResult(commit=commit, error=error, is_metadata_refused=is_metadata_refused)


def hangs_for(webhook_id: str):
    def behave(post: Post):
        return hangs(post) if post.webhook_id == webhook_id else replies(200)(post)

    return behave


@virtual
async def test_nothing_is_committed_past_what_is_in_hand():
    world = World.new()
    world.behave("a", hangs_for("post_created-0-3"))
    world.fill(10)

    world.start([subscription("a")])
    await asyncio.sleep(3)

    assert world.committed(POSTS) == 3


@virtual
async def test_an_idle_partition_is_committed_once():
    world = World.new()

    world.start([subscription("a")])
    await asyncio.sleep(60)

    assert [commit.offset for commit in world.cluster.commits if commit.tp == POSTS] == [0]


@virtual
async def test_many_settlements_are_committed_before_the_second_is_over():
    world = World.new(limits=limits(settled_per_commit=50))
    world.fill(60)

    world.start([subscription("a")])
    await asyncio.sleep(0.3)

    assert world.committed(POSTS) == 60


@pytest.mark.parametrize(
    "error",
    ["ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "STALE_MEMBER_EPOCH", "REBALANCE_IN_PROGRESS",
     "COORDINATOR_LOAD_IN_PROGRESS"],
)  # fmt: skip
def test_a_commit_that_fails_is_tried_again(error: str):
    @virtual
    async def run() -> None:
        world = World.new()
        world.source.commit_errors = [refused(error), refused(error)]
        world.cluster.append("post.created", b"1")

        world.start([subscription("a")])
        await asyncio.sleep(5)

        assert world.committed(POSTS) == 1
        assert world.worker.accounts.commits_failed == 2
        assert world.fatal == []

    run()


@virtual
async def test_a_stop_waits_until_a_group_whose_members_change_takes_the_last_commits():
    world = World.new()
    world.source.leaves_in_vain = True
    world.start([subscription("a")])
    await asyncio.sleep(3)
    world.source.commit_errors = [refused("ILLEGAL_GENERATION")] * 3
    world.fill(10)
    await asyncio.sleep(0.1)

    await world.worker.stop()

    assert world.source.commit_errors == []
    assert world.committed(POSTS) == 10


@pytest.mark.parametrize("is_hurried", [False, True])
def test_a_stop_does_not_wait_for_ever_for_a_group_that_takes_no_commit(is_hurried: bool):
    @virtual
    async def run() -> None:
        world = World.new(limits=limits(commit_interval_ms=2_400))
        world.start([subscription("a")])
        await asyncio.sleep(3)
        world.source.lost_answers = 100
        world.source.commit_errors = [refused("COORDINATOR_NOT_AVAILABLE")] * 100
        world.fill(10)
        await asyncio.sleep(0.1)
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        if is_hurried:
            loop.call_later(1.3, world.worker.hurry)

        await world.worker.stop()

        assert loop.time() - begun_s < (1.6 if is_hurried else 5.1)

    run()


@virtual
async def test_a_refused_done_set_is_left_out_and_counted():
    world = World.new()
    world.behave("a", hangs_for("post_created-0-0"))
    world.source.commit_errors = [refused("OFFSET_METADATA_TOO_LARGE", is_metadata_refused=True)]
    world.fill(10)

    world.start([subscription("a")])
    await asyncio.sleep(3)

    assert world.cluster.committed["g", POSTS] == (0, "")
    assert world.worker.accounts.done_sets_dropped >= 1


@virtual
async def test_an_answer_that_never_comes_does_not_stop_commits_for_ever():
    world = World.new()
    world.source.lost_answers = 1
    world.start([subscription("a")])
    await asyncio.sleep(2)

    world.cluster.append("post.created", b"1")
    await asyncio.sleep(95)

    assert world.committed(POSTS) == 1


@virtual
async def test_after_a_kill_only_what_was_not_settled_is_sent_again():
    world = World.new()
    world.behave("a", hangs_for("post_created-0-0"))
    world.fill(1_000)
    world.start([subscription("a")])
    await asyncio.sleep(5)
    assert world.accepted("a") == 999
    await world.kill()

    second = world.next_worker()
    second.behave("a", replies(200))
    second.start([subscription("a")])
    await asyncio.sleep(5)

    assert second.accepted("a") == 1_000
    assert second.worker.accounts.records_already_done == 999
    assert second.committed(POSTS) == 1_000
    assert second.problems() == []


@virtual
async def test_a_done_set_outlives_an_epoch_in_which_nothing_was_read():
    world = World.new()
    world.behave("a", hangs_for("post_created-0-0"))
    world.fill(100)
    world.start([subscription("a")])
    await asyncio.sleep(5)
    await world.kill()
    second = world.next_worker(limits=limits(flow={"window_records_max": 1}))
    second.start([subscription("a")])
    await asyncio.sleep(3)
    await second.kill()

    third = second.next_worker()
    third.behave("a", replies(200))
    third.start([subscription("a")])
    await asyncio.sleep(3)

    assert third.accepted("a") == 100
    assert third.worker.accounts.records_already_done == 99


@pytest.mark.parametrize("metadata", ["", "NONE", "ds1.!!!", "ds9.AAAA", "x" * 5_000, "ds1." + "A" * 40])
def test_metadata_that_is_not_ours_is_ignored(metadata: str):
    @virtual
    async def run() -> None:
        world = World.new()
        world.cluster.committed["g", POSTS] = (2, metadata)
        world.fill(5)

        world.start([subscription("a")])
        await asyncio.sleep(2)

        assert world.accepted("a") == 3
        assert world.committed(POSTS) == 5

    run()


@virtual
async def test_the_end_of_the_log_is_committed_past_trailing_markers():
    world = World.new()
    world.start([subscription("a")])
    epoch = world.source.epoch_of[POSTS]

    world.worker.pumps[0].fetched([Fetched(POSTS, epoch, [], 7, 7)])
    await asyncio.sleep(2)
    plan = [commit.offset for commit in world.cluster.commits if commit.tp == POSTS]

    assert plan == [7]


@virtual
async def test_records_of_an_epoch_that_is_over_are_left_to_the_next_owner():
    world = World.new()
    record = world.cluster.append("post.created", b"1")
    world.start([subscription("a")], [TopicPartition("friend.added", 0)])

    world.worker.pumps[0].fetched([Fetched(POSTS, 999_999, [record], 1, 1)])
    await asyncio.sleep(2)

    assert world.accepted("a") == 0
    assert world.worker.accounts.records_read == 0


@virtual
async def test_offsets_lost_to_retention_are_counted_and_said():
    world = World.new()
    world.start([subscription("a")])

    jump = Jump(tp=POSTS, from_offset=3, to_offset=10, lost=7, reason="retention")
    world.worker.pumps[0].jumped(jump)

    assert world.worker.accounts.offsets_lost == 7
    assert world.log.said("position moved")[0]["records_lost"] == 7


@virtual
async def test_a_client_that_cannot_go_on_ends_the_worker():
    world = World.new()
    world.start([subscription("a")])

    world.worker.pumps[0].faulted("fenced", is_fatal=True)
    world.worker.pumps[0].faulted("a broker is away", is_fatal=False)

    assert world.fatal == ["source: fenced"]
