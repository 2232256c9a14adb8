"""After an attempt a delivery is settled, waits in a tier, or is dead, by six rules in order."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.dialect import DEFAULT_LADDER_MS
from connector.core.outcome import Deferred, Delivered, Outcome, Refused
from connector.core.routing import DeadLetter, Retry, Route, Settle, route, shut_out

NOW_MS = 1_700_000_000_000
LADDER_MS = (30_000, 300_000, 1_800_000)
HOUR_MS = 3_600_000


def routed(
    outcome: Outcome,
    *,
    attempt: int = 1,
    ladder_ms: tuple[int, ...] = LADDER_MS,
    age_ms: int = 0,
    tiers: tuple[int, ...] = LADDER_MS,
) -> Route:
    return route(
        outcome,
        attempt=attempt,
        ladder_ms=ladder_ms,
        first_attempt_ms=NOW_MS - age_ms,
        max_age_ms=HOUR_MS,
        tiers=tiers,
        now_ms=NOW_MS,
    )


def failed(error_class: str = "http-503", *, retry_after_ms: int = 0) -> Deferred:
    return Deferred(error_class=error_class, detail="It failed.", retry_after_ms=retry_after_ms)


def test_what_is_accepted_is_settled() -> None:
    assert routed(Delivered(200), attempt=99, age_ms=99 * HOUR_MS) == Settle()


@pytest.mark.parametrize("reason", ["gone", "refused"])
def test_what_is_refused_is_dead_at_once(reason: Literal["gone", "refused"]) -> None:
    outcome = Refused(reason=reason, error_class="http-410", detail="No.", status=410)

    assert routed(outcome) == DeadLetter(reason)


@pytest.mark.parametrize(("attempt", "tier_ms"), [(1, 30_000), (2, 300_000), (3, 1_800_000)])
def test_each_attempt_has_its_step_of_the_ladder(attempt: int, tier_ms: int) -> None:
    assert routed(failed(), attempt=attempt) == Retry(tier_ms=tier_ms, not_before_ms=0)


def test_a_ladder_of_three_steps_is_four_attempts() -> None:
    assert routed(failed(), attempt=4) == DeadLetter("exhausted")


def test_a_ladder_without_steps_is_one_attempt() -> None:
    assert routed(failed(), ladder_ms=()) == DeadLetter("exhausted")


def test_a_ladder_made_shorter_meanwhile_is_exhausted() -> None:
    assert routed(failed(), attempt=7) == DeadLetter("exhausted")


def test_the_receivers_wait_wins_when_it_is_longer_than_the_step() -> None:
    assert routed(failed(retry_after_ms=300_000)) == Retry(tier_ms=300_000, not_before_ms=0)


def test_the_step_wins_when_it_is_longer_than_the_receivers_wait() -> None:
    assert routed(failed(retry_after_ms=10_000), attempt=2) == Retry(tier_ms=300_000, not_before_ms=0)


def test_a_wait_no_tier_fits_carries_not_before() -> None:
    assert routed(failed(retry_after_ms=120_000)) == Retry(tier_ms=30_000, not_before_ms=NOW_MS + 120_000)


def test_a_step_whose_tier_is_missing_waits_in_a_shorter_one_and_hops() -> None:
    result = routed(failed(), attempt=2, tiers=(30_000, 1_800_000))

    assert result == Retry(tier_ms=30_000, not_before_ms=NOW_MS + 300_000)


def test_a_step_shorter_than_every_tier_waits_in_the_shortest() -> None:
    assert routed(failed(), tiers=(300_000,)) == Retry(tier_ms=300_000, not_before_ms=0)


@pytest.mark.parametrize(
    ("age_ms", "expected"),
    [(HOUR_MS, Retry(tier_ms=30_000, not_before_ms=0)), (HOUR_MS + 1, DeadLetter("expired"))],
)
def test_past_its_maximum_age_a_failed_delivery_is_expired(age_ms: int, expected: Route) -> None:
    assert routed(failed(), age_ms=age_ms) == expected


def test_a_wait_beyond_the_maximum_age_is_granted_and_judged_when_it_is_over() -> None:
    result = routed(failed(retry_after_ms=31 * 24 * HOUR_MS))

    assert result == Retry(tier_ms=1_800_000, not_before_ms=NOW_MS + 31 * 24 * HOUR_MS)


def test_exhausted_comes_before_expired() -> None:
    assert routed(failed(), attempt=4, age_ms=2 * HOUR_MS) == DeadLetter("exhausted")


def test_a_forbidden_address_walks_the_ladder() -> None:
    assert routed(failed("forbidden"), attempt=3) == Retry(tier_ms=1_800_000, not_before_ms=0)


@pytest.mark.parametrize(("attempt", "age_ms"), [(4, 0), (1, HOUR_MS + 1)])
def test_a_forbidden_address_ends_as_blocked(attempt: int, age_ms: int) -> None:
    assert routed(failed("forbidden"), attempt=attempt, age_ms=age_ms) == DeadLetter("blocked-address")


@pytest.mark.parametrize("attempt", [1, 3, 4, 99])
@pytest.mark.parametrize("age_ms", [0, 99 * HOUR_MS])
def test_a_fault_of_our_own_is_never_held_against_the_receiver(attempt: int, age_ms: int) -> None:
    outcome = Deferred(error_class="resources", detail="No descriptors left.", is_counted=False)

    assert routed(outcome, attempt=attempt, age_ms=age_ms) == Retry(tier_ms=30_000, not_before_ms=0)


def test_a_fault_of_our_own_waits_as_long_as_retry_after_asks() -> None:
    outcome = Deferred(error_class="proxy", detail="", retry_after_ms=300_000, is_counted=False)

    assert routed(outcome, attempt=1) == Retry(tier_ms=300_000, not_before_ms=0)


@pytest.mark.parametrize(
    ("rest_ms", "turns", "tier_ms"),
    [
        (1_000, 0, 30_000),  # no shorter than the rest
        (40_000, 0, 300_000),
        (40_000, 2, 300_000),  # 160 s are wanted: less than twice that
        (300_000, 1, 300_000),  # 10 min are wanted: half an hour is too much
        (300_000, 2, 1_800_000),  # 20 min are wanted
        (300_000, 99, 1_800_000),  # the longest there is
        (9 * HOUR_MS, 0, 1_800_000),
    ],
)
def test_what_is_shut_out_waits_out_the_rest_and_with_each_turn_twice_as_long_where_that_fits(
    rest_ms: int, turns: int, tier_ms: int
) -> None:
    assert shut_out(rest_ms=rest_ms, turns=turns, tiers=LADDER_MS) == tier_ms


def test_the_default_ladder_ends_after_ten_attempts_and_75_hours() -> None:
    waits_ms = []
    for attempt in range(1, 10):
        step = routed(failed(), attempt=attempt, ladder_ms=DEFAULT_LADDER_MS, tiers=DEFAULT_LADDER_MS)
        assert isinstance(step, Retry)
        waits_ms.append(step.tier_ms)

    assert sum(waits_ms) == ((75 * 60 + 35) * 60 + 5) * 1_000
    assert routed(failed(), attempt=10, ladder_ms=DEFAULT_LADDER_MS) == DeadLetter("exhausted")


delays = st.integers(1, 100_000_000)


@given(
    attempt=st.integers(1, 12),
    ladder_ms=st.lists(delays, max_size=10).map(tuple),
    retry_after_ms=st.integers(0, 2_678_400_000),
    age_ms=st.integers(0, 2 * HOUR_MS),
    tiers=st.lists(delays, min_size=1, max_size=8, unique=True).map(sorted).map(tuple),
)
def test_a_retry_never_waits_less_than_the_step_and_the_receiver_ask(
    attempt: int, ladder_ms: tuple[int, ...], retry_after_ms: int, age_ms: int, tiers: tuple[int, ...]
) -> None:
    result = routed(
        failed(retry_after_ms=retry_after_ms),
        attempt=attempt,
        ladder_ms=ladder_ms,
        age_ms=age_ms,
        tiers=tiers,
    )

    if isinstance(result, Retry):
        assert attempt <= len(ladder_ms)
        assert result.tier_ms in tiers
        assert max(result.tier_ms, result.not_before_ms - NOW_MS) >= max(
            ladder_ms[attempt - 1], retry_after_ms
        )
    else:
        assert isinstance(result, DeadLetter)
        assert attempt > len(ladder_ms) or age_ms > HOUR_MS
