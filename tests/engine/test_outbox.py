"""Letters: written until the broker has them, and what each kind of failed write means."""

from __future__ import annotations

import asyncio

import pytest

from connector.core.event import Poison
from connector.core.headers import Decoded, DecodedPoison, decode_dead
from connector.engine.ports import NotWritten, WriteFault
from tests.support.virtual_time import virtual
from tests.support.world import POSTS, World, replies, subscription


def failing() -> World:
    world = World.new()
    world.behave("a", replies(500))
    return world


@pytest.mark.parametrize("fault", ["passing", "fatal", "forbidden"])
def test_a_failed_write_holds_the_offset_until_it_succeeds(fault: WriteFault):
    @virtual
    async def run() -> None:
        world = failing()
        world.cluster.write_faults = [NotWritten(fault, "x")] * 3
        world.cluster.append("post.created", b"1")

        world.start([subscription("a")])
        await asyncio.sleep(0.5)
        before = world.committed(POSTS)
        await asyncio.sleep(4)

        assert before <= 0
        assert world.committed(POSTS) == 1
        assert len(world.cluster.tier_letters()) == 1
        assert world.worker.accounts.writes_failed == {fault: 3}
        assert world.problems() == []

    run()


@pytest.mark.parametrize("fault", ["missing-topic", "forbidden", "fatal"])
def test_a_topic_that_cannot_be_written_stops_reading_until_it_can(fault: WriteFault):
    @virtual
    async def run() -> None:
        world = failing()
        world.cluster.write_faults_by_topic["webhooks.retry.5s"] = NotWritten(fault, "x")
        world.cluster.append("post.created", b"1")
        world.start([subscription("a", ladder_ms=(5_000,))])
        await asyncio.sleep(1)

        world.cluster.append("post.created", b"1")
        await asyncio.sleep(20)
        assert world.worker.unready() == ["cannot write its own topics: webhooks.retry.5s: x"]
        assert world.worker.accounts.records_read == 1
        world.cluster.write_faults_by_topic.clear()
        await asyncio.sleep(10)

        assert world.worker.unready() == []
        assert world.worker.accounts.records_read - world.worker.accounts.tier_records_read == 2

    run()


@virtual
async def test_a_passing_fault_that_does_not_pass_stops_reading():
    world = failing()
    world.cluster.write_faults_by_topic["webhooks.retry.5s"] = NotWritten("passing", "no acknowledgement")
    world.cluster.append("post.created", b"1")

    world.start([subscription("a", ladder_ms=(5_000,))])
    await asyncio.sleep(10)
    assert world.worker.unready() == []
    await asyncio.sleep(20)

    assert world.worker.unready() == ["cannot write its own topics: webhooks.retry.5s: no acknowledgement"]


@virtual
async def test_what_was_blocked_by_a_partition_that_left_does_not_stop_the_others():
    world = failing()
    world.cluster.write_faults_by_topic["webhooks.retry.5s"] = NotWritten("forbidden", "x")
    world.cluster.append("post.created", b"1")
    world.start([subscription("a", ladder_ms=(5_000,))])
    await asyncio.sleep(1)
    assert world.worker.outbox.blocked

    world.source.lose(POSTS)

    assert world.worker.outbox.blocked == ""


@virtual
async def test_a_dead_letter_that_fails_holds_the_offset():
    world = World.new()
    world.decoder.outcomes[b"bad"] = Poison("corrupt", "cut short")
    world.cluster.write_faults_by_topic["webhooks.dead-letters"] = NotWritten("passing", "x")
    world.cluster.append("post.created", b"bad")

    world.start([subscription("a")])
    await asyncio.sleep(5)
    assert world.committed(POSTS) == 0
    world.cluster.write_faults_by_topic.clear()
    await asyncio.sleep(10)

    assert world.committed(POSTS) == 1
    assert world.worker.accounts.records_poison == 1


@virtual
async def test_a_record_too_large_for_a_tier_becomes_a_pointer_letter():
    world = failing()
    world.cluster.write_faults = [NotWritten("too-large", "x")]
    world.cluster.append("post.created", b'"' + b"x" * 100_000 + b'"')

    world.start([subscription("a")])
    await asyncio.sleep(3)

    [letter] = world.cluster.letters("webhooks.dead-letters")
    read = decode_dead(letter.headers)
    assert isinstance(read, Decoded)
    assert (read.trail.reason, len(letter.value or b"")) == ("oversize", 65_536)
    assert read.trail.pointer is not None
    assert world.worker.accounts.dead == {"oversize": 1}
    assert world.committed(POSTS) == 1


@virtual
async def test_a_poison_record_too_large_becomes_a_pointer_letter():
    world = World.new()
    world.decoder.outcomes[b"bad"] = Poison("corrupt", "cut short")
    world.cluster.write_faults = [NotWritten("too-large", "x")]
    world.cluster.append("post.created", b"bad")

    world.start([subscription("a")])
    await asyncio.sleep(3)

    [letter] = world.cluster.letters("webhooks.dead-letters")
    read = decode_dead(letter.headers)
    assert isinstance(read, DecodedPoison)
    assert read.trail.pointer is not None


@virtual
async def test_a_pointer_letter_that_is_too_large_as_well_blocks_and_is_tried_without_haste():
    world = failing()
    world.cluster.write_faults = [NotWritten("too-large", "x")] * 6
    world.cluster.append("post.created", b"1")

    world.start([subscription("a")])
    await asyncio.sleep(1)

    assert world.worker.outbox.blocked == "webhooks.dead-letters: x"
    assert world.worker.accounts.writes_failed["too-large"] <= 5


@virtual
async def test_a_missing_tier_is_replaced_by_the_next_longer_one():
    world = failing()
    world.cluster.write_faults_by_topic["webhooks.retry.5s"] = NotWritten("missing-topic", "x")
    world.cluster.append("post.created", b"1")

    world.start([subscription("a", ladder_ms=(5_000, 30_000))])
    await asyncio.sleep(1)

    assert [letter.topic for letter in world.cluster.tier_letters()] == ["webhooks.retry.30s"]
    assert world.worker.accounts.to_tiers == {30_000: 1}


@virtual
async def test_a_missing_longest_tier_is_replaced_without_being_early():
    world = failing()
    world.cluster.write_faults_by_topic["webhooks.retry.30s"] = NotWritten("missing-topic", "x")
    world.cluster.append("post.created", b"1")

    world.start([subscription("a", ladder_ms=(30_000,)), subscription("b", ladder_ms=(5_000,))])
    await asyncio.sleep(60)

    first, second = [post.at_ms for post in world.sender.posts if "//a." in post.url]
    assert second - first >= 30_000
    assert world.problems() == []


@virtual
async def test_a_stop_ends_within_its_budget_while_the_broker_is_away():
    world = failing()
    for topic in ("5s", "30s", "5m"):
        world.cluster.write_faults_by_topic[f"webhooks.retry.{topic}"] = NotWritten("passing", "away")
    world.fill(20)
    world.start([subscription("a")])
    await asyncio.sleep(1)
    started_s = asyncio.get_running_loop().time()

    await world.worker.stop()

    assert asyncio.get_running_loop().time() - started_s <= 35.1
    assert world.committed(POSTS) == 0
    assert world.problems() == []
    assert world.fatal == []
