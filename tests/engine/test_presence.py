"""Who is alive and how a rate limit is divided, in virtual time, with news that takes up to a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from connector.core.sharing import (
    BacklogNews,
    Fault,
    Forgotten,
    ParkingNews,
    WorkerNews,
    decode,
    encode,
)
from connector.engine.presence import Presence
from tests.support.fake_board import FakeBoard, FakeTopic
from tests.support.virtual_time import VirtualClock, run_virtual, virtual

STEP_S = 0.01
"""So often are all shares looked at."""


class Crew:
    """Workers that come and go; the sum of their shares is looked at all the time."""

    def __init__(self, delay_s: Callable[[], float] = lambda: 0.02) -> None:
        self.clock = VirtualClock()
        self.topic = FakeTopic(delay_s)
        self.workers: dict[str, Presence] = {}
        self._boards: dict[str, FakeBoard] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed_at_s = 0.0

    def join(self, worker_id: str) -> Presence:
        board = FakeBoard(self.topic)
        presence = Presence(board, self.clock, worker_id)
        board.start(lambda key, value: presence.heard(decode(key, value)))
        self.workers[worker_id] = presence
        self._boards[worker_id] = board
        self._tasks[worker_id] = asyncio.get_running_loop().create_task(presence.run())
        self._note_change()
        return presence

    def leave(self, worker_id: str) -> None:
        """The board lives on for as long as it takes to say farewell, as it does in a process that stops."""
        self.workers.pop(worker_id).leave()
        self._note_change()

    def kill(self, worker_id: str) -> None:
        self.workers.pop(worker_id, None)
        self._boards[worker_id].kill()
        self._tasks[worker_id].cancel()
        self._note_change()

    def shares(self) -> list[float]:
        now_ms = self.clock.monotonic_ms()
        return [worker.share(now_ms) for worker in self.workers.values()]

    async def outage(self, seconds: float) -> None:
        """The board is not to be reached; writes are tried again every 2 s, so mending takes longer."""
        self.topic.is_down = True
        await self.watch(seconds, least=0)
        self.topic.is_down = False
        await self.watch(3, least=0)
        self._note_change()

    async def watch(self, seconds: float, *, least: float = 0.9) -> None:
        """Let time pass: never more than the whole, and ``least`` of it 6 s after any change."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        while loop.time() < until_s:
            await asyncio.sleep(STEP_S)
            total = sum(self.shares())
            assert total <= 1 + 1e-9, f"{self.shares()} is more than the whole"
            if self.workers and loop.time() - self._changed_at_s >= 6:
                assert total >= least, f"{self.shares()} 6 s after a change"

    def _note_change(self) -> None:
        self._changed_at_s = asyncio.get_running_loop().time()


# ── shares ──────────────────────────────────────────────────────────────────────────────────────


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
    crew = Crew(delay_s=lambda: 0.9)
    old = crew.join("old")
    await crew.watch(7)

    new = crew.join("new")
    await crew.watch(1)
    now_ms = crew.clock.monotonic_ms()

    assert (old.share(now_ms), new.share(now_ms)) == (0.5, 0)
    await crew.watch(2)
    assert crew.shares() == [0.5, 0.5]


@virtual
async def test_a_worker_that_leaves_uses_nothing_at_once_and_others_take_over_when_they_hear_of_it():
    crew = Crew()
    crew.join("a")
    leaving = crew.join("b")
    await crew.watch(7)

    crew.leave("b")
    at_once = leaving.share(crew.clock.monotonic_ms())
    await crew.watch(0.1)

    assert at_once == 0
    assert crew.shares() == [1]


@virtual
async def test_a_farewell_is_enough_even_if_its_worker_dies_before_it_has_tidied_up():
    crew = Crew()
    crew.join("a")
    crew.join("b")
    await crew.watch(7)

    crew.leave("b")
    await crew.watch(0.01)
    crew.kill("b")
    await crew.watch(0.1)

    assert crew.topic.newest[b"worker/b"] is not None
    assert crew.shares() == [1]


@virtual
async def test_a_worker_that_died_is_counted_for_five_seconds():
    crew = Crew()
    crew.join("a")
    crew.join("b")
    await crew.watch(7)

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
    crew = Crew()
    crew.join("old")
    await crew.watch(7)
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
    crew = Crew(delay_s=lambda: 0.9)
    crew.join("a")
    crew.join("b")
    await crew.watch(7)

    crew.topic.is_down = True
    await crew.watch(60)
    meanwhile = crew.shares()
    crew.topic.is_down = False
    await crew.watch(10)

    assert meanwhile == [0.5, 0.5]
    assert crew.shares() == [0.5, 0.5]


