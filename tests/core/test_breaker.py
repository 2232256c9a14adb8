"""The breaker: every cell of its table walked, and what the table alone does not say."""

from __future__ import annotations

import pytest

from connector.core.breaker import TABLE, Breaker, BreakerRules, BreakerSnapshot, Mode, Signal
from tests.support.breakers import MODES, NOW_MS, RULES, ask, in_mode, mode_of, told

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
