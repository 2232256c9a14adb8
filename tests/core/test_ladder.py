"""Tiers and hops add up to the wait that was asked for, never to less."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.dialect import NETASAMPARK, WEBHOOKS_V1, Dialect
from connector.core.ladder import (
    FALLBACK_TIER_MS,
    Hop,
    Release,
    Wait,
    due_at,
    fit,
    release,
    tiers_of,
    tolerance_ms,
)
from connector.core.subscription import Subscription

TIERS = (5_000, 30_000, 300_000, 1_800_000)


def subscription(dialect: Dialect, ladder_ms: tuple[int, ...]) -> Subscription:
    return Subscription(
        id="one",
        url="https://example.com/hook",
        events=("*",),
        dialect=dialect,
        secrets=None,
        ladder_ms=ladder_ms,
        timeout_ms=30_000,
        max_age_ms=86_400_000,
        in_flight_max=10,
        queue_max=100,
        body_bytes_max=1_048_576,
    )


def test_the_tiers_are_the_union_of_the_ladders_and_those_to_wait_for_room_in() -> None:
    subscriptions = [
        subscription(NETASAMPARK, NETASAMPARK.ladder_ms),
        subscription(WEBHOOKS_V1, WEBHOOKS_V1.ladder_ms),
    ]

    assert tiers_of(subscriptions) == (
        5_000, 30_000, 60_000, 120_000, 300_000, 900_000, 1_800_000, 3_600_000, 7_200_000,
    )  # fmt: skip


def test_there_is_a_place_to_wait_even_when_nothing_is_tried_again() -> None:
    assert tiers_of([subscription(NETASAMPARK, ())]) == (FALLBACK_TIER_MS,)


@pytest.mark.parametrize(
    ("delay_ms", "expected_ms"),
    [
        (5_000, 5_000),
        (300_000, 300_000),
        (1_800_000, 1_800_000),
        (60_000, 30_000),  # the longest below; the rest is a hop
        (284_999, 30_000),
        (285_000, 300_000),  # longer by a twentieth at most
        (299_000, 300_000),
        (300_001, 300_000),
        (86_400_000, 1_800_000),
        (4_749, 5_000),
        (1, 5_000),  # none below: the shortest
        (0, 5_000),
    ],
)
def test_a_delay_finds_its_tier(delay_ms: int, expected_ms: int) -> None:
    assert fit(delay_ms, TIERS) == expected_ms


def test_the_exact_tier_wins_over_one_a_little_longer() -> None:
    assert fit(100_000, (100_000, 101_000)) == 100_000


def test_a_lone_tier_serves_every_delay() -> None:
    assert [fit(delay_ms, (30_000,)) for delay_ms in (1, 30_000, 90_000)] == [30_000, 30_000, 30_000]


@pytest.mark.parametrize(
    ("tier_ms", "expected_ms"), [(1_000, 1_000), (20_000, 1_000), (30_000, 1_500), (86_400_000, 4_320_000)]
)
def test_the_tolerance_is_a_second_or_a_twentieth(tier_ms: int, expected_ms: int) -> None:
    assert tolerance_ms(tier_ms) == expected_ms


@pytest.mark.parametrize(
    ("not_before_ms", "expected_ms"),
    [
        (0, 130_000),
        (120_000, 130_000),
        (130_000, 130_000),
        (130_001, 130_001),  # so near that it waits on where it is
        (131_500, 131_500),
        (131_501, 130_000),  # too far: looked at when its tier is over, and then hops
    ],
)
def test_a_record_is_due_after_its_tier_or_a_little_later(not_before_ms: int, expected_ms: int) -> None:
    assert due_at(append_ms=100_000, tier_ms=30_000, not_before_ms=not_before_ms) == expected_ms


@pytest.mark.parametrize("not_before_ms", [0, 999_999, 1_000_000])
def test_what_may_go_is_released(not_before_ms: int) -> None:
    result = release(tier_ms=30_000, not_before_ms=not_before_ms, now_ms=1_000_000, tiers=TIERS)

    assert result == Release()


@pytest.mark.parametrize("not_before_ms", [1_000_001, 1_001_500])
def test_what_is_nearly_due_waits_on(not_before_ms: int) -> None:
    result = release(tier_ms=30_000, not_before_ms=not_before_ms, now_ms=1_000_000, tiers=TIERS)

    assert result == Wait(not_before_ms)


@pytest.mark.parametrize(
    ("not_before_ms", "tier_ms"), [(1_001_501, 5_000), (1_040_000, 30_000), (99_000_000, 1_800_000)]
)
def test_what_is_too_early_hops_to_the_tier_of_the_rest(not_before_ms: int, tier_ms: int) -> None:
    result = release(tier_ms=30_000, not_before_ms=not_before_ms, now_ms=1_000_000, tiers=TIERS)

    assert result == Hop(tier_ms)


ladders = st.lists(st.integers(1, 100_000_000), min_size=1, max_size=12, unique=True).map(sorted)


@given(st.integers(0, 200_000_000), ladders)
def test_a_delay_never_takes_a_longer_tier_than_it_must(delay_ms: int, tiers: list[int]) -> None:
    tier_ms = fit(delay_ms, tiers)

    assert tier_ms in tiers
    assert tier_ms <= delay_ms or tier_ms - delay_ms <= tier_ms // 20 or tier_ms == tiers[0]


@given(
    st.integers(0, 10_000_000), st.lists(st.integers(1_000, 10_000_000), min_size=1, max_size=8, unique=True)
)
def test_hops_end_at_the_earliest_when_asked_and_never_before(delay_ms: int, some_tiers: list[int]) -> None:
    tiers = sorted({*some_tiers, 10_000})
    not_before_ms = now_ms = 1_000_000
    not_before_ms += delay_ms
    tier_ms = fit(delay_ms, tiers)

    for _ in range(20_000):
        now_ms = due_at(append_ms=now_ms, tier_ms=tier_ms, not_before_ms=not_before_ms)
        step = release(tier_ms=tier_ms, not_before_ms=not_before_ms, now_ms=now_ms, tiers=tiers)
        if not isinstance(step, Hop):
            break
        tier_ms = step.tier_ms

    assert step == Release()
    assert now_ms >= not_before_ms
    assert now_ms - not_before_ms <= max(tiers[0], 500_000)