@virtual
async def test_a_worker_dead_before_the_outage_is_not_counted_again_during_it():
    crew = Crew()
    crew.join("a")
    crew.join("b")
    await crew.watch(7)
    crew.kill("b")
    await crew.watch(7)

    crew.topic.is_down = True
    await crew.watch(20)
    crew.topic.is_down = False
    await crew.watch(3)

    assert crew.shares() == [1]


@virtual
async def test_a_worker_that_died_during_the_outage_is_noticed_five_seconds_after_it():
    crew = Crew()
    crew.join("a")
    crew.join("b")
    await crew.watch(7)

    crew.topic.is_down = True
    crew.kill("b")
    await crew.watch(20, least=0)
    crew.topic.is_down = False
    await crew.watch(9, least=0)

    assert crew.shares() == [1]


@virtual
async def test_a_process_that_stood_still_for_longer_than_others_wait_begins_anew():
    crew = Crew()
    frozen = crew.join("a")
    await crew.watch(7)

    asyncio.get_running_loop().pass_time(6)  # type: ignore[attr-defined]  # the loop of these tests
    at_once = frozen.share(crew.clock.monotonic_ms())
    await crew.watch(0.5, least=0)
    soon = frozen.share(crew.clock.monotonic_ms())
    await crew.watch(2, least=0)

    assert (at_once, soon) == (0, 0)
    assert crew.shares() == [1]


# ── who is there ────────────────────────────────────────────────────────────────────────────────


@virtual
async def test_the_living_know_each_other_and_the_smallest_leads():
    crew = Crew()
    a, b = crew.join("a"), crew.join("b")
    at_first = a.live(), a.leader
    await crew.watch(1)

    both = a.live()
    leaders = {a.leader, b.leader}
    crew.kill("a")
    await crew.watch(7)

    assert at_first == (set(), None)
    assert both == {"a", "b"}
    assert leaders == {"a"}
    assert b.live() == {"b"}
    assert b.leader == "b"


@virtual
async def test_what_a_worker_parks_is_known_to_the_others_at_once():
    crew = Crew()
    a, b = crew.join("a"), crew.join("b")
    await crew.watch(1.5)

    a.park({"two", "one"})
    await crew.watch(0.05)
    told = b.parking()
    a.park([])
    await crew.watch(0.05)

    assert told == {"one", "two"}
    assert b.parking() == set()


@virtual
async def test_the_same_parking_is_not_told_twice():
    crew = Crew()
    a = crew.join("a")
    a.park(["one"])
    await crew.watch(0.1)
    before = len(crew.topic.appended)

    a.park(["one"])
    await crew.watch(0.1)

    assert len(crew.topic.appended) == before


@virtual
async def test_for_whom_it_parks_is_told_when_that_changes_and_not_every_second():
    crew = Crew()
    a, b = crew.join("a"), crew.join("b")
    a.park(["one"])

    await crew.watch(20)

    assert [key for key, _ in crew.topic.appended].count(b"parking/a") == 1
    assert b.parking() == {"one"}


@virtual
async def test_a_newcomer_knows_for_whom_the_others_have_parked_all_along():
    crew = Crew()
    a = crew.join("a")
    a.park(["one"])
    await crew.watch(20)

    late = crew.join("b")
    await crew.watch(2)

    assert late.parking() == {"one"}


@virtual
async def test_who_has_not_heard_the_newest_list_of_a_worker_takes_it_to_park_for_anybody():
    crew = Crew()
    a = crew.join("a")
    await crew.watch(3)

    crew.topic.append(*encode(ParkingNews(worker="b", number=1, subscription_ids=("one",))))
    crew.topic.append(*encode(WorkerNews(worker="b", at_ms=0, parking_number=2, is_leaving=False)))
    await crew.watch(0.1)
    before = a.parking()
    crew.topic.append(*encode(ParkingNews(worker="b", number=2, subscription_ids=("two",))))
    await crew.watch(0.1)

    assert before is None
    assert a.parking() == {"two"}


@virtual
async def test_a_list_that_cannot_be_read_may_be_of_anybody_until_it_can():
    crew = Crew()
    a, b = crew.join("a"), crew.join("b")
    b.park(["one"])
    await crew.watch(3)

    crew.topic.append(b"parking/b", b'{"v":99}')
    await crew.watch(0.1)
    before = a.parking()
    b.park(["two"])
    await crew.watch(0.1)

    assert before is None
    assert a.parking() == {"two"}


