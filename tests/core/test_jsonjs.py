from __future__ import annotations

from typing import Any

import orjson
import pytest

from connector.core.event import Poison
from connector.core.jsonjs import number, render


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, b"0"),
        (-0.0, b"0"),
        (1.0, b"1"),
        (-1.5, b"-1.5"),
        (0.1, b"0.1"),
        (123456789.25, b"123456789.25"),
        (9007199254740991.0, b"9007199254740991"),
        (9007199254740992.0, b"9007199254740992"),
        (9999999999999998.0, b"9999999999999998"),
        (1e16, b"10000000000000000"),
        (1.2345678901234568e20, b"123456789012345680000"),
        (999999999999999900000.0, b"999999999999999900000"),
        (1e21, b"1e+21"),
        (1.5e21, b"1.5e+21"),
        (-1.7976931348623157e308, b"-1.7976931348623157e+308"),
        (1e-5, b"0.00001"),
        (1.5e-5, b"0.000015"),
        (1e-6, b"0.000001"),
        (1.5e-6, b"0.0000015"),
        (9.999999e-7, b"9.999999e-7"),
        (1e-7, b"1e-7"),
        (-1.25e-10, b"-1.25e-10"),
        (5e-324, b"5e-324"),
        (float("nan"), b"null"),
        (float("inf"), b"null"),
        (float("-inf"), b"null"),
    ],
)
def test_a_double_is_written_as_ecmascript_writes_it(value: float, text: bytes) -> None:
    assert number(value) == text
    assert render(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**53 - 1, b"9007199254740991"),
        (2**53, b'"9007199254740992"'),
        (1 - 2**53, b"-9007199254740991"),
        (-(2**53), b'"-9007199254740992"'),
        (2**64, b'"18446744073709551616"'),
        (10**4299, b'"1' + b"0" * 4299 + b'"'),
    ],
)
def test_an_integer_that_javascript_cannot_hold_becomes_text(value: int, text: bytes) -> None:
    assert render(value) == text


def test_index_names_come_first_ascending_at_every_level() -> None:
    value = {"b": 1, "10": {"x": 0, "2": 0}, "9": [{"a": 0, "0": 0}], "01": 2, "-1": 3}

    assert render(value) == b'{"9":[{"0":0,"a":0}],"10":{"2":0,"x":0},"b":1,"01":2,"-1":3}'


def test_only_names_up_to_4294967294_are_indices() -> None:
    value = {"4294967295": 1, "4294967294": 2, "99999999999": 3, "²": 4, "٣": 5, "1.0": 6}

    assert render(value) == ('{"4294967294":2,"4294967295":1,"99999999999":3,"²":4,"٣":5,"1.0":6}'.encode())


def test_only_quotes_backslashes_and_controls_are_escaped() -> None:
    value = '\x00\b\t\n\f\r\x1f"\\/\x7f\x9f\u2028\ufeff😀'

    assert render(value) == '"\\u0000\\b\\t\\n\\f\\r\\u001f\\"\\\\/\x7f\x9f\u2028\ufeff😀"'.encode()


def test_a_fragment_is_taken_as_it_is() -> None:
    assert render({"a": orjson.Fragment(b"1e+21"), "b": 2**60}) == b'{"a":1e+21,"b":"1152921504606846976"}'


def test_253_levels_are_rendered() -> None:
    assert render(nested(253)) == b"[" * 253 + b"]" * 253
    assert render({"x": nested(252), "y": 1.0}) == b'{"x":' + b"[" * 252 + b"]" * 252 + b',"y":1}'


@pytest.mark.parametrize("levels", [254, 255, 100_000])
def test_more_than_253_levels_are_poison(levels: int) -> None:
    assert render(nested(levels)) == Poison("too-deep", "The data nests deeper than 253 levels.")


@pytest.mark.parametrize("value", ["\ud800", ["a\udfff"], {"\ud800": 1}, {"1": 1.0, "a": "\ud83d"}])
def test_a_lone_surrogate_is_poison(value: Any) -> None:
    rendered = render(value)

    assert isinstance(rendered, Poison)
    assert rendered.code == "bad-json"


def test_what_is_no_json_value_is_a_bug_of_the_caller() -> None:
    with pytest.raises(TypeError):
        render({"a": object()})
