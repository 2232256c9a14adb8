"""The breaker: every cell of its table walked, and a model of what may never happen."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from connector.core.breaker import (
    HOLD_OFF_MAX_MS,
    RETRY_AFTER,
    TABLE,
    Breaker,
    BreakerRules,
    BreakerSnapshot,
    Mode,
    Signal,
)

RULES = BreakerRules(failures_to_open=3, cool_down_ms=10_000, cool_down_max_ms=35_000)
NOW_MS = 1_700_000_000_000

MODES: tuple[Mode, ...] = ("closed", "open", "held off", "half-open")
GRID: dict[Signal, tuple[str, ...]] = {
    # what happens:   while closed, open, held off, half-open
    "success": ("closed", "closed", "held off", "closed"),
    "failure": ("closed", "open", "held off", "half-open"),
    "last straw": ("open", "open", "held off", "half-open"),
    "probe failed": ("closed", "open", "held off", "open"),
    "probe lost": ("closed", "open", "held off", "open"),
    "hold off": ("held off", "held off", "held off", "held off"),
    "told open": ("open", "open", "held off", "open"),
    "cool-down over": ("-", "half-open", "half-open", "-"),
    "reset": ("closed", "closed", "closed", "closed"),
}
CELLS = {
    (mode, signal): after
    for signal, row in GRID.items()
    for mode, after in zip(MODES, row, strict=True)
    if after != "-"
}


def told(**changes: object) -> BreakerSnapshot:
    """Another worker's breaker, shut just now."""
    snapshot = BreakerSnapshot(
        state="open",
        until_ms=NOW_MS + 50_000,
        cool_down_ms=20_000,
        failures=7,
        why="http-503",
        opened_ms=NOW_MS + 1,
    )
    return replace(snapshot, **changes)


def in_mode(mode: str) -> Breaker:
    """A breaker brought there at :data:`NOW_MS`."""
    breaker = Breaker(RULES)
    if mode == "held off":
        breaker.hold_off(NOW_MS + 10_000, NOW_MS)
    elif mode != "closed":
        for _ in range(3):
            breaker.failed(NOW_MS, "connect", is_probe=False)
    if mode == "half-open":
        assert ask(breaker, NOW_MS + 10_000) == "probe"
    return breaker


def ask(breaker: Breaker, now_ms: int) -> Literal["pass", "probe", "wait", "divert"]:
    """What becomes of a delivery that wants to go; if it is the probe, it goes."""
    if breaker.may_probe(now_ms):
        breaker.begin_probe()
        return "probe"
    if breaker.state == "closed":
        return "pass"
    return "wait" if breaker.state == "half-open" else "divert"


def mode_of(breaker: Breaker) -> str:
    return "held off" if (breaker.state, breaker.why) == ("open", RETRY_AFTER) else breaker.state


def send(breaker: Breaker, signal: Signal) -> object:
    match signal:
        case "success":
            return breaker.succeeded()
        case "failure":
            breaker.failures = 0
            return breaker.failed(NOW_MS, "timeout", is_probe=False)
        case "last straw":
            breaker.failures = 2
            return breaker.failed(NOW_MS, "timeout", is_probe=False)
        case "probe failed":
            return breaker.failed(NOW_MS, "timeout", is_probe=True)
        case "probe lost":
            return breaker.probe_lost()
        case "hold off":
            return breaker.hold_off(NOW_MS + 60_000, NOW_MS)
        case "told open":
            return breaker.adopt(told(), NOW_MS)
        case "cool-down over":
            return ask(breaker, NOW_MS + 10_000)
        case "reset":
            return breaker.reset()


def test_the_table_is_the_one_that_is_wanted() -> None:
    assert TABLE == CELLS


@pytest.mark.parametrize(("mode", "signal"), CELLS)
def test_every_cell_of_the_table(mode: Mode, signal: Signal) -> None:
    breaker = in_mode(mode)
    state = breaker.state

    result = send(breaker, signal)

    assert mode_of(breaker) == CELLS[mode, signal]
    if signal in ("hold off", "told open"):
        assert result is True  # it is shut for longer, if not anew
    elif signal == "cool-down over":
        assert result == "probe"
    elif signal != "probe lost":
        assert result is (breaker.state != state)
    assert breaker.state == "open" or breaker.until_ms == 0


