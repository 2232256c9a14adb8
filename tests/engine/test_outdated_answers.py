"""Answers of attempts from before a new URL, or before a reset: they end their own delivery, no more."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from connector.core.breaker import BreakerRules
from connector.core.dialect import DIALECTS
from connector.core.disabling import Disabled
from connector.engine.lane import Lane
from tests.support.virtual_time import run_virtual, virtual
from tests.support.world import World, limits, replies, subscription

BREAKER = BreakerRules(failures_to_open=2, cool_down_ms=60_000, cool_down_max_ms=60_000)
NEW = "https://new.example/hooks"
A = subscription("a", in_flight_max=4, dialect=replace(DIALECTS["webhooks-v1"], gone_is_final=True))


async def with_answers_under_way(count: int, status: int, **reply: Any) -> tuple[World, Lane]:
    """So many POSTs that will be answered in ten seconds."""
    world = World.new(limits=limits(breaker=BREAKER))
    world.start([A])
    world.fill(8)
    await asyncio.sleep(1)
    world.behave("a", replies(status, after_s=10, **reply))
    world.fill(count)
    await asyncio.sleep(1)
    lane = world.worker.lanes.get("a")
    assert lane is not None
    assert lane.in_flight == count
    return world, lane


def moved(world: World) -> None:
    world.worker.view([replace(A, url=NEW)], [5_000, 30_000, 300_000])


def reset(world: World) -> None:
    lane = world.worker.lanes.get("a")
    assert lane is not None
    lane.forget(world.clock.now_ms())


@pytest.mark.parametrize("forget", [moved, reset])
@pytest.mark.parametrize("status", [410, 500])
def test_a_late_failure_neither_disables_nor_shuts_nor_kills_its_delivery(status: int, forget: Any):
    async def scenario() -> None:
        world, lane = await with_answers_under_way(4, status)
        forget(world)
        world.behave("a", replies(200))
        await asyncio.sleep(12)

        assert (lane.disabled, lane.breaker.state, lane.failures.attempts) == (None, "closed", 0)
        await asyncio.sleep(60)
        assert world.worker.accounts.dead == {}
        assert len(world.sender.accepted) == 12
        assert world.problems() == []

    run_virtual(scenario)


@virtual
async def test_a_late_retry_after_holds_its_own_delivery_and_not_the_new_url():
    world, lane = await with_answers_under_way(1, 503, retry_after=b"100")
    moved(world)
    await asyncio.sleep(12)
    world.fill(5)
    await asyncio.sleep(1)

    assert lane.breaker.state == "closed"
    assert world.accepted("new") == 5
    await asyncio.sleep(200)
    assert world.accepted("new") == 6


@virtual
async def test_a_late_success_does_not_enable_what_was_disabled_since():
    world, lane = await with_answers_under_way(1, 200)
    moved(world)
    lane.disabled = Disabled(since_ms=world.clock.now_ms(), why="Gone.", probes_at_ms=1 << 50)  # as told

    await asyncio.sleep(12)

    assert lane.disabled is not None
    assert world.accepted("a") == 9


@virtual
async def test_the_answer_of_a_probe_from_before_a_reset_is_no_probes_answer():
    world = World.new(limits=limits(breaker=BREAKER))
    world.behave("a", replies(500))
    world.fill(2)
    world.start([subscription("a", ladder_ms=(600_000,) * 5, in_flight_max=1)])
    await asyncio.sleep(65)
    world.behave("a", replies(500, after_s=10))
    world.fill(1)
    await asyncio.sleep(1)
    lane = world.worker.lanes.get("a")
    assert lane is not None
    assert lane.breaker.state == "half-open"

    reset(world)
    await asyncio.sleep(12)

    assert (lane.breaker.state, lane.breaker.failures, lane.in_flight) == ("closed", 0, 0)


def test_a_reset_is_later_than_the_one_before_whatever_the_clock_says() -> None:
    async def scenario() -> None:
        world = World.new()
        world.start([A])
        lane = world.worker.lanes.get("a")
        assert lane is not None

        lane.forget(1_000)
        lane.forget(1_000)
        lane.forget(400)

        assert lane.reset_at_ms == 1_002

    run_virtual(scenario)


@virtual
async def test_what_hangs_at_the_old_url_keeps_nothing_from_the_new_one():
    world, lane = await with_answers_under_way(4, 200)
    moved(world)
    world.fill(5)
    await asyncio.sleep(1)

    assert world.accepted("new") == 5
    await asyncio.sleep(10)
    assert lane.in_flight == 0
    assert len(world.sender.accepted) == 17
    assert world.problems() == []
