"""Records that wait for a schema: whose fault it is, and how long."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from connector.core.event import NeedsSchema, Poison
from connector.engine.ports import SchemaAnswer, SchemaReady, SchemaUnknown, SchemaUnreachable
from connector.engine.schemas import FETCHES_MAX
from tests.support.virtual_time import virtual
from tests.support.world import POSTS, World, limits, subscription


def waiting(world: World, *values: bytes) -> None:
    for value in values:
        world.decoder.outcomes[value] = NeedsSchema(value)
        world.cluster.append("post.created", value)


@virtual
async def test_an_unreachable_registry_is_waited_for_as_long_as_it_takes():
    world = World.new()
    waiting(world, b"1")
    world.decoder.answers = [SchemaUnreachable("down")] * 100

    world.start([subscription("a")])
    await asyncio.sleep(300)
    assert world.worker.held() == {"registry": "down"}
    assert world.committed(POSTS) == 0
    world.decoder.answers.clear()
    await asyncio.sleep(10)

    assert world.accepted("a") == 1
    assert world.worker.held() == {}


@virtual
async def test_an_unknown_id_is_poison_after_the_grace_and_others_pass_it():
    world = World.new()
    waiting(world, b"1")
    world.decoder.answers = [SchemaUnknown("no such id")] * 100
    world.cluster.append("post.created", b"2")

    world.start([subscription("a")])
    await asyncio.sleep(4 * 60)
    assert (world.accepted("a"), world.worker.accounts.records_poison) == (1, 0)
    await asyncio.sleep(2 * 60)

    assert world.worker.accounts.records_poison == 1
    assert world.committed(POSTS) == 2


@virtual
async def test_a_record_older_than_the_grace_gets_none():
    world = World.new()
    world.decoder.outcomes[b"1"] = NeedsSchema("7")
    world.cluster.append("post.created", b"1", timestamp_ms=world.clock.now_ms() - 301_000)
    world.decoder.answers = [SchemaUnknown("no such id")]

    world.start([subscription("a")])
    await asyncio.sleep(1)

    assert world.worker.accounts.records_poison == 1


@virtual
async def test_a_timestamp_in_the_future_makes_the_grace_no_longer():
    world = World.new()
    world.decoder.outcomes[b"1"] = NeedsSchema("7")
    world.cluster.append("post.created", b"1", timestamp_ms=world.clock.now_ms() + 86_400_000)
    world.decoder.answers = [SchemaUnknown("no such id")] * 100

    world.start([subscription("a")])
    await asyncio.sleep(6 * 60)

    assert world.worker.accounts.records_poison == 1


@virtual
async def test_records_of_one_schema_share_a_fetch():
    world = World.new()
    world.decoder.outcomes[b"1"] = NeedsSchema("7")
    world.fill(100)

    world.start([subscription("a")])
    await asyncio.sleep(2)

    assert world.decoder.fetches == 1
    assert world.accepted("a") == 100


@virtual
async def test_fetches_under_way_are_bounded():
    world = World.new()
    under_way = most = 0

    async def fetch(_: Hashable) -> SchemaAnswer:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(1)
        under_way -= 1
        world.decoder.outcomes.clear()
        return SchemaReady()

    world.decoder.fetch = fetch
    waiting(world, *(b"%d" % n for n in range(40)))

    world.start([subscription("a")])
    await asyncio.sleep(10)

    assert most == FETCHES_MAX
    assert world.accepted("a") == 40


@virtual
async def test_a_schema_asked_for_again_at_once_makes_no_busy_loop():
    world = World.new()
    waiting(world, b"1")
    fetches = 0

    async def fetch(_: Hashable) -> SchemaAnswer:
        nonlocal fetches
        fetches += 1
        return SchemaReady()

    world.decoder.fetch = fetch

    world.start([subscription("a")])
    await asyncio.sleep(10)

    assert fetches <= 100


@virtual
async def test_waiting_records_are_bounded_by_the_window():
    world = World.new(limits=limits(flow={"window_records_max": 10}))
    world.decoder.answers = [SchemaUnreachable("down")] * 1_000
    waiting(world, *(b"%d" % n for n in range(50)))

    world.start([subscription("a")])
    await asyncio.sleep(5)

    assert world.worker.schemas.count == 10


@virtual
async def test_so_many_poison_records_in_a_row_hold_their_partition():
    world = World.new(limits=limits(poison_run_max=10))
    world.decoder.outcomes[b"bad"] = Poison("corrupt", "cut short")
    for _ in range(50):
        world.cluster.append("post.created", b"bad")

    world.start([subscription("a")])
    await asyncio.sleep(5)

    assert world.worker.accounts.records_poison == 10
    assert list(world.worker.held()) == ["post.created[0]"]
    assert world.committed(POSTS) == 10


@virtual
async def test_a_sound_record_between_ends_a_run_of_poison():
    world = World.new(limits=limits(poison_run_max=10))
    world.decoder.outcomes[b"bad"] = Poison("corrupt", "cut short")
    for n in range(50):
        world.cluster.append("post.created", b"1" if n % 9 == 8 else b"bad")

    world.start([subscription("a")])
    await asyncio.sleep(5)

    assert world.committed(POSTS) == 50


@virtual
async def test_records_given_back_wait_for_no_schema_any_more():
    world = World.new()
    waiting(world, *(b"%d" % number for number in range(50)))
    for value in list(world.decoder.outcomes):
        world.decoder.outcomes[value] = NeedsSchema("7")
    world.decoder.answers = [SchemaUnreachable("down")] * 1_000
    world.start([subscription("a")])

    for _ in range(5):
        await asyncio.sleep(20)
        await world.source.revoke(POSTS)
        world.source.assign(POSTS)
    await asyncio.sleep(20)

    assert world.worker.schemas.count == 50
