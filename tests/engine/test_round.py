"""Each lane has its turn, and no look has to see all of them."""

from __future__ import annotations

from collections import Counter

import pytest

from connector.engine.round import FEW, LOOKS_PER_ROUND, Round
from tests.support.virtual_time import virtual
from tests.support.world import World, subscription


@pytest.mark.parametrize("count", [0, 1, FEW - 1, FEW, FEW + 1, LOOKS_PER_ROUND * FEW + 1_000])
def test_each_lane_has_its_turn_as_often_as_any_other(count: int):
    @virtual
    async def run() -> None:
        world = World.new()
        world.worker.lanes.replace([subscription(f"s{number}") for number in range(count)])
        round_ = Round(world.worker.lanes)

        looks = [round_.next() for _ in range(LOOKS_PER_ROUND + 1)]

        turns = Counter(lane.subscription.id for lanes in looks for lane in lanes)
        assert len(turns) == count
        assert max(len(lanes) for lanes in looks) <= max(FEW, count // LOOKS_PER_ROUND)
        assert not turns or max(turns.values()) - min(turns.values()) <= 1
        assert all(len(set(lanes)) == len(lanes) for lanes in looks)

    run()


@virtual
async def test_a_lane_that_comes_has_its_turn_and_one_that_went_has_none_any_more():
    world = World.new()
    staying = [subscription(f"stays{number}") for number in range(2 * FEW)]
    world.worker.lanes.replace([*staying, subscription("goes")])
    round_ = Round(world.worker.lanes)
    round_.next()

    world.worker.lanes.replace([*staying, subscription("comes")])
    turns = {lane.subscription.id for _ in range(5) for lane in round_.next()}

    assert turns == {lane.subscription.id for lane in world.worker.lanes}