@virtual
async def test_whose_list_is_too_long_for_a_record_is_alive_and_may_park_for_anybody():
    crew = Crew()
    crew.topic.value_bytes_max = 1_000
    a, b = crew.join("a"), crew.join("b")

    a.park([f"partner-{number}" for number in range(100)])
    await crew.watch(20)
    before = b.parking()
    a.park(["partner-1"])
    await crew.watch(3)

    assert b.live() == {"a", "b"}
    assert before is None
    assert b.parking() == {"partner-1"}


@virtual
async def test_who_was_taken_for_dead_tells_again_for_whom_it_parks():
    crew = Crew()
    a, b = crew.join("a"), crew.join("b")
    b.park(["one"])
    await crew.watch(3)

    crew.topic.append(b"parking/b", None)
    crew.topic.append(b"worker/b", None)
    await crew.watch(3)

    assert a.parking() == {"one"}
    assert a.live() == {"a", "b"}


@virtual
async def test_a_worker_of_a_version_we_cannot_read_is_alive_all_the_same():
    crew = Crew()
    a = crew.join("a")
    await crew.watch(3)

    crew.topic.append(b"worker/newer", b'{"v":99}')
    await crew.watch(0.1)

    assert a.live() == {"a", "newer"}
    assert a.parking() is None
    assert crew.shares() == [0.5]


@virtual
async def test_other_news_says_nothing_about_who_is_alive():
    crew = Crew()
    a = crew.join("a")
    await crew.watch(1)

    a.heard(Fault("endpoint/x", "garbage"))
    a.heard(Forgotten("endpoint/a"))
    a.heard(BacklogNews(subscription_id="x", at_ms=0, openings=1, topic_id="", cursor={}, is_done=False))

    assert a.live() == {"a"}


# ── what is left on the board ───────────────────────────────────────────────────────────────────


@virtual
async def test_who_leaves_removes_its_own_keys_after_its_farewell():
    crew = Crew()
    a = crew.join("a")
    a.park(["one"])
    await crew.watch(3)

    crew.leave("a")
    await crew.watch(1)

    farewell, *removals = crew.topic.appended[-3:]
    news = decode(*farewell)
    assert isinstance(news, WorkerNews)
    assert news.is_leaving
    assert removals == [(b"parking/a", None), (b"worker/a", None)]


@virtual
async def test_after_its_farewell_a_worker_tells_nothing_more():
    crew = Crew()
    leaving = crew.join("a")
    await crew.watch(3)

    leaving.leave()
    leaving.leave()
    leaving.park(["one"])
    crew.leave("a")
    await crew.watch(3)

    assert [value for _, value in crew.topic.appended[-1:]] == [None]
    assert sum(b'"is_leaving":true' in (value or b"") for _, value in crew.topic.appended) == 1


@virtual
async def test_the_keys_of_a_dead_worker_are_removed_after_a_minute_and_only_by_the_leader():
    crew = Crew()
    for worker_id in "abc":
        crew.join(worker_id).park(["one"])
    await crew.watch(7)
    crew.kill("b")

    await crew.watch(58)
    before = crew.topic.newest[b"worker/b"]
    await crew.watch(5)

    assert before is not None
    assert crew.topic.newest[b"worker/b"] is None
    assert crew.topic.newest[b"parking/b"] is None
    assert crew.topic.appended.count((b"worker/b", None)) == 1


@virtual
async def test_keys_of_workers_that_died_before_anybody_here_started_are_removed_too():
    crew = Crew()
    _, farewell = encode(WorkerNews(worker="left", at_ms=0, parking_number=0, is_leaving=True))
    crew.topic.append(b"worker/left", farewell)
    crew.topic.append(b"worker/unreadable", b"garbage")

    crew.join("a")
    await crew.watch(65)

    assert crew.topic.newest[b"worker/left"] is None
    assert crew.topic.newest[b"worker/unreadable"] is None
    assert crew.topic.newest[b"worker/a"] is not None


@virtual
async def test_nothing_is_removed_while_the_board_is_not_heard():
    crew = Crew()
    crew.join("a")
    crew.join("b")
    await crew.watch(7)

    crew.topic.is_down = True
    await crew.watch(100)
    crew.topic.is_down = False
    await crew.watch(10)

    assert None not in crew.topic.newest.values()
