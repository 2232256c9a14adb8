"""What was parked is replayed once nobody parks any more: all of it, by one worker, from where it stood."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.support.two_workers import PARKED, SOURCES, TwoWorkers, paused, resumed
from tests.support.virtual_time import virtual
from tests.support.world import World, limits


@virtual
async def test_workers_that_learn_of_pause_and_resume_seconds_apart_leave_nothing_behind() -> None:
    two = await TwoWorkers.joined()
    two.produce(10)
    await two.pause(apart_s=4)
    two.produce(10)
    await asyncio.sleep(4)
    two.produce(10)
    await two.resume(apart_s=4)
    two.produce(10)

    await two.until_replayed()

    assert two.accepted == Counter(two.accepted.keys())
    assert len(two.accepted) == 80
    assert two.parked >= 20
    assert two.replayed == two.parked
    two.check_books()


@virtual
async def test_alone_a_worker_replays_too() -> None:
    world = World.new(limits=limits())
    world.start([paused("acme")])
    await asyncio.sleep(1)
    world.fill(10)
    await asyncio.sleep(3)
    parked = len(world.cluster.letters(PARKED))

    world.worker.view([resumed("acme")], resumed("acme").ladder_ms)
    await asyncio.sleep(10)

    assert parked == 10
    assert world.accepted("acme") == 10
    assert world.problems() == []


# ── when it is due ──────────────────────────────────────────────────────────────────────────────


@virtual
async def test_while_one_worker_still_parks_nothing_is_replayed() -> None:
    two = await TwoWorkers.with_parked(5)

    await two.resume(apart_s=30)
    before = len(two.accepted)
    await two.until_replayed()

    assert before == 0
    assert len(two.accepted) == 10


@virtual
async def test_a_live_worker_whose_news_cannot_be_read_may_park_for_anybody() -> None:
    two = await TwoWorkers.with_parked(5)

    await two.resume()
    for _ in range(20):
        two.topic.append(b"worker/x", b'{"v":2}')
        await asyncio.sleep(1)
    before = len(two.accepted)
    await two.until_replayed()

    assert before == 0
    assert len(two.accepted) == 10


@virtual
async def test_a_worker_that_dies_while_it_parks_holds_the_replay_up_for_seconds_only() -> None:
    two = await TwoWorkers.with_parked(5)
    await asyncio.sleep(2)  # and committed

    await two.second.kill()
    two.first.source.assign(SOURCES[1])
    two.view(resumed("acme"))
    await asyncio.sleep(3)
    before = len(two.accepted)
    await two.until_replayed()

    assert before == 0
    assert len(two.accepted) == 10


@virtual
async def test_what_is_paused_itself_or_unknown_here_stays_where_it_is() -> None:
    two = await TwoWorkers.joined()
    two.view(paused("acme"), paused("other"))
    await asyncio.sleep(3)
    two.produce(5)
    await two.until_parked(20)

    two.view(resumed("acme"), paused("other"))
    await two.until_replayed()
    acme = two.first.accepted("acme")
    two.view(resumed("acme"))
    await asyncio.sleep(30)

    assert (acme, two.first.accepted("other")) == (10, 0)
    assert not two.first.worker.parked.backlogs["other"].is_done


@virtual
async def test_subscriptions_resumed_together_are_replayed_in_one_pass() -> None:
    two = await TwoWorkers.joined()
    two.view(paused("s1"), paused("s2"), paused("s3"))
    await asyncio.sleep(3)
    two.produce(5)
    await two.until_parked(30)

    two.view(resumed("s1"), resumed("s2"), resumed("s3"))
    await asyncio.sleep(10)

    assert [two.first.accepted(one) for one in ("s1", "s2", "s3")] == [10, 10, 10]
    assert len(two.first.letters.reads) == len(set(two.first.letters.reads))


@virtual
async def test_each_time_it_is_paused_what_is_parked_then_is_replayed() -> None:
    two = await TwoWorkers.joined()

    for _ in range(3):
        await two.pause(apart_s=1)
        two.produce(10)
        await asyncio.sleep(3)
        await two.resume(apart_s=2)
        await two.until_replayed()

    assert two.accepted == Counter(two.accepted.keys())
    assert len(two.accepted) == 60
    assert two.backlog.openings == 6
    two.check_books()


# ── when it is done ─────────────────────────────────────────────────────────────────────────────


@virtual
async def test_a_done_that_is_out_of_date_closes_nothing() -> None:
    two = await TwoWorkers.with_parked(5)

    two.tell(openings=1, cursor={0: 0}, is_done=True)
    await asyncio.sleep(2)
    held = two.backlog
    await two.replay()

    assert (held.openings, held.is_done) == (2, False)
    assert len(two.accepted) == 10


@virtual
async def test_a_done_by_one_who_has_not_heard_that_we_park_is_opened_again() -> None:
    two = await TwoWorkers.with_parked(5)

    two.tell(openings=9, cursor={}, is_done=True)
    await asyncio.sleep(2)
    two.produce(5)
    await asyncio.sleep(5)
    await two.replay()

    assert len(two.accepted) == 20


# ── broken off in the middle ────────────────────────────────────────────────────────────────────


@virtual
async def test_when_the_leader_dies_in_the_middle_the_next_goes_on_from_the_cursor() -> None:
    two = await TwoWorkers.in_the_middle()

    await two.first.kill()
    cursor = dict(two.backlog.cursor)
    two.hand_over()
    await two.until_replayed()

    assert two.second.letters.reads[0][1] >= min(cursor.values())
    assert set(two.accepted) == {f"post_created-{p}-{n}" for p in (0, 1) for n in range(3_000)}
    assert two.second.problems() == []


@virtual
async def test_a_worker_that_stops_in_the_middle_gives_back_what_it_has_not_written() -> None:
    two = await TwoWorkers.in_the_middle()

    await two.first.worker.stop()
    two.hand_over()
    await two.until_replayed()

    assert two.first.letters.is_closed
    assert len(two.accepted) == 6_000
    two.check_books()


@virtual
async def test_paused_again_in_the_middle_the_rest_stays_at_its_cursor() -> None:
    two = await TwoWorkers.in_the_middle()

    await two.pause(apart_s=2)
    await asyncio.sleep(30)
    replayed, accepted = two.replayed, len(two.accepted)
    await two.resume(apart_s=2)
    await two.until_replayed()

    assert 2_000 <= replayed < 6_000
    assert accepted <= replayed
    assert len(two.accepted) == 6_000
    two.check_books()
