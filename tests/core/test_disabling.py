"""Disabled is what failed long and often; then it is probed, ever more rarely."""

from __future__ import annotations

import pytest

from connector.core.disabling import (
    NEVER_MS,
    Disabled,
    DisableRules,
    FailureRun,
    agreed,
    disable,
    disable_gone,
    next_probe_ms,
)

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
NOW_MS = 1_700_000_000_000
RULES = DisableRules()


def run_of(attempts: int, *, every_ms: int) -> FailureRun:
    """Failures in a row, the first at :data:`NOW_MS`."""
    run = FailureRun()
    for attempt in range(attempts):
        run.failed(NOW_MS + attempt * every_ms)
    return run


def test_a_run_begins_with_its_first_failure_and_ends_with_a_success() -> None:
    run = run_of(3, every_ms=1_000)
    began = (run.since_ms, run.attempts)

    run.succeeded()

    assert began == (NOW_MS, 3)
    assert (run.since_ms, run.attempts) == (0, 0)


@pytest.mark.parametrize(
    ("attempts", "lasting_ms", "is_over"),
    [
        (20, 5 * DAY_MS, True),
        (19, 5 * DAY_MS, False),
        (20, 5 * DAY_MS - 1, False),
        (10_000, DAY_MS, False),
        (1, 30 * DAY_MS, False),
        (0, 30 * DAY_MS, False),
    ],
)
def test_it_takes_five_days_and_twenty_attempts(attempts: int, lasting_ms: int, is_over: bool) -> None:
    run = run_of(attempts, every_ms=1)

    assert run.is_over(NOW_MS + lasting_ms, RULES) is is_over


def test_both_numbers_may_be_chosen() -> None:
    run = run_of(2, every_ms=HOUR_MS)

    assert run.is_over(NOW_MS + HOUR_MS, DisableRules(after_ms=HOUR_MS, attempts=2))


def test_where_no_number_of_attempts_is_given_failing_never_disables() -> None:
    run = run_of(10_000, every_ms=HOUR_MS)

    assert not run.is_over(NOW_MS + 400 * DAY_MS, DisableRules(attempts=0))


