"""The mapping from Avro to JSON, value by value."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from connector.avro.render import LongAs
from connector.avro.schema import CompiledSchema, compile_schema
from connector.core.event import Poison
from tests.support.random_values import encode, integer


def compiled(schema: Any, long: LongAs = "auto") -> CompiledSchema:
    made = compile_schema(schema, long=long)
    assert isinstance(made, CompiledSchema), made
    return made


def rendered(schema: Any, value: Any, long: LongAs = "auto") -> bytes | Poison:
    made = compiled(schema, long)
    decoded = made.decode(encode(schema, value))
    assert not isinstance(decoded, Poison), decoded
    return made.render(decoded)


def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name, **more}


def fixed(size: int, name: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": "f", "size": size, "logicalType": name, **more}


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        ("null", None, b"null"),
        ("boolean", True, b"true"),
        ("int", -5, b"-5"),
        ("long", 2**53 - 1, b"9007199254740991"),
        ("long", 2**53, b'"9007199254740992"'),
        ("long", -(2**63), b'"-9223372036854775808"'),
        ("float", 0.10000000149011612, b"0.1"),
        ("float", 16777216.0, b"16777216"),
        ("float", 3.4028234663852886e38, b"3.4028235e+38"),
        ("float", 1.401298464324817e-45, b"1e-45"),
        ("float", float("nan"), b"null"),
        ("float", float("-inf"), b"null"),
        ("double", 0.1, b"0.1"),
        ("double", 1.0, b"1"),
        ("double", -0.0, b"0"),
        ("double", 1e21, b"1e+21"),
        ("double", 9007199254740992.0, b"9007199254740992"),
        ("double", float("inf"), b"null"),
        ("string", "Grüße 😀\u2028", '"Grüße 😀\u2028"'.encode()),
        ("bytes", b"\x00\xff\xfe", b'"AP/+"'),
        ("bytes", b"", b'""'),
        (fixed(3), b"abc", b'"YWJj"'),
        ({"type": "enum", "name": "e", "symbols": ["A", "B"]}, "B", b'"B"'),
        ({"type": "array", "items": "double"}, [1.0, 2.5], b"[1,2.5]"),
        ({"type": "map", "values": "double"}, {"b": 1.0, "10": 2.0, "9": 3.0}, b'{"9":3,"10":2,"b":1}'),
        ({"type": "map", "values": "string"}, {"b": "x", "1": "y"}, b'{"1":"y","b":"x"}'),
        (["null", "double"], (1, 2.0), b"2"),
        (["null", "double"], (0, None), b"null"),
        (logical("long", "timestamp-millis"), 1750689600123, b'"2025-06-23T14:40:00.123Z"'),
        (logical("long", "timestamp-micros"), 1750689600123456, b'"2025-06-23T14:40:00.123456Z"'),
        (logical("long", "timestamp-nanos"), 1750689600000000001, b'"2025-06-23T14:40:00.000000001Z"'),
        (logical("long", "local-timestamp-millis"), 0, b'"1970-01-01T00:00:00.000"'),
        (logical("long", "local-timestamp-micros"), 1, b'"1970-01-01T00:00:00.000001"'),
        (logical("long", "local-timestamp-nanos"), -1, b'"1969-12-31T23:59:59.999999999"'),
        (logical("int", "date"), 20262, b'"2025-06-23"'),
        (logical("int", "time-millis"), 52_800_001, b'"14:40:00.001"'),
        (logical("long", "time-micros"), 52_800_000_001, b'"14:40:00.000001"'),
        (logical("bytes", "decimal", precision=12, scale=10), b"\x00", b'"0.0000000000"'),
        (logical("bytes", "decimal", precision=4, scale=2), b"\xff\x38", b'"-2.00"'),
        (logical("bytes", "decimal", precision=9), b"\x3b\x9a\xc9\xff", b'"999999999"'),
        (fixed(4, "decimal", precision=4, scale=3), b"\xff\xff\xff\xff", b'"-0.001"'),
        (
            logical("string", "uuid"),
            "123E4567-e89b-12d3-a456-426614174000",
            b'"123E4567-e89b-12d3-a456-426614174000"',
        ),
        (fixed(16, "uuid"), bytes(range(16)), b'"00010203-0405-0607-0809-0a0b0c0d0e0f"'),
        (fixed(12, "duration"), struct.pack("<III", 14, 3, 61_005), b'"P14M3DT61.005S"'),
    ],
)
def test_each_type_has_one_json_form(schema: Any, value: Any, text: bytes) -> None:
    assert rendered(schema, value) == text


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (logical("long", "timestamp-picos"), 5, b"5"),
        (logical("int", "timestamp-millis"), 5, b"5"),
        (logical("bytes", "decimal"), b"a", b'"YQ=="'),
        (logical("bytes", "decimal", precision=2, scale=3), b"a", b'"YQ=="'),
        (logical("bytes", "decimal", precision=0), b"a", b'"YQ=="'),
        (logical("bytes", "decimal", precision=4301), b"a", b'"YQ=="'),
        (fixed(15, "uuid"), b"a" * 15, b'"YWFhYWFhYWFhYWFhYWFh"'),
        (fixed(1, "duration"), b"a", b'"YQ=="'),
    ],
)
def test_a_logical_type_that_does_not_fit_is_ignored(schema: Any, value: Any, text: bytes) -> None:
    assert rendered(schema, value) == text


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (logical("long", "timestamp-millis"), 2**62),
        (logical("long", "local-timestamp-micros"), -(2**63)),
        (logical("int", "date"), 2**31 - 1),
        (logical("int", "time-millis"), -1),
        (logical("long", "time-micros"), 86_400_000_000),
        (logical("bytes", "decimal", precision=2), b"\x64"),
        (logical("bytes", "decimal", precision=4_300), b"\x7f" * 1_000_000),
        (logical("string", "uuid"), "no uuid"),
        (logical("string", "uuid"), "123e4567-e89b-12d3-a456-426614174000\n"),
    ],
)
def test_a_value_outside_its_logical_type_is_poison(schema: Any, value: Any) -> None:
    poison = rendered(
        {"type": "record", "name": "r", "fields": [{"name": "f", "type": schema}]}, {"f": value}
    )

    assert isinstance(poison, Poison)
    assert poison.code == "out-of-range"


def test_longs_are_all_text_on_request() -> None:
    schema = {
        "type": "record",
        "name": "r",
        "fields": [
            {"name": "id", "type": "long"},
            {"name": "count", "type": "int"},
            {"name": "at", "type": logical("long", "timestamp-millis")},
            {"name": "more", "type": {"type": "array", "items": ["null", "long"]}},
        ],
    }
    value = {"id": 7, "count": 8, "at": 0, "more": [(1, 9), (0, None)]}

    text = rendered(schema, value, "string")

    assert text == b'{"id":"7","count":8,"at":"1970-01-01T00:00:00.000Z","more":["9",null]}'


def test_one_long_beyond_javascript_leaves_all_else_as_it_was() -> None:
    schema = {
        "type": "record",
        "name": "r",
        "fields": [
            {"name": "big", "type": "long"},
            {"name": "x", "type": "double"},
            {"name": "map", "type": {"type": "map", "values": "long"}},
            {"name": "at", "type": logical("long", "timestamp-millis")},
        ],
    }
    value = {"big": 2**60, "x": 1e21, "map": {"b": 1, "0": -(2**60)}, "at": 0}

    assert rendered(schema, value) == (
        b'{"big":"1152921504606846976","x":1e+21,"map":{"0":"-1152921504606846976","b":1},'
        b'"at":"1970-01-01T00:00:00.000Z"}'
    )


def test_branches_of_one_python_type_keep_their_own_form() -> None:
    schema = [
        "null",
        logical("int", "date"),
        logical("long", "timestamp-millis"),
        "float",
        "double",
        "bytes",
        fixed(12, "duration"),
        "string",
        {"type": "record", "name": "a", "fields": [{"name": "x", "type": "double"}]},
        {"type": "record", "name": "b", "fields": [{"name": "x", "type": logical("int", "date")}]},
    ]
    values = [
        (0, None),
        (1, 1),
        (2, 1),
        (3, 0.10000000149011612),
        (4, 0.10000000149011612),
        (5, b"abc"),
        (6, b"\0" * 12),
        (7, "s"),
        (8, {"x": 1.0}),
        (9, {"x": 1}),
    ]

    text = rendered({"type": "array", "items": schema}, values)

    assert text == (
        b'[null,"1970-01-02","1970-01-01T00:00:00.001Z",0.1,0.10000000149011612,"YWJj","P0M0DT0.000S","s",'
        b'{"x":1},{"x":"1970-01-02"}]'
    )


def test_a_type_that_recurses_is_rendered_all_the_way() -> None:
    schema = {
        "type": "record",
        "name": "node",
        "fields": [
            {"name": "at", "type": logical("long", "timestamp-millis")},
            {"name": "next", "type": ["null", "node"]},
            {"name": "more", "type": {"type": "map", "values": "node"}},
        ],
    }
    made = compiled(schema)
    leaf = integer(1) + integer(0) + integer(0)
    payload = integer(0) + integer(1) + leaf + integer(1) + integer(1) + b"k" + leaf + integer(0)

    assert made.render(made.decode(payload)) == (
        b'{"at":"1970-01-01T00:00:00.000Z",'
        b'"next":{"at":"1970-01-01T00:00:00.001Z","next":null,"more":{}},'
        b'"more":{"k":{"at":"1970-01-01T00:00:00.001Z","next":null,"more":{}}}}'
    )


def test_a_type_used_twice_is_rendered_in_both_places() -> None:
    money = {"type": "record", "name": "money", "namespace": "x", "fields": [{"name": "v", "type": "double"}]}
    schema = {
        "type": "record",
        "name": "r",
        "fields": [{"name": "a", "type": money}, {"name": "b", "type": ["null", "x.money"]}],
    }
    made = compiled(schema)

    body = made.render(made.decode(struct.pack("<d", 1.0) + integer(1) + struct.pack("<d", 2.0)))

    assert body == b'{"a":{"v":1},"b":{"v":2}}'


def test_rendering_leaves_the_decoded_value_alone() -> None:
    schema = {
        "type": "record",
        "name": "r",
        "fields": [{"name": "m", "type": {"type": "map", "values": "double"}}],
    }
    made = compiled(schema)
    value = made.decode(encode(schema, {"m": {"b": 1.0, "1": 2.0}}))

    first, second = made.render(value), made.render(value)

    assert first == second == b'{"m":{"1":2,"b":1}}'
    assert value == {"m": {"b": 1.0, "1": 2.0}}
