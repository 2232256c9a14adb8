"""How often something happens: the last whole second, or this one if it saw more."""

from __future__ import annotations

import pytest

from connector.core.rate import Rate


def counted(*at_ms: int) -> Rate:
    rate = Rate()
    for now_ms in at_ms:
        rate.roll(now_ms)
        rate.count += 1
    return rate


def test_nothing_has_no_rate() -> None:
    assert Rate().per_s(0) == 0.0
    assert Rate().per_s(10_000) == 0.0


def test_the_last_whole_second_counts_until_this_one_sees_more() -> None:
    rate = counted(*[10_000] * 30)
    assert rate.per_s(11_000) == 30.0

    rate.count += 20
    assert rate.per_s(11_100) == 200.0
    assert rate.per_s(11_999) == 30.0


@pytest.mark.parametrize(("after_ms", "per_s"), [(999, 10 * 1_000 / 999), (1_000, 10.0), (2_000, 0.0)])
def test_it_is_over_after_a_second_without_any(after_ms: int, per_s: float) -> None:
    assert counted(*[5_000] * 10).per_s(5_000 + after_ms) == per_s


def test_a_first_one_is_no_thousand_a_second() -> None:
    assert counted(5_000).per_s(5_000) == 20.0
