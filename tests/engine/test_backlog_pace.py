"""A replay of what was parked leaves fresh events their share: both its pace and its hand are bounded."""

from __future__ import annotations

import asyncio

from tests.support.two_workers import TwoWorkers
from tests.support.virtual_time import virtual
from tests.support.world import LIMITS, replies


@virtual
async def test_no_more_than_two_thousand_a_second_are_replayed() -> None:
    two = await TwoWorkers.with_parked(3_000)

    await two.replay()

    times = sorted(letter.timestamp_ms for letter in two.on_tier)
    assert len(times) == 6_000
    assert all(late - early >= 950 for early, late in zip(times, times[2_000:], strict=False))


@virtual
async def test_no_more_than_five_hundred_are_unacknowledged_and_all_go_on_when_the_broker_is_back() -> None:
    two = await TwoWorkers.with_parked(1_000)

    unacknowledged = await _resumed_while_the_tier_is_away(two)

    assert 100 <= unacknowledged <= 500
    assert len(two.accepted) == 2_000
    two.check_books()


@virtual
async def test_no_more_than_sixteen_mebibytes_are_unacknowledged() -> None:
    two = await TwoWorkers.joined()
    await two.pause()
    await asyncio.sleep(1)
    for n in range(60):
        two.cluster.append("post.created", b"1" * 900_000, partition=n % 2)
    await two.until_parked(60)

    unacknowledged = await _resumed_while_the_tier_is_away(two)

    assert unacknowledged == (16 << 20) // 900_000
    assert len(two.accepted) == 60
    two.check_books()


async def _resumed_while_the_tier_is_away(two: TwoWorkers) -> int:
    """How many letters the leader had in hand before the tier came back; then all are replayed and sent."""
    two.take_tier_away()
    await two.resume()
    await asyncio.sleep(60)
    in_hand = two.first.worker.in_hand().records
    two.check_books()

    two.bring_tier_back()
    await two.until_replayed()
    await asyncio.sleep(10)
    return in_hand


@virtual
async def test_a_process_that_is_full_replays_nothing_until_it_has_room() -> None:
    two = await TwoWorkers.with_parked(500)
    two.first.behave("acme", replies(200, after_s=0.4))
    in_hand = [0]

    def is_accepted() -> bool:
        in_hand.append(two.first.worker.in_hand().deliveries)
        return len(two.accepted) == 1_000

    await two.resume()
    await two.until(is_accepted, "all is accepted")

    assert max(in_hand) <= LIMITS.dispatch.in_hand_max + 100
