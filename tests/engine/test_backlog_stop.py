"""A stop waits for a replay no longer than it may, and closes its log whatever that does."""

from __future__ import annotations

import asyncio

from tests.support.two_workers import TwoWorkers
from tests.support.virtual_time import virtual
from tests.support.world import LIMITS


async def _replaying_a_log_that_does_not_answer() -> TwoWorkers:
    two = await TwoWorkers.with_parked(5)
    two.first.letters.latency_s = 3_600.0
    await two.resume()
    await asyncio.sleep(3)
    return two


@virtual
async def test_a_log_that_does_not_answer_holds_the_stop_up_no_longer_than_its_budget() -> None:
    two = await _replaying_a_log_that_does_not_answer()
    began_ms = two.cluster.clock.monotonic_ms()

    await two.first.worker.stop()

    assert two.cluster.clock.monotonic_ms() - began_ms <= LIMITS.stop_budget_ms + 1_000
    assert len(two.first.log.said("the parked topic's reader did not stop in time")) == 1
    assert two.first.letters.is_closed
    two.check_books()


@virtual
async def test_in_a_hurry_a_read_under_way_is_broken_off() -> None:
    two = await _replaying_a_log_that_does_not_answer()
    stopping = asyncio.ensure_future(two.first.worker.stop())
    await asyncio.sleep(0.1)
    began_ms = two.cluster.clock.monotonic_ms()

    two.first.worker.hurry()
    await stopping

    assert two.cluster.clock.monotonic_ms() - began_ms <= 1_000
    assert two.first.letters.is_closed
    two.check_books()
