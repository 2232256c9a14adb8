"""Who is slow, though well, keeps nobody waiting whose events come from the same partition."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from connector.core.breaker import BreakerRules
from tests.support.virtual_time import run_virtual
from tests.support.world import World, limits, replies, subscription

SECONDS = 30


async def late_by_ms(world: World, *, per_s: int) -> list[int]:
    """By how much each event was late at ``b``, sorted."""
    made_ms: list[int] = []
    for _ in range(SECONDS * 10):
        made_ms += [world.clock.now_ms()] * (per_s // 10)
        world.fill(per_s // 10)
        await asyncio.sleep(0.1)
    await asyncio.sleep(10)
    arrived_ms = sorted(post.at_ms for post in world.sender.accepted if "//b." in post.url)
    assert len(arrived_ms) == len(made_ms)
    return sorted(arrived - made for arrived, made in zip(arrived_ms, made_ms, strict=True))


@pytest.mark.parametrize("per_s", [500, 1_000])
@pytest.mark.parametrize("slow", [{"rate_per_s": 10.0}, {"in_flight_max": 1}], ids=["limited", "slow"])
def test_one_that_takes_ten_a_second_does_not_slow_its_neighbour(slow: dict[str, Any], per_s: int) -> None:
    async def scenario() -> None:
        world = World.new(
            limits=limits(
                dispatch={"in_flight_max": 2_048, "host_in_flight_max": 256, "in_hand_max": 20_000},
                flow={"window_records_max": 2_000},
                tier_flow={"window_records_max": 2_000},
                breaker=BreakerRules(),
            )
        )
        world.behave("a", replies(200, after_s=0.1))
        world.start([subscription("a", queue_max=200, **slow), subscription("b")])
        await asyncio.sleep(4)

        late_ms = await late_by_ms(world, per_s=per_s)

        assert late_ms[len(late_ms) // 2] <= 100
        assert late_ms[len(late_ms) * 99 // 100] <= 1_000

    run_virtual(scenario)