def test_a_closed_one_lets_everything_pass() -> None:
    breaker = Breaker(RULES)

    assert [ask(breaker, NOW_MS), ask(breaker, NOW_MS + 1)] == ["pass", "pass"]
    assert breaker.snapshot() == BreakerSnapshot(
        state="closed", until_ms=0, cool_down_ms=10_000, failures=0, why="", opened_ms=-1
    )


def test_it_opens_at_the_third_failure_in_a_row() -> None:
    breaker = Breaker(RULES)

    changed = [breaker.failed(NOW_MS + n, f"http-50{n}", is_probe=False) for n in range(3)]

    assert changed == [False, False, True]
    assert (breaker.state, breaker.failures, breaker.why) == ("open", 3, "http-502")
    assert breaker.until_ms == NOW_MS + 10_002


def test_a_success_between_failures_starts_their_count_again() -> None:
    breaker = Breaker(RULES)
    breaker.failed(NOW_MS, "connect", is_probe=False)
    breaker.failed(NOW_MS, "connect", is_probe=False)

    assert breaker.succeeded() is False

    breaker.failed(NOW_MS, "connect", is_probe=False)
    assert (breaker.state, breaker.failures) == ("closed", 1)


def test_where_no_number_of_failures_is_given_it_never_opens_by_failures() -> None:
    breaker = Breaker(BreakerRules(failures_to_open=0))

    for _ in range(1_000):
        assert breaker.failed(NOW_MS, "connect", is_probe=False) is False

    assert ask(breaker, NOW_MS) == "pass"
    assert breaker.hold_off(NOW_MS + 1_000, NOW_MS)


def test_it_diverts_until_the_cool_down_is_over_and_then_lets_one_probe_through() -> None:
    breaker = in_mode("open")

    answers = [ask(breaker, NOW_MS + ms) for ms in (0, 9_999, 10_000, 10_000, 90_000)]

    assert answers == ["divert", "divert", "probe", "wait", "wait"]


def test_the_cool_down_doubles_with_each_failed_probe_up_to_its_maximum() -> None:
    breaker = in_mode("open")
    waits_ms = []
    now_ms = NOW_MS

    for _ in range(4):
        now_ms = breaker.until_ms
        assert ask(breaker, now_ms) == "probe"
        assert breaker.failed(now_ms, "timeout", is_probe=True)
        waits_ms.append(breaker.until_ms - now_ms)

    assert waits_ms == [20_000, 35_000, 35_000, 35_000]
    assert (breaker.failures, breaker.why) == (7, "timeout")


def test_a_probe_that_succeeds_closes_it_and_forgets_the_longer_cool_down() -> None:
    breaker = in_mode("half-open")
    breaker.failed(NOW_MS, "timeout", is_probe=True)
    ask(breaker, NOW_MS + 20_000)

    assert breaker.succeeded() is True

    assert (breaker.state, breaker.failures, breaker.cool_down_ms, breaker.why) == ("closed", 0, 10_000, "")


def test_while_half_open_the_failures_of_older_attempts_count_for_nothing() -> None:
    breaker = in_mode("half-open")

    for _ in range(10):
        assert breaker.failed(NOW_MS + 10_001, "timeout", is_probe=False) is False

    assert (breaker.state, breaker.failures, breaker.cool_down_ms) == ("half-open", 3, 10_000)


def test_a_probe_that_fails_after_others_succeeded_counts_for_nothing() -> None:
    breaker = in_mode("half-open")
    breaker.succeeded()

    assert breaker.failed(NOW_MS, "timeout", is_probe=True) is False

    assert (breaker.state, breaker.failures) == ("closed", 0)


def test_after_a_lost_probe_the_next_one_that_asks_is_the_probe() -> None:
    breaker = in_mode("half-open")

    breaker.probe_lost()

    assert breaker.state == "open"
    assert breaker.cool_down_ms == 10_000
    assert [ask(breaker, NOW_MS + 10_001), ask(breaker, NOW_MS + 10_001)] == ["probe", "wait"]


def test_retry_after_shuts_a_closed_one_and_afterwards_there_is_one_probe() -> None:
    breaker = in_mode("closed")

    assert breaker.hold_off(NOW_MS + 5_000, NOW_MS) is True

    assert (breaker.state, breaker.why, breaker.cool_down_ms) == ("open", "retry-after", 10_000)
    assert [ask(breaker, NOW_MS + ms) for ms in (4_999, 5_000, 5_000)] == ["divert", "probe", "wait"]


