"""What has no room waits in the longest tier from which it is back before the lane runs dry."""

from __future__ import annotations

from collections import Counter

from connector.core.returns import STEPS_PER_TIER, TIER_MAX_MS, Returns

TIERS = (5_000, 30_000, 120_000, 300_000, 1_800_000, 7_200_000)


def took(returns: Returns, count: int, *, waiting: int = 0, now_ms: int = 0) -> Counter[int]:
    """In which tiers so many more wait, of a lane that makes ten a second."""
    return Counter(returns.take_tier(TIERS, waiting=waiting, per_s=10, now_ms=now_ms) for _ in range(count))


def test_tiers_fill_up_one_after_the_other_until_the_next_one_is_back_in_time() -> None:
    tiers = took(Returns(), 3_500, waiting=100)

    assert tiers == {5_000: 215, 30_000: 945, 120_000: 1_890, 300_000: 450}


def test_an_idle_lane_gets_it_back_as_soon_as_may_be() -> None:
    assert took(Returns(), 1) == {5_000: 1}


def test_what_comes_back_from_elsewhere_meanwhile_makes_up_for_what_is_there() -> None:
    returns = Returns()
    took(returns, 1_160, waiting=100)

    later = took(returns, 100, waiting=50, now_ms=26_000)  # dry at 31 s, and 945 are back at 30

    assert later == {30_000: 100}


def test_what_comes_too_late_for_a_lane_that_will_be_dry_does_not_count() -> None:
    returns = Returns()
    took(returns, 1_160, waiting=100)

    assert took(returns, 100, now_ms=10_000) == {5_000: 100}


def test_what_is_due_is_here_or_was_sent_away_again_and_counts_no_longer() -> None:
    returns = Returns()
    took(returns, 1_160, waiting=100)

    assert took(returns, 100, now_ms=30_000) == {5_000: 100}


def test_nothing_waits_for_longer_than_half_an_hour_however_long_the_backlog() -> None:
    tiers = took(Returns(), 30_000)

    assert max(tiers) == TIER_MAX_MS == 1_800_000


def test_a_lone_tier_takes_all() -> None:
    assert Returns().take_tier((7_200_000,), waiting=0, per_s=10, now_ms=0) == 7_200_000


def test_what_was_sent_to_a_tier_without_a_pace_comes_back_too() -> None:
    returns = Returns()

    assert [returns.add(30_000, now_ms=0) for _ in range(500)] == [30_000] * 500
    assert took(returns, 100, waiting=310) == {30_000: 100}  # dry at 31 s, but for those that are back at 30


def test_it_is_over_when_all_is_back() -> None:
    returns = Returns()
    took(returns, 1)

    assert [returns.are_over(now_ms) for now_ms in (0, 4_000, 5_000)] == [False, False, True]


def test_what_is_kept_does_not_grow_with_what_waits() -> None:
    returns = Returns()

    for now_ms in range(0, 60_000, 10):
        returns.take_tier((5_000,), waiting=0, per_s=10, now_ms=now_ms)
        returns.are_over(now_ms)

    assert returns.counts <= STEPS_PER_TIER + 1
