from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from connector.core.event import Poison
from connector.core.jsonread import parse
from tests.support.random_values import json_value


def code(payload: bytes) -> str:
    poison = parse(payload)
    assert isinstance(poison, Poison), poison
    return poison.code


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (
            b' {"a": [1, 2.5, null, true], "b": {"a": "x:y"}}\n',
            {"a": [1, 2.5, None, True], "b": {"a": "x:y"}},
        ),
        (b'"\\u003a"', ":"),
        (b'{"\\u003a": 1, "b": 2}', {":": 1, "b": 2}),
        (b"\xef\xbb\xbf{}", {}),
        (b"null", None),
    ],
)
def test_sound_json_is_read(payload: bytes, value: Any) -> None:
    assert parse(payload) == value


@pytest.mark.parametrize(
    "literal",
    [
        "9007199254740993",
        "18446744073709551616",
        "-9223372036854775809",
        "1" * 300,
        "-" + "9" * 400,
        "7" * 4300,
    ],
)
def test_an_integer_keeps_all_its_digits(literal: str) -> None:
    value = parse(f'{{"n": {literal}, "x": 1.5}}'.encode())

    assert value == {"n": int(literal), "x": 1.5}


@pytest.mark.parametrize(
    ("literal", "value"),
    [(b"1e20", 1e20), (b"18446744073709551616.0", 2.0**64), (b"1e400", float("inf")), (b"-0.0", 0.0)],
)
def test_a_number_with_fraction_or_exponent_is_a_double(literal: bytes, value: float) -> None:
    read = parse(literal)

    assert isinstance(read, float)
    assert read == value


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[1,]",
        b"{'a': 1}",
        b"01",
        b"1 2",
        b'"\n"',
        b"\x00",
        b"NaN",
        b"[NaN]",
        b"[-Infinity]",
        b'{"a": 1e400, "b": NaN}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'[1e400, "\\udfff"]',
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "c": 2, "b": 1}}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"a": 1, "b": ":", "a": "\\u003a"}',
        b"8" * 4301,
        b"[-" + b"8" * 4301 + b"]",
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
    ],
)
def test_what_two_parsers_may_read_differently_is_poison(payload: bytes) -> None:
    assert code(payload) == "bad-json"


def test_200_levels_are_read() -> None:
    assert not isinstance(parse(b"[" * 200 + b"]" * 200), Poison)


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 201 + b"]" * 201,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * 5_000_000,
        b"[1e400," + b"[" * 200 + b"]" * 200 + b"]",
    ],
)
def test_deeper_nesting_is_poison_and_never_a_crash(payload: bytes) -> None:
    assert code(payload) == "too-deep"


def test_the_reason_quotes_nothing_of_the_payload() -> None:
    poison = parse(b'{"password": secret}')

    assert isinstance(poison, Poison)
    assert "secret" not in poison.detail


def test_reading_agrees_with_the_standard_library_on_random_documents() -> None:
    random = Random(11)

    for _ in range(2_000):
        value = json_value(random)
        text = json.dumps(value, ensure_ascii=random.random() < 0.5)

        assert repr(parse(text.encode())) == repr(json.loads(text))


def test_corrupted_documents_are_values_or_poison() -> None:
    random = Random(12)

    for _ in range(5_000):
        payload = bytearray(json.dumps(json_value(random)).encode())
        for _ in range(random.randrange(1, 4)):
            payload[random.randrange(len(payload))] = random.randrange(256)
        parse(bytes(payload))
