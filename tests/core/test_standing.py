"""How a subscription stands by what lies on the board."""

from __future__ import annotations

from typing import Any

import pytest

from connector.core.breaker import BreakerSnapshot
from connector.core.disabling import Disabled
from connector.core.sharing import (
    BacklogNews,
    EndpointNews,
    ParkingNews,
    Told,
    WorkerNews,
    decode,
    digest_of,
    encode,
)
from connector.core.standing import OPERATOR, Standing, known, reset, standing
from tests.support.world import subscription

URL = "https://a.example/hooks"
CLOSED = BreakerSnapshot(state="closed", until_ms=0, cool_down_ms=30_000, failures=0, why="", opened_ms=-1)
OPEN = BreakerSnapshot(
    state="open", until_ms=9_000, cool_down_ms=30_000, failures=5, why="connect", opened_ms=4_000
)
HELD_OFF = BreakerSnapshot(
    state="open", until_ms=9_000, cool_down_ms=30_000, failures=0, why="retry-after", opened_ms=4_000
)
DISABLED = Disabled(since_ms=3_000, why="20 attempts in a row have failed, for 5 days.", probes_at_ms=8_000)


def endpoint(**changes: Any) -> EndpointNews:
    told: dict[str, Any] = {
        "subscription_id": "a",
        "url_digest": digest_of(URL),
        "url_since_ms": 0,
        "worker": "w1",
        "at_ms": 4_000,
        "breaker": CLOSED,
        "disabled": None,
        "failing_since_ms": 0,
        "failed_attempts": 0,
        "succeeded_at_ms": 0,
        "reset_at_ms": 0,
        "cleared_at_ms": 0,
    }
    return EndpointNews(**(told | changes))


def backlog(*, is_done: bool) -> BacklogNews:
    return BacklogNews(
        subscription_id="a", at_ms=5_000, openings=1, topic_id="", cursor={0: 12}, is_done=is_done
    )


def worker(name: str, *, at_ms: int = 5_000, is_leaving: bool = False) -> WorkerNews:
    return WorkerNews(worker=name, at_ms=at_ms, parking_number=0, is_leaving=is_leaving)


def parking(name: str, *subscription_ids: str) -> ParkingNews:
    return ParkingNews(worker=name, number=1, subscription_ids=subscription_ids)


def stands(*news: Told, paused: bool = False) -> Standing:
    board = known(map(encode, news))
    return standing(subscription("a", paused=paused), board, board.workers)


def test_of_whom_nothing_was_told_nothing_is_known() -> None:
    one = stands(endpoint(subscription_id="b", breaker=OPEN))

    assert (one.state, one.has_trouble, one.backlog, one.told_by) == ("well", False, "none", "")
    assert one.shown_url == "https://a.example/hooks"


@pytest.mark.parametrize(
    ("news", "paused", "state", "has_trouble"),
    [
        (endpoint(breaker=OPEN), False, "open", True),
        (endpoint(breaker=HELD_OFF), False, "held off", True),
        (endpoint(breaker=OPEN, disabled=DISABLED), False, "disabled", True),
        (endpoint(disabled=DISABLED), True, "disabled", True),
        (endpoint(breaker=OPEN), True, "open", True),
        (endpoint(), True, "paused", False),
        (endpoint(failed_attempts=3, failing_since_ms=1_000), False, "well", False),
    ],
)
def test_the_worst_of_what_is_known_is_the_state(
    news: EndpointNews, paused: bool, state: str, has_trouble: bool
) -> None:
    one = stands(news, paused=paused)

    assert (one.state, one.has_trouble) == (state, has_trouble)


def test_what_was_learnt_of_another_url_is_not_how_it_stands() -> None:
    one = stands(endpoint(url_digest=digest_of("https://old.example/hooks"), breaker=OPEN, disabled=DISABLED))

    assert (one.state, one.disabled, one.told_by) == ("well", None, "")


def test_a_backlog_is_parked_while_it_is_kept_and_replayed_afterwards() -> None:
    kept = stands(backlog(is_done=False), paused=True)
    disabled = stands(backlog(is_done=False), endpoint(disabled=DISABLED))
    resumed = stands(backlog(is_done=False))
    done = stands(backlog(is_done=True))

    assert (kept.backlog, disabled.backlog) == ("parked", "parked")
    assert (resumed.backlog, done.backlog) == ("replaying", "none")
    assert resumed.cursor == {0: 12}


def test_who_parks_for_it_is_named() -> None:
    one = stands(
        worker("w1"), parking("w1", "a", "b"), worker("w2"), parking("w2", "b"), parking("gone", "a")
    )

    assert one.parking == ("w1",)


def test_who_leaves_does_not_stay() -> None:
    board = known(encode(one) for one in (worker("b"), worker("a"), worker("leaving", is_leaving=True)))

    assert {key: one.worker for key, one in board.staying().items()} == {b"worker/a": "a", b"worker/b": "b"}


def test_what_cannot_be_read_is_kept_apart_with_its_reason() -> None:
    board = known([(b"endpoint/a", b"nonsense"), (b"worker/w1", b"")])

    assert [(fault.key, fault.why) for fault in board.faults] == [("endpoint/a", "its value is not JSON")]
    assert board.workers == []


def test_a_reset_is_news_that_others_can_read_of_an_endpoint_that_is_well() -> None:
    news = reset("a", URL, endpoint(breaker=OPEN, disabled=DISABLED, failed_attempts=7), now_ms=6_000)

    assert decode(*encode(news)) == endpoint(
        worker=OPERATOR, at_ms=6_000, reset_at_ms=6_000, cleared_at_ms=6_000
    )


@pytest.mark.parametrize(
    ("before_ms", "at_ms"), [(0, 6_000), (5_999, 6_000), (6_000, 6_001), (99_000, 99_001)]
)
def test_a_reset_is_later_than_the_one_before_whatever_the_clocks_say(before_ms: int, at_ms: int) -> None:
    assert reset("a", URL, endpoint(reset_at_ms=before_ms), now_ms=6_000).reset_at_ms == at_ms


def test_a_reset_of_whom_nothing_was_told_is_of_now() -> None:
    assert reset("a", URL, None, now_ms=6_000).reset_at_ms == 6_000