def test_long_and_often_enough_says_how_long_and_how_often() -> None:
    run = run_of(40, every_ms=DAY_MS // 4)

    assert run.in_words(NOW_MS + 10 * DAY_MS) == "40 attempts in a row have failed, for 10 days."


def test_a_later_success_of_another_worker_ends_a_run() -> None:
    run = run_of(19, every_ms=HOUR_MS)

    run.told_of_success(NOW_MS + 1)
    run.failed(NOW_MS + DAY_MS)

    assert (run.since_ms, run.attempts) == (NOW_MS + DAY_MS, 1)


def test_a_success_of_another_worker_from_before_does_not() -> None:
    run = run_of(19, every_ms=HOUR_MS)

    run.told_of_success(NOW_MS)
    run.told_of_success(0)

    assert (run.since_ms, run.attempts, run.told_success_ms) == (NOW_MS, 19, NOW_MS)


def test_a_run_that_several_see_began_with_the_first_and_counts_as_the_longest() -> None:
    run = run_of(3, every_ms=HOUR_MS)

    run.told_of_run(NOW_MS - DAY_MS, 2, told_at_ms=NOW_MS, now_ms=NOW_MS)
    run.told_of_run(NOW_MS + DAY_MS, 7, told_at_ms=NOW_MS, now_ms=NOW_MS)
    run.told_of_run(0, 0, told_at_ms=NOW_MS, now_ms=NOW_MS)

    assert (run.since_ms, run.attempts) == (NOW_MS - DAY_MS, 7)


def test_a_run_that_only_another_has_seen_so_far_is_ours_too() -> None:
    run = FailureRun()

    run.told_of_run(NOW_MS, 4, told_at_ms=NOW_MS, now_ms=NOW_MS)
    run.failed(NOW_MS + 1)

    assert (run.since_ms, run.attempts) == (NOW_MS, 5)


@pytest.mark.parametrize(("after_ms", "skipped_ms"), [(DAY_MS, 0), (7 * DAY_MS, 6 * DAY_MS)])
def test_of_the_time_in_which_nobody_worked_no_more_than_a_day_counts_as_failing(
    after_ms: int, skipped_ms: int
) -> None:
    run = FailureRun()

    run.told_of_run(NOW_MS - HOUR_MS, 20, told_at_ms=NOW_MS, now_ms=NOW_MS + after_ms)

    assert run.since_ms == NOW_MS - HOUR_MS + skipped_ms


def test_what_was_paused_and_is_resumed_begins_a_new_run_and_others_know_of_the_old_ones_end() -> None:
    run = run_of(20, every_ms=1_000)
    run.all_know(20, NOW_MS + 20_000)

    run.resumed(NOW_MS + 7 * DAY_MS)

    assert (run.attempts, run.told_success_ms) == (0, NOW_MS + 7 * DAY_MS)
    assert run.is_news(NOW_MS + 7 * DAY_MS)


def test_that_a_run_goes_on_is_told_an_hour_after_it_began_and_then_once_an_hour() -> None:
    run = FailureRun()
    run.failed(1_000)

    assert not run.is_news(1_000 + 3_599_999)
    assert run.is_news(1_000 + 3_600_000)
    run.all_know(1, 3_601_000)
    run.failed(3_700_000)
    assert not run.is_news(7_200_999)
    assert run.is_news(7_201_000)


def test_a_run_in_which_nothing_more_has_failed_is_not_told_again() -> None:
    run = FailureRun()
    run.failed(1_000)
    run.all_know(1, 2_000)

    assert not run.is_news(86_400_000)


def test_the_end_of_a_run_is_told_at_once_if_others_know_of_it_and_only_then() -> None:
    known, unknown = FailureRun(), FailureRun()
    for run in (known, unknown):
        run.failed(1_000)
    known.all_know(1, 2_000)

    for run in (known, unknown):
        run.succeeded()

    assert known.is_news(2_001)
    assert not unknown.is_news(86_400_000)
    known.all_know(0, 2_001)
    assert not known.is_news(86_400_000)


def test_what_is_gone_for_good_is_not_probed_unless_that_is_chosen() -> None:
    gone = disable_gone("Gone.", RULES, now_ms=NOW_MS)
    probed = disable_gone("Gone.", DisableRules(probes_gone=True), now_ms=NOW_MS)

    assert gone == Disabled(since_ms=NOW_MS, why="Gone.", probes_at_ms=NEVER_MS)
    assert probed == disable("Gone.", RULES, now_ms=NOW_MS)
    assert agreed(gone, probed).probes_at_ms == NEVER_MS


def test_the_first_probe_is_an_hour_away() -> None:
    assert disable("Gone.", RULES, now_ms=NOW_MS) == Disabled(
        since_ms=NOW_MS, why="Gone.", probes_at_ms=NOW_MS + HOUR_MS
    )


def test_probes_double_their_distance_up_to_a_day() -> None:
    waits_h = []
    now_ms = NOW_MS

    for _ in range(8):
        probe_ms = next_probe_ms(RULES, since_ms=NOW_MS, now_ms=now_ms)
        waits_h.append((probe_ms - now_ms) // HOUR_MS)
        now_ms = probe_ms

    assert waits_h == [1, 2, 4, 8, 16, 24, 24, 24]


def test_a_clock_that_was_set_back_brings_the_first_distance() -> None:
    assert next_probe_ms(RULES, since_ms=NOW_MS, now_ms=NOW_MS - DAY_MS) == NOW_MS - DAY_MS + HOUR_MS


def test_the_first_distance_may_be_chosen() -> None:
    rules = DisableRules(probe_first_ms=1_000)

    assert disable("Gone.", rules, now_ms=NOW_MS).probes_at_ms == NOW_MS + 1_000
    assert next_probe_ms(rules, since_ms=NOW_MS, now_ms=NOW_MS + 1_000) == NOW_MS + 3_000


def test_two_workers_that_disable_at_once_agree_on_the_first_and_on_the_latest_probe() -> None:
    first = Disabled(since_ms=NOW_MS, why="Gone.", probes_at_ms=NOW_MS + HOUR_MS)
    second = Disabled(since_ms=NOW_MS + 5, why="Failed.", probes_at_ms=NOW_MS + 2 * HOUR_MS)

    both = Disabled(since_ms=NOW_MS, why="Gone.", probes_at_ms=NOW_MS + 2 * HOUR_MS)

    assert agreed(first, second) == agreed(second, first) == both
    assert agreed(both, first) == both
