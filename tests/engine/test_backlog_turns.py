"""A long pass keeps nobody else waiting, be it a replay or for a probe: it ends in time, and who has waited
longest is next."""

from __future__ import annotations

import asyncio

from connector.core.disabling import Disabled
from connector.core.headers import OWN_PREFIX
from connector.core.subscription import Subscription
from tests.support.two_workers import TIERS, TwoWorkers, paused, resumed
from tests.support.virtual_time import virtual
from tests.support.world import subscription

OFTEN = 8_000
"""Of each source partition: at 2,000 a second, twice as many take 8 s."""


def quiet(id_: str, *, is_paused: bool = False) -> Subscription:
    """Nothing comes for it."""
    return subscription(id_, ladder_ms=TIERS, events=("none",), paused=is_paused)


def disable(two: TwoWorkers, id_: str) -> None:
    """Its probe has been due for long."""
    for world in (two.first, two.second):
        lane = world.worker.lanes.get(id_)
        assert lane is not None
        lane.disabled = Disabled(since_ms=0, why="It failed.", probes_at_ms=1)


async def with_two_backlogs() -> TwoWorkers:
    """A long one of acme, which is resumed, and one letter from each partition for b, parked before that."""
    two = await TwoWorkers.joined()
    two.view(paused("acme"), paused("b"))
    await asyncio.sleep(2)
    two.produce(1)
    await two.until(lambda: two.parked == 4, "both are parked")
    two.view(paused("acme"), quiet("b", is_paused=True))
    await asyncio.sleep(2)
    two.produce(OFTEN)
    await two.until(lambda: two.parked == 4 + 2 * OFTEN, "all is parked")
    two.view(resumed("acme"), paused("b"))
    await two.until(lambda: two.replayed >= 1_000, "the long replay has begun")
    return two


@virtual
async def test_what_is_resumed_during_a_long_replay_waits_for_seconds_only() -> None:
    two = await with_two_backlogs()

    two.view(resumed("acme"), resumed("b"))
    await two.until(lambda: two.first.accepted("b") == 2, "b has what was parked for it")

    assert two.replayed < 2 * OFTEN - 2_000
    await two.until_replayed()
    await two.until(lambda: len(two.accepted) == 2 * OFTEN + 2, "acme has all")
    assert two.first.accepted("b") == 2
    two.check_books()


@virtual
async def test_a_probe_that_is_due_during_a_long_replay_is_made_within_seconds() -> None:
    two = await with_two_backlogs()
    disable(two, "b")
    two.view(resumed("acme"), quiet("b"))

    await two.until(lambda: two.first.accepted("b") == 1, "b is probed")

    assert two.replayed < 2 * OFTEN - 2_000


@virtual
async def test_a_log_that_is_slow_to_say_how_far_it_reaches_leaves_each_of_two_its_turn() -> None:
    two = await with_two_backlogs()
    two.first.letters.extents_s = 6.0

    two.view(resumed("acme"), resumed("b"))
    await two.until_replayed()
    await two.until(lambda: len(two.accepted) == 2 * OFTEN + 2, "acme has all")

    assert two.first.accepted("b") == 2
    two.check_books()


async def with_a_probe_far_off() -> TwoWorkers:
    """A letter of acme, which is disabled, is looked for among many of somebody else, which takes 20 s. One
    letter from each partition is parked for b, which is paused; its replay does not pass over those again."""
    two = await TwoWorkers.joined()
    two.view(quiet("acme"), paused("b"))
    await asyncio.sleep(2)
    for _ in range(20_000):
        two.append_parked(b"1", [(f"{OWN_PREFIX}subscription-id", b"of somebody else")])
    two.view(quiet("acme"), resumed("b"))
    two.produce(1)
    await two.until(lambda: two.first.worker.parked.backlogs["b"].is_done, "b has passed over them")
    two.view(paused("acme"), paused("b"))
    await asyncio.sleep(2)
    two.produce(1)
    await two.until(lambda: two.parked == 20_004, "both are parked")
    two.first.letters.latency_s = 0.1
    disable(two, "acme")
    two.view(quiet("acme"), quiet("b", is_paused=True))
    await two.until(lambda: two.replayed >= 1_000, "the letter is looked for")
    return two


@virtual
async def test_what_is_resumed_while_a_letter_for_a_probe_is_looked_for_waits_for_seconds_only() -> None:
    two = await with_a_probe_far_off()
    before = two.first.accepted("b")

    two.view(quiet("acme"), quiet("b"))
    await asyncio.sleep(10)

    assert two.first.accepted("b") == before + 2
    assert two.first.accepted("acme") == 0
    await asyncio.sleep(40)  # less than until another letter would be taken
    assert two.first.accepted("acme") == 2
    two.check_books()


@virtual
async def test_a_probe_that_is_due_while_a_letter_for_another_is_looked_for_waits_for_seconds_only() -> None:
    two = await with_a_probe_far_off()
    before = two.first.accepted("b")

    disable(two, "b")
    two.view(quiet("acme"), quiet("b"))
    await asyncio.sleep(10)

    assert two.first.accepted("b") > before
    assert two.first.accepted("acme") == 0
    await asyncio.sleep(40)  # less than until another letter would be taken
    assert two.first.accepted("acme") == 2
    two.check_books()
