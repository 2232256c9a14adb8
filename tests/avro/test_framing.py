"""Where Confluent's framing keeps the schema id, and what is no such framing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.avro.framing import header_prefix, schema_id
from connector.core.event import Poison


def test_an_id_is_four_bytes_big_endian_after_a_zero() -> None:
    assert schema_id(b"\x00\x00\x01\x02\x03") == 66_051


def test_the_greatest_id_is_2_to_the_31_minus_1() -> None:
    assert schema_id(b"\x00\x7f\xff\xff\xff") == 2_147_483_647


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        (b"", "The value is empty"),
        (b"\x00", "1 bytes long, not 5"),
        (b"\x00\x00\x00\x01", "4 bytes long, not 5"),
        (b"\x00\x00\x00\x00\x01\x00", "6 bytes long, not 5"),
        (b"\x01" + bytes(16), "GUID"),
        (b"{\"id\"", "The magic byte is 123, not 0"),
        (b"\xc3\x01\x00\x00\x00", "The magic byte is 195, not 0"),
        (b"\x00\x00\x00\x00\x00", "The schema id is 0, which no registry gives"),
        (b"\x00\x80\x00\x00\x00", "The schema id is 2147483648, which no registry gives"),
    ],
)
def test_what_is_no_frame_is_poison(prefix: bytes, said: str) -> None:
    found = schema_id(prefix)

    assert isinstance(found, Poison)
    assert found.code == "bad-frame"
    assert said in found.detail


@given(st.binary(max_size=8))
def test_any_bytes_are_an_id_or_poison(prefix: bytes) -> None:
    found = schema_id(prefix)

    assert isinstance(found, Poison) or 1 <= found < 2**31


def test_the_last_header_of_several_counts() -> None:
    headers = [("__value_schema_id", b"first"), ("other", b"x"), ("__value_schema_id", b"last")]

    assert header_prefix(headers) == b"last"


def test_without_the_header_there_is_no_prefix() -> None:
    assert header_prefix([("__key_schema_id", b"\x00\x00\x00\x00\x01")]) is None


def test_a_null_header_is_an_empty_prefix() -> None:
    assert header_prefix([("__value_schema_id", None)]) == b""
