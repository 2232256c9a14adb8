"""The limit of a lane: up while all is well, down at the first sign that it is not."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from connector.core.pace import Pace


def at(limit: int, *, max_: int = 1_000, baseline_ms: int = 50) -> Pace:
    """A pace that has grown to ``limit`` by successes that took ``baseline_ms``, the last at 1,000 ms."""
    pace = Pace(max_, start=1)
    pace.succeeded(baseline_ms, 1_000 - baseline_ms, 1_000, is_full=False)
    succeed(pace, limit - 1, latency_ms=baseline_ms)
    return pace


def succeed(pace: Pace, times: int, *, latency_ms: int = 50, now_ms: int = 1_000) -> None:
    for _ in range(times):
        pace.succeeded(latency_ms, now_ms - latency_ms, now_ms, is_full=True)


def test_it_starts_low() -> None:
    assert Pace(100).limit == 2


def test_it_never_starts_above_its_maximum() -> None:
    assert Pace(1).limit == 1
    assert Pace(3, start=8).limit == 3


@pytest.mark.parametrize(("max_", "start"), [(0, 1), (1, 0)])
def test_a_lane_without_a_place_is_a_mistake(max_: int, start: int) -> None:
    with pytest.raises(AssertionError):
        Pace(max_, start=start)


def test_it_grows_with_every_success_until_the_first_cut() -> None:
    pace = Pace(100)

    succeed(pace, 5)

    assert pace.limit == 7


def test_it_is_learning_until_the_first_cut_or_its_maximum_and_again_after_a_restart() -> None:
    pace, cut = at(8, max_=10), at(8, max_=10)
    assert pace.is_learning

    succeed(pace, 2)
    cut.failed(1_000, 1_001)
    assert not pace.is_learning
    assert not cut.is_learning
    pace.restart()
    assert pace.is_learning


def test_a_limit_that_is_not_used_up_does_not_grow() -> None:
    pace = Pace(100)

    for _ in range(50):
        pace.succeeded(50, 950, 1_000, is_full=False)

    assert pace.limit == 2


def test_it_never_grows_above_its_maximum() -> None:
    pace = Pace(4)

    succeed(pace, 50)

    assert pace.limit == 4


@pytest.mark.parametrize(("limit", "halved"), [(16, 8), (5, 2), (2, 1), (1, 1)])
def test_a_failure_halves_it_down_to_one(limit: int, halved: int) -> None:
    pace = at(limit)

    pace.failed(1_001, 1_002)

    assert pace.limit == halved


def test_after_a_cut_it_grows_by_one_for_as_many_successes_as_it_allows() -> None:
    pace = at(8)
    pace.failed(1_001, 1_002)

    succeed(pace, 3, now_ms=1_100)
    before = pace.limit
    succeed(pace, 1, now_ms=1_100)
    after = pace.limit
    succeed(pace, 5, now_ms=1_100)

    assert (before, after, pace.limit) == (4, 5, 6)


def test_what_fails_together_cuts_once() -> None:
    pace = at(16)

    for started_ms in (1_001, 1_005, 1_010, 1_020):
        pace.failed(started_ms, 1_020)

    assert pace.limit == 8


def test_failures_that_take_no_time_cut_once_a_millisecond() -> None:
    pace = at(16)

    for _ in range(16):
        pace.failed(1_020, 1_020)

    assert pace.limit == 8


def test_an_attempt_begun_after_a_cut_cuts_again() -> None:
    pace = at(16)
    pace.failed(1_010, 1_020)

    pace.failed(1_021, 1_022)

    assert pace.limit == 4


@pytest.mark.parametrize(
    ("baseline_ms", "latency_ms", "limit"),
    [
        (0, 250, 11),
        (0, 251, 8),
        (10, 260, 11),
        (10, 261, 8),
        (83, 333, 11),
        (83, 334, 8),
        (100, 400, 11),
        (100, 401, 8),
        (5_000, 20_000, 11),
        (5_000, 20_001, 8),
    ],
)
def test_a_success_cuts_to_eight_tenths_when_it_is_slow_by_both_rules(
    baseline_ms: int, latency_ms: int, limit: int
) -> None:
    pace = at(10, baseline_ms=baseline_ms)

    pace.succeeded(latency_ms, 1_001, 1_999, is_full=True)

    assert pace.limit == limit


def test_a_slow_success_begun_before_the_last_cut_neither_cuts_nor_grows() -> None:
    pace = at(16)
    pace.failed(1_010, 1_020)

    for _ in range(20):
        pace.succeeded(900, 1_015, 1_915, is_full=True)

    assert pace.limit == 8


def test_the_first_answer_is_never_slow() -> None:
    pace = Pace(100)

    pace.succeeded(20_000, 0, 20_000, is_full=True)

    assert pace.limit == 3


def test_one_fast_answer_is_enough_to_know_what_is_slow() -> None:
    pace = at(10, baseline_ms=2_000)
    pace.succeeded(20, 1_001, 1_021, is_full=False)

    pace.succeeded(2_000, 1_030, 1_999, is_full=True)

    assert pace.limit == 8


def slow_down(pace: Pace, *, latency_ms: int, from_ms: int, until_ms: int) -> None:
    """Every answer takes ``latency_ms`` now, one after another."""
    for ended_ms in range(from_ms + latency_ms, until_ms + 1, latency_ms):
        pace.succeeded(latency_ms, ended_ms - latency_ms + 1, ended_ms, is_full=True)


def test_an_endpoint_that_became_slow_is_cut_to_one() -> None:
    pace = at(64)

    slow_down(pace, latency_ms=1_000, from_ms=1_000, until_ms=21_000)

    assert pace.limit == 1


@pytest.mark.parametrize(("latency_ms", "minutes"), [(400, 2), (1_000, 3), (5_000, 5), (30_000, 8)])
def test_what_lasts_becomes_the_new_normal(latency_ms: int, minutes: int) -> None:
    pace = at(64)

    slow_down(pace, latency_ms=latency_ms, from_ms=1_000, until_ms=minutes * 60_000)

    assert pace.limit > 1


def test_a_steady_endpoint_with_jitter_is_never_cut() -> None:
    pace = at(2, max_=10_000)

    for second in range(1, 3_600):
        pace.succeeded(40 + second * 7 % 160, second * 1_000 - 200, second * 1_000, is_full=True)

    assert pace.limit == 2 + 3_599


def test_a_long_silence_lets_the_baseline_drift_by_a_minute_at_most() -> None:
    pace = at(10, baseline_ms=640)  # 660 more after 60 steps of 1/64 and 1 ms

    pace.succeeded(5_200, 9_000_000, 9_005_200, is_full=True)
    grown = pace.limit
    pace.succeeded(5_330, 9_000_000, 9_005_200, is_full=True)

    assert (grown, pace.limit) == (11, 8)


def test_a_smaller_maximum_cuts_and_a_larger_one_gives_room() -> None:
    pace = at(10, max_=10)

    pace.rebound(4)
    cut = pace.limit
    pace.rebound(6)
    succeed(pace, 10)

    assert (cut, pace.limit) == (4, 6)


def test_a_maximum_of_nothing_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        Pace(4).rebound(0)


def test_after_a_restart_it_begins_at_one_and_grows_fast_again() -> None:
    pace = at(64)
    pace.failed(1_001, 1_002)

    pace.restart()
    restarted = pace.limit
    succeed(pace, 6, now_ms=1_100)

    assert (restarted, pace.limit) == (1, 7)


def test_it_settles_around_what_an_endpoint_can_take() -> None:
    pace = Pace(1_000)
    limits = []

    for turn in range(1_000):  # all at once, 50 ms each; the 41st and those after it are refused
        started_ms = turn * 51
        for place in range(pace.limit):
            if place < 40:
                pace.succeeded(50, started_ms, started_ms + 50, is_full=True)
            else:
                pace.failed(started_ms, started_ms + 50)
        limits.append(pace.limit)

    assert max(limits[10:]) <= 41
    assert min(limits[10:]) >= 20
    assert sum(limits[10:]) / len(limits[10:]) >= 28


class PaceModel(RuleBasedStateMachine):
    """Whatever happens, the limit stays in its bounds, rises by one and falls once per round trip."""

    times_ms: ClassVar = st.integers(0, 5_000)

    @initialize(max_=st.integers(1, 20), start=st.integers(1, 20))
    def begin(self, max_: int, start: int) -> None:
        self.pace = Pace(max_, start=start)
        self.max = max_
        self.now_ms = 0
        self.cut_ms = -1

    def changed(self, before: int, started_ms: int) -> None:
        after = self.pace.limit
        assert after <= before + 1
        if after < before:
            assert started_ms > self.cut_ms
            self.cut_ms = self.now_ms

    @rule(latency_ms=times_ms, passed_ms=times_ms, is_full=st.booleans())
    def succeeded(self, latency_ms: int, passed_ms: int, is_full: bool) -> None:
        self.now_ms += passed_ms
        before, started_ms = self.pace.limit, max(0, self.now_ms - latency_ms)
        self.pace.succeeded(latency_ms, started_ms, self.now_ms, is_full=is_full)
        assert is_full or self.pace.limit <= before
        self.changed(before, started_ms)

    @rule(latency_ms=times_ms, passed_ms=times_ms)
    def failed(self, latency_ms: int, passed_ms: int) -> None:
        self.now_ms += passed_ms
        before, started_ms = self.pace.limit, max(0, self.now_ms - latency_ms)
        self.pace.failed(started_ms, self.now_ms)
        assert self.pace.limit <= before
        self.changed(before, started_ms)

    @rule(max_=st.integers(1, 20))
    def rebound(self, max_: int) -> None:
        before = self.pace.limit
        self.pace.rebound(max_)
        self.max = max_
        assert self.pace.limit == min(before, max_)

    @rule()
    def restart(self) -> None:
        self.pace.restart()
        assert self.pace.limit == 1

    @invariant()
    def is_bounded(self) -> None:
        assert 1 <= self.pace.limit <= self.max


TestPaceModel = PaceModel.TestCase
