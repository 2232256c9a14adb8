"""How a rate limit is divided among who is alive, in virtual time, with news that takes up to a second."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.support.crew import Crew
from tests.support.virtual_time import run_virtual, virtual


@virtual
async def test_one_worker_uses_nothing_before_it_has_joined_and_then_the_whole():
    crew = Crew()
    alone = crew.join("a")

    await crew.watch(1.45)
    before = alone.share(crew.clock.monotonic_ms())
    await crew.watch(0.2)
    after = alone.share(crew.clock.monotonic_ms())

    assert before == 0
    assert after == 1


@virtual
async def test_a_newcomer_waits_until_its_announcement_has_come_back_however_long_that_takes():
    crew = Crew()
    crew.topic.is_down = True
    alone = crew.join("a")

    await crew.watch(30, least=0)
    before = alone.share(crew.clock.monotonic_ms())
    crew.topic.is_down = False
    await crew.watch(8, least=0)

    assert before == 0
    assert alone.share(crew.clock.monotonic_ms()) == 1


@virtual
async def test_others_make_room_before_the_newcomer_uses_anything():
    crew = await Crew.of("old", delay_s=lambda: 0.9)
    old = crew.workers["old"]

    new = crew.join("new")
    await crew.watch(1)
    now_ms = crew.clock.monotonic_ms()

    assert (old.share(now_ms), new.share(now_ms)) == (0.5, 0)
    await crew.watch(2)
    assert crew.shares() == [0.5, 0.5]


@virtual
async def test_a_worker_that_leaves_uses_nothing_at_once_and_others_take_over_when_they_hear_of_it():
    crew = await Crew.of("a", "b")
    leaving = crew.workers["b"]

    crew.leave("b")
    at_once = leaving.share(crew.clock.monotonic_ms())
    await crew.watch(0.1)

    assert at_once == 0
    assert crew.shares() == [1]


@virtual
async def test_a_farewell_is_enough_even_if_its_worker_dies_before_it_has_tidied_up():
    crew = await Crew.of("a", "b")

    crew.leave("b")
    await crew.watch(0.01)
    crew.kill("b")
    await crew.watch(0.1)

    assert crew.topic.newest[b"worker/b"] is not None
    assert crew.shares() == [1]


@virtual
async def test_a_worker_that_died_is_counted_for_five_seconds():
    crew = await Crew.of("a", "b")

    crew.kill("b")
    await crew.watch(4)
    meanwhile = crew.shares()
    await crew.watch(1.1)

    assert meanwhile == [0.5]
    assert crew.shares() == [1]


@virtual
async def test_four_workers_that_start_at_once_get_a_quarter_each():
    crew = Crew()
    for worker_id in "abcd":
        crew.join(worker_id)

    await crew.watch(3)

    assert crew.shares() == [0.25] * 4


@virtual
async def test_a_dead_worker_found_on_the_board_takes_a_share_for_five_seconds_only():
    crew = await Crew.of("old")
    crew.kill("old")
    await crew.watch(10)

    crew.join("new")
    await crew.watch(5.1)

    assert crew.shares() == [1]


@pytest.mark.parametrize("seed", range(20))
def test_whoever_comes_goes_or_dies_the_whole_is_never_passed_and_soon_used(seed: int):
    async def story() -> None:
        chance = Random(seed)
        crew = Crew(delay_s=lambda: chance.uniform(0, 0.98))
        for number in range(12):
            some = list(crew.workers)
            match chance.choice(("join", "join", "leave", "kill", "outage")):
                case "outage":
                    await crew.outage(chance.choice((0.5, 2, 3, 5, 30)))
                case "leave" if some:
                    crew.leave(chance.choice(some))
                case "kill" if some:
                    crew.kill(chance.choice(some))
                case _ if len(some) < 4:
                    crew.join(f"worker-{number}")
            await crew.watch(chance.choice((0.1, 0.7, 1.6, 3, 5, 8)))
        await crew.watch(8)

    run_virtual(story)


# ── the board is not heard ──────────────────────────────────────────────────────────────────────


@virtual
async def test_during_an_outage_of_the_board_everybody_goes_on_with_the_last_known_share_and_after_it():
    crew = await Crew.of("a", "b", delay_s=lambda: 0.9)

    crew.topic.is_down = True
    await crew.watch(60)
    meanwhile = crew.shares()
    crew.topic.is_down = False
    await crew.watch(10)

    assert meanwhile == [0.5, 0.5]
    assert crew.shares() == [0.5, 0.5]


@virtual
async def test_a_worker_dead_before_the_outage_is_not_counted_again_during_it():
    crew = await Crew.of("a", "b")
    crew.kill("b")
    await crew.watch(7)

    crew.topic.is_down = True
    await crew.watch(20)
    crew.topic.is_down = False
    await crew.watch(3)

    assert crew.shares() == [1]


@virtual
async def test_a_worker_that_died_during_the_outage_is_noticed_five_seconds_after_it():
    crew = await Crew.of("a", "b")

    crew.topic.is_down = True
    crew.kill("b")
    await crew.watch(20, least=0)
    crew.topic.is_down = False
    await crew.watch(9, least=0)

    assert crew.shares() == [1]


@virtual
async def test_a_process_that_stood_still_for_longer_than_others_wait_begins_anew():
    crew = await Crew.of("a")
    frozen = crew.workers["a"]

    asyncio.get_running_loop().pass_time(6)  # type: ignore[attr-defined]  # the loop of these tests
    at_once = frozen.share(crew.clock.monotonic_ms())
    await crew.watch(0.5, least=0)
    soon = frozen.share(crew.clock.monotonic_ms())
    await crew.watch(2, least=0)

    assert (at_once, soon) == (0, 0)
    assert crew.shares() == [1]
