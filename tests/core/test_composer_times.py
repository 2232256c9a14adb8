from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.times import iso_time


@pytest.mark.parametrize(
    ("time_us", "digits", "expected"),
    [
        (1_768_480_200_123_456, 0, b"2026-01-15T12:30:00Z"),
        (1_768_480_200_999_999, 0, b"2026-01-15T12:30:00Z"),
        (1_768_480_200_999_999, 3, b"2026-01-15T12:30:00.999Z"),
        (1_768_480_200_000_000, 3, b"2026-01-15T12:30:00.000Z"),
        (1_768_480_200_000_001, 6, b"2026-01-15T12:30:00.000001Z"),
        (1_768_480_200_120_000, 1, b"2026-01-15T12:30:00.1Z"),
        (0, 0, b"1970-01-01T00:00:00Z"),
        (-1, 6, b"1969-12-31T23:59:59.999999Z"),
        (951_782_400_000_000, 0, b"2000-02-29T00:00:00Z"),
        (-62_135_596_800_000_000, 0, b"0001-01-01T00:00:00Z"),
        (-62_167_219_200_000_000, 0, b"0000-01-01T00:00:00Z"),
        (253_402_300_799_999_999, 6, b"9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_time_is_written_with_the_digits_asked_for(time_us: int, digits: int, expected: bytes) -> None:
    assert iso_time(time_us, digits) == expected


@pytest.mark.parametrize(
    ("time_us", "expected"),
    [
        (253_402_300_800_000_000, b"+010000-01-01T00:00:00Z"),
        (1_768_480_200_123_456_000, b"+058010-11-27T20:02:03Z"),
        (-62_167_219_200_000_001, b"-000001-12-31T23:59:59Z"),
        (9_223_372_036_854_775_807_000, b"+292278994-08-17T07:12:55Z"),
    ],
)
def test_a_time_beyond_four_digit_years_is_written_as_javascript_does(time_us: int, expected: bytes) -> None:
    assert iso_time(time_us, 0) == expected


@given(time_us=st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_every_time_that_datetime_knows_is_written_as_it_writes_it(time_us: int) -> None:
    known = datetime(1970, 1, 1) + timedelta(microseconds=time_us)  # noqa: DTZ001 written without an offset

    assert iso_time(time_us, 6).decode() == known.isoformat(timespec="microseconds") + "Z"
