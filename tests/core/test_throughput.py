"""What a lane makes is told once it has shown it, and of the time in which it had enough to do."""

from __future__ import annotations

import pytest

from connector.core.limiter import TokenBucket
from connector.core.rate import Rate
from connector.core.throughput import Throughput


def seen(*looks: tuple[int, int, int], is_learning: bool = False) -> Throughput:
    """It looked at these times, when so many attempts had been begun, by a lane that was busy since then."""
    throughput = Throughput()
    for now_ms, attempts, busy_since_ms in looks:
        throughput.look(
            attempts=attempts, busy_since_ms=busy_since_ms, is_learning=is_learning, now_ms=now_ms
        )
    return throughput


def moving(now_ms: int) -> Rate:
    """An attempt has just ended."""
    rate = Rate()
    rate.roll(now_ms)
    rate.count += 1
    return rate


def test_nothing_is_told_at_first() -> None:
    assert seen((1_000, 7, 900)).per_s is None


@pytest.mark.parametrize(("after_ms", "per_s"), [(999, None), (1_000, 20.0), (4_000, 5.0)])
def test_a_first_second_counts_until_the_first_measurement_is_complete(
    after_ms: int, per_s: float | None
) -> None:
    assert seen((1_000, 7, 900), (1_000 + after_ms, 27, 900)).per_s == per_s


def test_what_was_measured_holds_until_the_next_measurement_is_complete() -> None:
    throughput = seen((1_000, 0, 900), (6_000, 50, 900), (10_999, 51, 900))
    assert throughput.per_s == 10.0

    throughput.look(attempts=70, busy_since_ms=900, is_learning=False, now_ms=11_000)
    assert throughput.per_s == 4.0


def test_a_few_attempts_are_no_measure_before_a_minute() -> None:
    throughput = seen((1_000, 0, 900), (60_999, 4, 900))
    assert throughput.per_s is None

    throughput.look(attempts=4, busy_since_ms=900, is_learning=False, now_ms=61_000)
    assert throughput.per_s == pytest.approx(4 / 60)


def test_one_that_made_nothing_in_a_minute_makes_nothing() -> None:
    assert seen((1_000, 0, 900), (61_000, 0, 900)).per_s == 0.0


def test_times_in_which_it_had_something_to_do_are_added_up_and_others_do_not_count() -> None:
    busy_twice = seen(
        (1_000, 0, 900), (3_000, 200, 900), (3_100, 216, 0), (9_000, 220, 8_900), (12_000, 520, 8_900)
    )

    assert busy_twice.per_s == 100.0


def test_while_its_limit_still_doubles_nothing_is_told_and_what_was_known_holds_no_longer() -> None:
    throughput = seen((1_000, 0, 900), (6_000, 50, 900))
    throughput.look(attempts=54, busy_since_ms=900, is_learning=True, now_ms=6_250)
    assert throughput.per_s is None

    throughput.look(attempts=62, busy_since_ms=900, is_learning=False, now_ms=6_500)
    throughput.look(attempts=94, busy_since_ms=900, is_learning=False, now_ms=7_500)
    assert throughput.per_s == 32.0


def test_what_cannot_be_told_of_a_lane_that_moves_is_left_open() -> None:
    assert Throughput().expected_per_s(moving(5_000), None, 5_000) is None


def test_nothing_is_expected_of_a_lane_that_has_shown_nothing_yet() -> None:
    assert Throughput().expected_per_s(Rate(), None, 5_000) == 0.0


def test_what_its_rate_limit_holds_back_makes_just_that() -> None:
    bucket = TokenBucket(0.05)
    bucket.take(61_000)

    three_a_minute = seen((1_000, 0, 900), (61_000, 3, 900))
    nothing_yet = Throughput()

    assert three_a_minute.expected_per_s(Rate(), bucket, 61_000) == 0.05
    assert nothing_yet.expected_per_s(Rate(), bucket, 61_000) == 0.05


def test_a_lane_that_is_slower_than_its_rate_limit_makes_what_was_measured() -> None:
    throughput = seen((1_000, 0, 900), (6_000, 50, 900))

    assert throughput.expected_per_s(moving(6_000), TokenBucket(1_000), 6_000) == 10.0


def test_no_more_is_expected_than_the_share_of_its_rate_limit() -> None:
    throughput = seen((1_000, 0, 900), (6_000, 50, 900))
    bucket = TokenBucket(10)
    bucket.share(0.25, 6_000)

    assert throughput.expected_per_s(moving(6_000), bucket, 6_000) == 2.5


def test_nothing_is_expected_while_it_has_no_share() -> None:
    bucket = TokenBucket(10)
    bucket.share(0, 6_000)

    assert Throughput().expected_per_s(moving(6_000), bucket, 6_000) == 0.0


def test_where_a_limited_lane_began_nothing_in_a_minute_though_it_might_its_limit_is_expected() -> None:
    throughput = seen((1_000, 0, 900), (61_000, 0, 900))

    assert throughput.expected_per_s(Rate(), TokenBucket(0.01), 61_000) == 0.01
