"""What a worker leaves on the board: its farewell, and no keys for ever."""

from __future__ import annotations

from connector.core.sharing import WorkerNews, decode, encode
from tests.support.crew import Crew
from tests.support.virtual_time import virtual


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
    crew = await Crew.of("a", "b")

    crew.topic.is_down = True
    await crew.watch(100)
    crew.topic.is_down = False
    await crew.watch(10)

    assert None not in crew.topic.newest.values()
