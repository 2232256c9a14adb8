from __future__ import annotations

import pytest

from connector.avro.times import (
    OutOfRange,
    date_text,
    instant_of_integer,
    instant_of_text,
    time_text,
    timestamp_text,
)


@pytest.mark.parametrize(
    ("digits", "suffix", "count", "text"),
    [
        (3, "Z", 0, "1970-01-01T00:00:00.000Z"),
        (3, "Z", 1750689600123, "2025-06-23T14:40:00.123Z"),
        (3, "Z", -1, "1969-12-31T23:59:59.999Z"),
        (6, "Z", 951782399999999, "2000-02-28T23:59:59.999999Z"),
        (9, "Z", 1750689600123456789, "2025-06-23T14:40:00.123456789Z"),
        (9, "", 1750689600000000001, "2025-06-23T14:40:00.000000001"),
        (3, "Z", -62135596800000, "0001-01-01T00:00:00.000Z"),
        (3, "Z", 253402300799999, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_timestamp_is_written_with_the_digits_of_its_unit(
    digits: int, suffix: str, count: int, text: str
) -> None:
    assert timestamp_text(digits=digits, suffix=suffix)(count) == text


@pytest.mark.parametrize("count", [-62135596800001, 253402300800000, 2**63 - 1, -(2**63)])
def test_a_timestamp_outside_the_years_1_to_9999_is_out_of_range(count: int) -> None:
    with pytest.raises(OutOfRange):
        timestamp_text(digits=3, suffix="Z")(count)


@pytest.mark.parametrize(
    ("days", "text"),
    [(0, "1970-01-01"), (-1, "1969-12-31"), (-719162, "0001-01-01"), (2932896, "9999-12-31")],
)
def test_a_date_is_written_in_full(days: int, text: str) -> None:
    assert date_text(days) == text


@pytest.mark.parametrize("days", [-719163, 2932897, 2**31 - 1])
def test_a_date_outside_the_years_1_to_9999_is_out_of_range(days: int) -> None:
    with pytest.raises(OutOfRange):
        date_text(days)


def test_a_time_of_day_is_written_with_the_digits_of_its_unit() -> None:
    assert time_text(digits=3)(0) == "00:00:00.000"
    assert time_text(digits=3)(86_399_999) == "23:59:59.999"
    assert time_text(digits=6)(3_661_000_001) == "01:01:01.000001"


@pytest.mark.parametrize("count", [-1, 86_400_000])
def test_a_time_outside_the_day_is_out_of_range(count: int) -> None:
    with pytest.raises(OutOfRange):
        time_text(digits=3)(count)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-06-23T14:40:00Z", (1750689600000000, 0)),
        ("2025-06-23t14:40:00.5z", (1750689600500000, 1)),
        ("2025-06-23 14:40:00.123+00:00", (1750689600123000, 3)),
        ("2025-06-23T16:40:00.123456+02:00", (1750689600123456, 6)),
        ("2025-06-23T09:10:00.123456789-0530", (1750689600123456, 6)),
        ("2025-06-23T14:40:00", (1750689600000000, 0)),
        ("2025-06-23", (1750636800000000, 0)),
        ("2016-12-31T23:59:60Z", (1483228800000000, 0)),
        ("1969-12-31T23:59:59.999Z", (-1000, 3)),
        ("1750689600", (1750689600000000, 0)),
        ("1750689600123", (1750689600123000, 3)),
    ],
)
def test_a_time_in_a_text_is_read_exactly(text: str, instant: tuple[int, int]) -> None:
    assert instant_of_text(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2025-02-29T00:00:00Z",
        "2025-13-01",
        "2025-06-23T24:00:00Z",
        "2025-06-23T14:60:00Z",
        "2025-06-23T14:40:61Z",
        "2025-06-23T14:40",
        "2025-06-23T14:40:00Z ",
        "٢٠٢٥-06-23",
        "0001-01-01T00:00:00+01:00",
        "0000-01-01",
        "1750689600.5",
        "-",
        "9" * 5000,
    ],
)
def test_a_text_that_is_no_time_has_none(text: str) -> None:
    assert instant_of_text(text) is None


@pytest.mark.parametrize(
    ("count", "instant"),
    [
        (0, (0, 0)),
        (-1, (-1000000, 0)),
        (1750689600, (1750689600000000, 0)),
        (99_999_999_999, (99_999_999_999_000_000, 0)),
        (100_000_000_000, (100_000_000_000_000, 3)),
        (1750689600123, (1750689600123000, 3)),
        (1750689600123456, (1750689600123456, 6)),
        (1750689600123456789, (1750689600123456, 6)),
        (10**30, None),
    ],
)
def test_the_unit_of_a_bare_integer_is_told_by_its_size(count: int, instant: tuple[int, int] | None) -> None:
    assert instant_of_integer(count) == instant
