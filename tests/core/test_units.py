"""Durations and sizes: what is read, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.units import format_duration_ms, parse_duration_ms, parse_size_bytes


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [
        ("500ms", 500),
        ("30s", 30_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("1h30m", 5_400_000),
        ("0s", 0),
    ],
)
def test_a_duration_is_numbers_with_units(text: str, duration_ms: int) -> None:
    assert parse_duration_ms(text) == duration_ms


@pytest.mark.parametrize(
    "text", ["", "30", "s", "30 s", "-5s", "1.5h", "5S", "٣s", "5s ", "1y", "1" * 13 + "s"]
)
def test_anything_else_is_no_duration_and_the_message_shows_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration; write a number with .* such as 30s"):
        parse_duration_ms(text)


@given(st.integers(1, 10**11))
def test_a_formatted_duration_reads_back_the_same(duration_ms: int) -> None:
    assert parse_duration_ms(format_duration_ms(duration_ms)) == duration_ms


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("100B", 100),
        ("64 KiB", 65_536),
        ("1MiB", 1_048_576),
        ("2GiB", 2_147_483_648),
        ("500kB", 500_000),
        ("3MB", 3_000_000),
        ("1GB", 1_000_000_000),
    ],
)
def test_a_size_is_a_number_with_a_unit(text: str, size_bytes: int) -> None:
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "100", "1mb", "MiB", "-1B", "1.5MiB", "1MiB1B"])
def test_anything_else_is_no_size_and_the_message_shows_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size; write a number with .* such as 1MiB"):
        parse_size_bytes(text)