def test_a_probe_that_is_told_to_come_later_does_not_double_the_cool_down() -> None:
    breaker = in_mode("half-open")

    assert breaker.hold_off(NOW_MS + 60_000, NOW_MS + 10_100) is True

    assert (breaker.until_ms, breaker.cool_down_ms) == (NOW_MS + 60_000, 10_000)


def test_retry_after_holds_a_lane_for_a_day_at_most() -> None:
    breaker = Breaker(RULES)

    breaker.hold_off(NOW_MS + 31 * 86_400_000, NOW_MS)

    assert breaker.until_ms == NOW_MS + 86_400_000


def test_retry_after_never_shortens_what_is_in_force() -> None:
    breaker = in_mode("open")

    assert breaker.hold_off(NOW_MS + 9_000, NOW_MS) is False

    assert breaker.until_ms == NOW_MS + 10_000


@pytest.mark.parametrize("mode", MODES)
def test_a_retry_after_that_is_over_changes_nothing(mode: str) -> None:
    breaker = in_mode(mode)
    before = breaker.snapshot()

    assert breaker.hold_off(NOW_MS + 20_000, NOW_MS + 20_000) is False

    assert breaker.snapshot() == before


def test_a_success_from_before_does_not_let_the_others_come_early() -> None:
    breaker = in_mode("held off")

    assert breaker.succeeded() is False

    assert ask(breaker, NOW_MS + 9_999) == "divert"


def test_half_open_is_told_as_open_with_its_cool_down_over() -> None:
    assert in_mode("half-open").snapshot() == BreakerSnapshot(
        state="open", until_ms=0, cool_down_ms=10_000, failures=3, why="connect", opened_ms=NOW_MS
    )


# ── what other workers learnt ───────────────────────────────────────────────────────────────────


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


# ── models ──────────────────────────────────────────────────────────────────────────────────────

_LATER_MS = st.integers(1, 60_000)


