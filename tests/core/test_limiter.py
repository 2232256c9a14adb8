"""A token bucket: an upper bound on what starts, alone and as a share of a group's rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.limiter import TokenBucket


def saturated(bucket: TokenBucket, *, from_ms: int, until_ms: int) -> list[int]:
    """When deliveries start of which there are always more."""
    starts_ms = []
    now_ms = from_ms
    while now_ms < until_ms:
        wait_ms = bucket.take(now_ms)
        if not wait_ms:
            starts_ms.append(now_ms)
        now_ms += wait_ms
    return starts_ms


def most_within(starts_ms: list[int], window_ms: int) -> int:
    """The largest number of starts in any window of that length."""
    starts_ms = sorted(starts_ms)
    first = most = 0
    for last, start_ms in enumerate(starts_ms):
        while start_ms - starts_ms[first] >= window_ms:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_the_first_delivery_does_not_wait() -> None:
    assert TokenBucket(0.001).take(5_000) == 0


@pytest.mark.parametrize(
    ("rate_per_s", "wait_ms"), [(0.5, 2_000), (1, 1_000), (8, 125), (3, 334), (0.001, 1_000_000)]
)
def test_the_next_one_is_told_how_long_to_wait(rate_per_s: float, wait_ms: int) -> None:
    bucket = TokenBucket(rate_per_s)
    bucket.take(0)

    assert bucket.take(0) == wait_ms
    assert bucket.take(wait_ms - 1) == 1
    assert bucket.take(wait_ms) == 0


def test_a_burst_is_a_tenth_of_a_second_by_default() -> None:
    bucket = TokenBucket(100)

    assert [bucket.take(0) for _ in range(11)] == [0] * 10 + [10]


def test_its_share_of_the_rate_can_be_asked_for_and_whether_there_is_a_token() -> None:
    bucket = TokenBucket(4)
    assert (bucket.per_s, bucket.has_token(0)) == (4.0, True)

    bucket.take(0)
    assert [bucket.has_token(now_ms) for now_ms in (0, 249, 250)] == [False, False, True]
    bucket.share(0.5, 250)
    assert (bucket.per_s, bucket.has_token(250)) == (2.0, True)
    bucket.share(0, 250)
    assert (bucket.per_s, bucket.has_token(1 << 40)) == (0.0, False)


def test_a_burst_may_be_chosen() -> None:
    bucket = TokenBucket(2, burst=4)

    assert [bucket.take(0) for _ in range(5)] == [0, 0, 0, 0, 500]


def test_a_bucket_holds_one_token_at_least() -> None:
    bucket = TokenBucket(5, burst=0.1)

    assert [bucket.take(0), bucket.take(0)] == [0, 200]


def test_an_idle_bucket_never_holds_more_than_its_burst() -> None:
    bucket = TokenBucket(100)
    bucket.take(0)

    assert [bucket.take(86_400_000) for _ in range(11)] == [0] * 10 + [10]


@pytest.mark.parametrize("rate_per_s", [0.0, -1.0])
def test_a_rate_of_nothing_is_a_mistake(rate_per_s: float) -> None:
    with pytest.raises(AssertionError):
        TokenBucket(rate_per_s)


@pytest.mark.parametrize("fraction", [-0.01, 1.01])
def test_a_share_is_a_part_of_the_whole(fraction: float) -> None:
    with pytest.raises(AssertionError):
        TokenBucket(5).share(fraction, 0)


@pytest.mark.parametrize("rate_per_s", [1, 7, 30, 100, 1_234, 5_000])
def test_a_lane_with_a_backlog_gets_its_whole_rate(rate_per_s: int) -> None:
    starts_ms = saturated(TokenBucket(rate_per_s), from_ms=0, until_ms=20_000)

    assert 0.97 * rate_per_s * 20 <= len(starts_ms) <= 1.01 * rate_per_s * 20 + 1


def test_a_share_halves_rate_and_burst() -> None:
    bucket = TokenBucket(100)
    bucket.share(0.5, 0)

    assert [bucket.take(0) for _ in range(6)] == [0] * 5 + [20]


def test_a_larger_share_gives_no_tokens() -> None:
    bucket = TokenBucket(100)
    bucket.share(0.1, 0)
    bucket.take(0)

    bucket.share(1.0, 0)

    assert bucket.take(0) == 10
    assert bucket.take(10) == 0


def test_a_share_of_nothing_closes_it_and_the_next_one_opens_it_empty() -> None:
    bucket = TokenBucket(10)

    bucket.share(0, 0)
    assert bucket.take(0) > 1_000_000_000
    bucket.share(0.5, 60_000)

    assert bucket.take(60_000) == 200
    assert bucket.take(60_200) == 0


def test_a_smaller_share_takes_what_the_smaller_bucket_does_not_hold() -> None:
    bucket = TokenBucket(100)

    bucket.share(0.2, 0)
    bucket.share(1.0, 0)

    assert [bucket.take(0) for _ in range(3)] == [0, 0, 10]


@given(
    rate_per_s=st.floats(0.5, 500),
    steps=st.lists(
        st.tuples(st.integers(0, 300), st.sampled_from([0.1, 0.25, 0.5, 1.0]) | st.none()), max_size=200
    ),
)
def test_no_second_has_more_than_a_tenth_above_the_rate_and_one(
    rate_per_s: float, steps: list[tuple[int, float | None]]
) -> None:
    bucket = TokenBucket(rate_per_s)
    starts_ms = []
    now_ms = 0

    for passed_ms, fraction in steps:
        now_ms += passed_ms
        if fraction:
            bucket.share(fraction, now_ms)
        while not bucket.take(now_ms):
            starts_ms.append(now_ms)

    assert most_within(starts_ms, 1_000) <= rate_per_s * 1.1 + 1


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("rate_per_s", [20, 100, 1_000])
def test_shares_of_a_group_keep_its_rate_within_a_tenth(rate_per_s: int, workers: int) -> None:
    starts_ms: list[int] = []

    for _ in range(workers):
        bucket = TokenBucket(rate_per_s)
        bucket.share(1 / workers, 0)
        starts_ms += saturated(bucket, from_ms=0, until_ms=10_000)

    assert 0.9 * rate_per_s * 10 <= len(starts_ms) <= 1.1 * rate_per_s * 10
    assert most_within(starts_ms, 1_000) <= rate_per_s * 1.1 + workers


def test_while_workers_come_and_go_a_group_keeps_its_rate_within_a_tenth() -> None:
    buckets = [TokenBucket(100) for _ in range(4)]
    starts_ms: list[int] = []
    alive_of_second = (1, 1, 2, 4, 4, 3, 2, 4, 1, 2)

    for second, alive in enumerate(alive_of_second):
        for bucket in buckets[:alive]:
            bucket.share(1 / alive, second * 1_000)
            starts_ms += saturated(bucket, from_ms=second * 1_000, until_ms=second * 1_000 + 1_000)

    assert 900 <= len(starts_ms) <= 1_100
