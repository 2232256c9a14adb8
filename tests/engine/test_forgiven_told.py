"""What a worker has told of endpoints before it took the fault for its own, the others hear is over."""

from __future__ import annotations

import asyncio

from connector.core.outcome import Failure
from tests.support.team import Team
from tests.support.virtual_time import virtual
from tests.support.world import FakeSender, Post, subscription

IDS = [f"s{number}" for number in range(12)]


async def two_with_proven_hosts() -> Team:
    """Both have reached every one of twelve endpoints just now."""
    team = Team()
    for _ in range(2):
        await team.start(*(subscription(id_) for id_ in IDS))
    await asyncio.sleep(1)
    for worker in range(2):
        team.fill(3, worker)
    await asyncio.sleep(2)
    assert len(team.sender.accepted) == 2 * 3 * len(IDS)
    return team


def cut_off(sender: FakeSender, id_: str) -> None:
    sender.behaviour[f"https://{id_}.example/hooks"] = no_route


def no_route(_: Post) -> tuple[float, Failure]:
    return 0.01, Failure("connect", "no route to host")


@virtual
async def test_a_breaker_that_a_worker_forgives_is_closed_again_at_those_who_had_learnt_of_it():
    team = await two_with_proven_hosts()
    first, second = team.worlds
    first.sender.behaviour = team.sender.behaviour.copy()  # from here on the first alone is cut off
    for id_ in IDS[:2]:
        cut_off(first.sender, id_)
    team.fill(5, 0)
    await asyncio.sleep(2)
    assert {lane.breaker.why for lane in team.lanes("s0")} == {"connect"}
    assert first.worker.held() == {}, "two hosts may be their own fault"

    for id_ in IDS[2:]:
        cut_off(first.sender, id_)
    team.fill(20, 0)
    await asyncio.sleep(4)

    assert "sending" in first.worker.held()
    assert {lane.breaker.state for lane in second.worker.lanes} == {"closed"}


@virtual
async def test_what_another_worker_found_dead_is_not_told_to_live_by_one_whose_own_fault_hides_it():
    team = await two_with_proven_hosts()
    first, second = team.worlds
    first.sender.behaviour = team.sender.behaviour.copy()
    cut_off(second.sender, "s0")
    team.fill(5, 1)
    await asyncio.sleep(2)
    assert {lane.breaker.why for lane in team.lanes("s0")} == {"connect"}

    for id_ in IDS:
        cut_off(first.sender, id_)
    team.fill(20, 0)
    await asyncio.sleep(4)

    assert "sending" in first.worker.held()
    lane = second.worker.lanes.get("s0")
    assert lane is not None
    assert lane.breaker.state == "open"