class BreakerModel(RuleBasedStateMachine):
    """One breaker, and what others tell it. ``closed_until_ms`` is what no delivery may be sent before,
    ``asked_until_ms`` the part of it that only a reset may lift."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(RULES)
        self.now_ms = NOW_MS
        self.has_probe = False
        self.asked_until_ms = 0

    @rule(passed_ms=st.integers(0, 40_000))
    def ask(self, passed_ms: int) -> None:
        self.now_ms += passed_ms
        before = self.breaker.snapshot()
        answer = ask(self.breaker, self.now_ms)
        if answer in ("pass", "probe"):
            assert self.now_ms >= max(before.until_ms, self.asked_until_ms)
        if answer == "probe":
            assert not self.has_probe
            self.has_probe = True
        assert (answer == "pass") == (self.breaker.state == "closed")
        assert (answer == "wait") == (self.has_probe and answer != "probe")

    @rule()
    def succeed(self) -> None:
        self.breaker.succeeded()
        if self.breaker.state != "open":
            self.has_probe = False

    @rule()
    def fail(self) -> None:
        before = self.breaker.cool_down_ms
        self.breaker.failed(self.now_ms, "timeout", is_probe=False)
        assert self.breaker.cool_down_ms == before

    @precondition(lambda self: self.has_probe)
    @rule()
    def probe_fails(self) -> None:
        before = self.breaker.cool_down_ms
        assert self.breaker.failed(self.now_ms, "timeout", is_probe=True)
        assert self.breaker.cool_down_ms == min(2 * before, 35_000)
        assert self.breaker.until_ms == self.now_ms + self.breaker.cool_down_ms
        self.has_probe = False

    @precondition(lambda self: self.has_probe)
    @rule()
    def probe_is_lost(self) -> None:
        self.breaker.probe_lost()
        self.has_probe = False
        assert self.breaker.until_ms <= self.now_ms

    @rule(later_ms=_LATER_MS)
    def hold_off(self, later_ms: int) -> None:
        before = self.breaker.until_ms
        self.breaker.hold_off(self.now_ms + later_ms, self.now_ms)
        assert self.breaker.until_ms >= max(before, self.now_ms + later_ms)
        self.asked_until_ms = max(self.asked_until_ms, self.now_ms + later_ms)
        self.has_probe = False

    @rule(
        is_open=st.booleans(),
        later_ms=st.integers(-5_000, 60_000),
        cool_down_ms=st.integers(0, 90_000),
        opened_ago_ms=st.integers(-1_000, 60_000),
        why=st.sampled_from(["http-503", RETRY_AFTER]),
    )
    def hear(self, is_open: bool, later_ms: int, cool_down_ms: int, opened_ago_ms: int, why: str) -> None:
        before = self.breaker.until_ms
        snapshot = BreakerSnapshot(
            state="open" if is_open else "closed",
            until_ms=self.now_ms + later_ms if is_open else 0,
            cool_down_ms=cool_down_ms,
            failures=1,
            why=why if is_open else "",
            opened_ms=self.now_ms - opened_ago_ms,
        )
        has_changed = self.breaker.adopt(snapshot, self.now_ms)
        if has_changed and is_open:
            assert self.breaker.until_ms == self.now_ms + later_ms > before
        if is_open and later_ms > 0 and why == RETRY_AFTER:
            self.asked_until_ms = max(self.asked_until_ms, self.now_ms + later_ms)
        if has_changed:
            self.has_probe = False
        assert self.breaker.adopt(snapshot, self.now_ms) is False

    @rule()
    def reset(self) -> None:
        self.breaker.reset()
        self.asked_until_ms = 0
        self.has_probe = False
        assert ask(self.breaker, self.now_ms) == "pass"

    @invariant()
    def holds(self) -> None:
        breaker = self.breaker
        assert (breaker.state == "half-open") == self.has_probe
        assert 10_000 <= breaker.cool_down_ms <= 35_000
        assert breaker.until_ms <= self.now_ms + HOLD_OFF_MAX_MS
        assert breaker.state == "open" or breaker.until_ms == 0
        assert (breaker.why == "") == (breaker.state == "closed")
        assert breaker.state != "closed" or (breaker.failures < 3 and breaker.cool_down_ms == 10_000)


class GroupModel(RuleBasedStateMachine):
    """Three workers, one endpoint, news that come late. Once all have heard everything, nobody sends to an
    endpoint that asked any of them to wait."""

    @initialize(skews_ms=st.tuples(*[st.integers(-200, 200)] * 3))
    def begin(self, skews_ms: tuple[int, int, int]) -> None:
        self.workers = [Breaker(RULES) for _ in range(3)]
        self.skews_ms = skews_ms
        self.now_ms = NOW_MS
        self.news: list[tuple[int, BreakerSnapshot]] = []
        self.asked_until_ms = 0

    def tell(self, worker: int) -> None:
        self.news.append((worker, self.workers[worker].snapshot()))

    def clock(self, worker: int) -> int:
        return self.now_ms + self.skews_ms[worker]

    @rule(worker=st.integers(0, 2), passed_ms=st.integers(1, 20_000), is_accepted=st.booleans())
    def deliver(self, worker: int, passed_ms: int, is_accepted: bool) -> None:
        self.now_ms += passed_ms
        breaker = self.workers[worker]
        answer = ask(breaker, self.clock(worker))
        if answer in ("pass", "probe"):
            changed = (
                breaker.succeeded()
                if is_accepted
                else breaker.failed(self.clock(worker), "connect", is_probe=answer == "probe")
            )
            if changed:
                self.tell(worker)

    @rule(worker=st.integers(0, 2), later_ms=_LATER_MS)
    def hold_off(self, worker: int, later_ms: int) -> None:
        until_ms = self.clock(worker) + later_ms
        if self.workers[worker].hold_off(until_ms, self.clock(worker)):
            self.asked_until_ms = max(self.asked_until_ms, until_ms)
            self.tell(worker)

    @rule()
    def all_hear_everything(self) -> None:
        for teller, snapshot in self.news:
            for worker, breaker in enumerate(self.workers):
                if worker != teller:
                    breaker.adopt(snapshot, self.clock(worker))
        self.news.clear()
        for worker, breaker in enumerate(self.workers):
            if self.clock(worker) < self.asked_until_ms:
                assert ask(breaker, self.clock(worker)) == "divert"


TestBreakerModel = BreakerModel.TestCase
TestGroupModel = GroupModel.TestCase


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
