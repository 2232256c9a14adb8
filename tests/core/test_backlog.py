"""Which news of a parked backlog holds, and where its replay begins."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.backlog import begin_at, merged, opened
from connector.core.sharing import BacklogNews


def news(openings: int, *, is_done: bool = False, at: int = 0, topic_id: str = "id") -> BacklogNews:
    return BacklogNews(
        subscription_id="acme", at_ms=7, openings=openings, topic_id=topic_id, cursor={0: at}, is_done=is_done
    )


def test_the_first_opening_has_no_cursor_and_a_later_one_keeps_it() -> None:
    first = opened(None, "acme", now_ms=7)

    again = opened(news(4, is_done=True, at=90), "acme", now_ms=7)

    assert first == BacklogNews(
        subscription_id="acme", at_ms=7, openings=1, topic_id="", cursor={}, is_done=False
    )
    assert again == news(5, at=90)


def test_what_is_heard_first_holds() -> None:
    assert merged(None, news(1, is_done=True)) == news(1, is_done=True)


@pytest.mark.parametrize(
    ("known", "heard", "held"),
    [
        (news(1, at=5), news(1, at=9), news(1, at=9)),
        (news(1, at=5), news(1, at=9, is_done=True), news(1, at=9, is_done=True)),
        (news(1, is_done=True, at=9), news(2, at=9), news(2, at=9)),
        (news(2, is_done=True, at=9), news(3, is_done=True, at=9), news(3, is_done=True, at=9)),
    ],
)
def test_what_knows_of_as_many_openings_takes_the_place(
    known: BacklogNews, heard: BacklogNews, held: BacklogNews
) -> None:
    assert merged(known, heard) == held


def test_a_done_that_knows_of_fewer_openings_does_not_close_it_but_moves_the_cursor() -> None:
    assert merged(news(2, at=5), news(1, at=9, is_done=True)) == news(2, at=9)


@pytest.mark.parametrize("late", [news(2, at=5), news(1, at=5), news(1, at=5, is_done=True)])
def test_what_a_late_worker_says_does_not_open_again_what_is_done(late: BacklogNews) -> None:
    done = news(2, at=9, is_done=True)

    assert merged(done, late) == done


_NEWS = st.builds(news, st.integers(1, 4), is_done=st.booleans())


@given(st.permutations(range(4)), st.lists(_NEWS, min_size=4, max_size=4))
def test_in_whatever_order_it_is_heard_all_agree_on_whether_something_is_left(
    order: list[int], told: list[BacklogNews]
) -> None:
    known: BacklogNews | None = None
    for index in order:
        known = merged(known, told[index])

    assert known is not None
    assert (known.openings, known.is_done) == max((one.openings, one.is_done) for one in told)


def test_a_cursor_that_is_moved_comes_with_the_topic_it_is_of() -> None:
    late = news(1, at=9, topic_id="new")

    assert merged(news(2, at=5, topic_id="old"), late) == news(2, at=9, topic_id="new")


@pytest.mark.parametrize(
    ("cursor", "begins"),
    [({}, 10), ({1: 40}, 10), ({0: 40}, 40), ({0: 100}, 100), ({0: 9}, 10), ({0: 101}, 10)],
)
def test_a_replay_begins_at_the_cursor_or_where_the_log_does(cursor: dict[int, int], begins: int) -> None:
    backlog = replace(news(1), cursor=cursor)

    assert begin_at(backlog, 0, topic_id="id", start=10, end=100) == begins


@pytest.mark.parametrize(
    ("told", "found", "begins"), [("a", "b", 10), ("a", "a", 40), ("a", "", 40), ("", "b", 40), ("", "", 40)]
)
def test_a_cursor_of_another_topic_says_nothing(told: str, found: str, begins: int) -> None:
    assert begin_at(news(1, at=40, topic_id=told), 0, topic_id=found, start=10, end=100) == begins
