"""Who is there, and for whom each of them parks."""

from __future__ import annotations

from connector.core.sharing import BacklogNews, Fault, Forgotten, ParkingNews, WorkerNews, encode
from tests.support.crew import Crew
from tests.support.virtual_time import virtual


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
