"""A breaker that hears what other workers learnt of the same endpoint."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from connector.core.breaker import HOLD_OFF_MAX_MS, RETRY_AFTER, Breaker, BreakerRules
from tests.support.breakers import MODES, NOW_MS, ask, in_mode, mode_of, told


def test_an_open_one_elsewhere_shuts_ours_with_its_cool_down() -> None:
    breaker = in_mode("closed")

    assert breaker.adopt(told(), NOW_MS) is True

    assert breaker.snapshot() == told()


def test_the_later_of_both_ends_is_kept_and_the_longer_cool_down() -> None:
    breaker = in_mode("open")

    assert breaker.adopt(told(until_ms=NOW_MS + 9_000), NOW_MS) is False
    assert breaker.adopt(told(cool_down_ms=99_000), NOW_MS) is True

    assert (breaker.until_ms, breaker.cool_down_ms) == (NOW_MS + 50_000, 35_000)


@pytest.mark.parametrize("why", ["http-503", RETRY_AFTER])
def test_the_same_news_change_nothing_the_second_time(why: str) -> None:
    breaker = in_mode("closed")
    breaker.adopt(told(why=why), NOW_MS)

    assert breaker.adopt(told(why=why), NOW_MS) is False


@pytest.mark.parametrize("mode", MODES)
def test_an_opening_that_is_over_is_no_news(mode: str) -> None:
    breaker = in_mode(mode)
    before = breaker.snapshot()

    assert breaker.adopt(told(until_ms=NOW_MS), NOW_MS) is False

    assert breaker.snapshot() == before


def test_news_of_an_opening_that_we_saw_end_are_late() -> None:
    breaker = in_mode("closed")
    breaker.adopt(told(), NOW_MS)
    assert ask(breaker, NOW_MS + 50_000) == "probe"
    breaker.succeeded()

    assert breaker.adopt(told(until_ms=NOW_MS + 90_000), NOW_MS + 50_100) is False
    assert breaker.adopt(told(until_ms=NOW_MS + 90_000, opened_ms=NOW_MS + 50_050), NOW_MS + 50_100) is True


def test_a_hold_off_is_news_as_long_as_it_lasts() -> None:
    breaker = in_mode("half-open")
    breaker.succeeded()

    assert breaker.adopt(told(why=RETRY_AFTER, opened_ms=NOW_MS - 1), NOW_MS + 10_000) is True

    assert ask(breaker, NOW_MS + 49_999) == "divert"


def test_no_news_shut_a_lane_for_more_than_a_day() -> None:
    breaker = in_mode("closed")

    breaker.adopt(told(until_ms=2**53 - 1), NOW_MS)

    assert breaker.until_ms == NOW_MS + HOLD_OFF_MAX_MS


def test_a_hold_off_that_another_heard_of_is_one_of_ours() -> None:
    breaker = in_mode("closed")
    breaker.adopt(told(why=RETRY_AFTER), NOW_MS)

    breaker.succeeded()

    assert ask(breaker, NOW_MS + 49_999) == "divert"


def test_a_hold_off_stays_one_when_others_are_shut_by_failures_for_longer() -> None:
    breaker = in_mode("held off")

    assert breaker.adopt(told(), NOW_MS) is True

    assert (mode_of(breaker), breaker.until_ms) == ("held off", NOW_MS + 50_000)


def test_a_shorter_hold_off_elsewhere_still_keeps_a_success_from_coming_early() -> None:
    breaker = in_mode("open")

    assert breaker.adopt(told(why=RETRY_AFTER, until_ms=NOW_MS + 5_000), NOW_MS) is False
    breaker.succeeded()

    assert (ask(breaker, NOW_MS + 4_999), breaker.until_ms) == ("divert", NOW_MS + 10_000)


@pytest.mark.parametrize("mode", ["open", "half-open"])
def test_whoever_saw_the_end_of_the_same_opening_opens_the_way(mode: str) -> None:
    breaker = in_mode(mode)

    assert breaker.adopt(told(state="closed", until_ms=0, opened_ms=NOW_MS), NOW_MS + 5_000) is True

    assert ask(breaker, NOW_MS + 5_000) == "pass"


@pytest.mark.parametrize("opened_ms", [-1, NOW_MS - 1])
@pytest.mark.parametrize("mode", ["open", "half-open", "held off"])
def test_whoever_was_shut_before_us_or_never_cannot_know(mode: str, opened_ms: int) -> None:
    breaker = in_mode(mode)
    before = breaker.snapshot()

    assert breaker.adopt(told(state="closed", until_ms=0, opened_ms=opened_ms), NOW_MS + 5_000) is False

    assert breaker.snapshot() == before


def test_a_closed_one_elsewhere_does_not_end_a_hold_off() -> None:
    breaker = in_mode("held off")

    assert breaker.adopt(told(state="closed", until_ms=0), NOW_MS + 5_000) is False

    assert ask(breaker, NOW_MS + 9_999) == "divert"


def test_a_closed_one_elsewhere_leaves_the_failures_we_count() -> None:
    breaker = in_mode("closed")
    breaker.failed(NOW_MS, "connect", is_probe=False)

    assert breaker.adopt(told(state="closed", until_ms=0), NOW_MS) is False

    assert breaker.failures == 1


@pytest.mark.parametrize(
    ("told_until_ms", "told_state", "is_longer"),
    [(30_000, "open", False), (29_999, "open", True), (30_001, "open", False), (90_000, "closed", True)],
)
def test_whoever_is_shut_for_longer_than_was_told_knows_it(
    told_until_ms: int, told_state: Literal["open", "closed"], is_longer: bool
) -> None:
    breaker = Breaker(BreakerRules())
    breaker.hold_off(30_000, 0)
    told = replace(breaker.snapshot(), state=told_state, until_ms=told_until_ms)

    assert breaker.is_longer(told, 1_000) is is_longer
    assert not breaker.is_longer(told, 30_000), "it is over"
