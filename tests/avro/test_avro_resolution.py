"""A pinned reader schema: partners see its values, whatever the producer writes."""

from __future__ import annotations

from typing import Any

import pytest

from connector.avro.schema import CompiledSchema, compile_schema
from connector.core.event import Poison
from tests.support.random_values import encode, integer


def rendered(writer: Any, reader: Any, value: Any) -> bytes | Poison:
    made = compile_schema(writer, reader=reader)
    assert isinstance(made, CompiledSchema), made
    decoded = made.decode(encode(writer, value))
    return decoded if isinstance(decoded, Poison) else made.render(decoded)


def record(*fields: Any, name: str = "r", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "e", "symbols": list(symbols), **more}


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


@pytest.mark.parametrize(
    ("writer", "reader", "value", "text"),
    [
        ("int", "int", 1, b"1"),
        ("int", "long", 1, b"1"),
        ("int", "float", 16777217, b"16777216"),
        ("long", "float", 2**60, b"1152921500000000000"),
        ("int", "double", 3, b"3"),
        ("long", "double", 2**60, b"1152921504606847000"),
        ("float", "double", 0.10000000149011612, b"0.10000000149011612"),
        ("string", "bytes", "abc", b'"YWJj"'),
        ("bytes", "string", b"abc", b'"abc"'),
        ("long", {"type": "long", "logicalType": "timestamp-millis"}, 0, b'"1970-01-01T00:00:00.000Z"'),
        ({"type": "array", "items": "int"}, {"type": "array", "items": "double"}, [1], b"[1]"),
        ({"type": "map", "values": "bytes"}, {"type": "map", "values": "string"}, {"k": b"v"}, b'{"k":"v"}'),
        (enum("A", "B"), enum("B", "A"), "A", b'"A"'),
        (enum("A", "B"), enum("A", "X", default="X"), "B", b'"X"'),
        (["null", "int"], "long", (1, 5), b"5"),
        ("int", ["null", "long"], 5, b"5"),
        ("int", ["float", "int"], 5, b"5"),
        (["string", "int"], ["null", "long", "string"], (1, 5), b"5"),
        ("int", ["null", {"type": "long", "logicalType": "timestamp-millis"}, "int"], 5, b"5"),
        (
            "long",
            ["int", {"type": "long", "logicalType": "timestamp-millis"}],
            5,
            b'"1970-01-01T00:00:00.005Z"',
        ),
    ],
)
def test_values_are_seen_as_the_reader_sees_them(writer: Any, reader: Any, value: Any, text: bytes) -> None:
    assert rendered(writer, reader, value) == text


def test_fields_are_matched_by_name_and_alias_in_the_readers_order() -> None:
    writer = record(
        field("a", "int"), field("old", "string"), field("gone", {"type": "array", "items": "int"})
    )
    reader = record(
        field("new", "string", aliases=["old"]),
        field("a", "double"),
        field("extra", ["null", "string"], default=None),
    )

    assert rendered(writer, reader, {"a": 1, "old": "x", "gone": [1, 2]}) == b'{"new":"x","a":1,"extra":null}'


@pytest.mark.parametrize(
    ("schema", "default", "text"),
    [
        ("boolean", True, b"true"),
        ("long", 5, b"5"),
        ("float", 0.1, b"0.1"),
        ("double", 1, b"1"),
        ("string", "x", b'"x"'),
        ("bytes", "\u00ff", b'"/w=="'),
        ({"type": "fixed", "name": "f", "size": 2}, "\u0000\u0001", b'"AAE="'),
        (enum("A", "B"), "B", b'"B"'),
        ({"type": "array", "items": "double"}, [1, 2.5], b"[1,2.5]"),
        ({"type": "map", "values": "int"}, {"b": 1, "0": 2}, b'{"0":2,"b":1}'),
        (["int", "null"], 1, b"1"),
        (["int", "long"], 1, b"1"),
        (record(field("x", "int"), field("y", "int", default=2), name="i"), {"x": 1}, b'{"x":1,"y":2}'),
        ({"type": "long", "logicalType": "timestamp-millis"}, 0, b'"1970-01-01T00:00:00.000Z"'),
    ],
)
def test_a_field_not_written_takes_its_default(schema: Any, default: Any, text: bytes) -> None:
    reader = record(field("f", schema, default=default))

    assert rendered(record(), reader, {}) == b'{"f":' + text + b"}"


@pytest.mark.parametrize(
    ("writer", "reader"),
    [
        ("string", "int"),
        ("long", "int"),
        ("double", "float"),
        ("null", "string"),
        ("int", ["null", "string"]),
        (record(name="a"), record(name="b")),
        (record(), {"type": "map", "values": "int"}),
        (record(), record(field("f", "int"))),
        (record(), record(field("f", "int", default="x"))),
        (record(), record(field("f", "bytes", default="\u0100"))),
        (record(), record(field("f", "float", default=1e300))),
        (record(), record(field("f", "double", default=10**400))),
        (record(), record(field("f", "r", default={}), name="r")),
        (record(), record(field("f", {"type": "fixed", "name": "f", "size": 2}, default="x"))),
        (record(), record(field("f", ["null", "int"], default="x"))),
        (record(), record(field("f", record(field("x", "int"), name="i"), default={}))),
        (record(), record(field("f", "boolean", default=1))),
        (record(), record(field("f", "int", default=True))),
        ({"type": "fixed", "name": "f", "size": 1}, {"type": "fixed", "name": "f", "size": 2}),
        ({"type": "array", "items": "int"}, {"type": "array", "items": "string"}),
    ],
)
def test_schemas_that_do_not_go_together_are_refused_when_compiled(writer: Any, reader: Any) -> None:
    poison = compile_schema(writer, reader=reader)

    assert isinstance(poison, Poison)
    assert poison.code == "bad-schema"


@pytest.mark.parametrize(
    ("writer", "reader", "value"),
    [
        (["null", "string"], "null", (1, "x")),
        (["int", "string"], ["null", "int"], (1, "x")),
        (enum("A", "B"), enum("A"), "B"),
        ("bytes", "string", b"\xff"),
    ],
)
def test_a_value_that_the_reader_does_not_know_is_corrupt(writer: Any, reader: Any, value: Any) -> None:
    poison = rendered(writer, reader, value)

    assert isinstance(poison, Poison)
    assert poison.code == "corrupt"


def test_records_match_by_their_own_name_or_an_alias() -> None:
    writer = record(field("a", "int"), name="old", namespace="x")

    assert rendered(writer, record(field("a", "int"), name="old", namespace="y"), {"a": 1}) == b'{"a":1}'
    assert rendered(writer, record(field("a", "int"), name="new", aliases=["x.old"]), {"a": 1}) == b'{"a":1}'


def test_types_that_recurse_are_resolved() -> None:
    writer = record(field("v", "int"), field("next", ["null", "r"]))
    reader = record(field("next", ["null", "r"]), field("v", "double"), field("w", "int", default=0))
    made = compile_schema(writer, reader=reader)
    assert isinstance(made, CompiledSchema)

    value = made.decode(integer(1) + integer(1) + integer(2) + integer(0))

    assert made.render(value) == b'{"next":{"next":null,"v":2,"w":0},"v":1,"w":0}'


def test_parts_follow_the_reader() -> None:
    writer = record(field("a", "int"))
    reader = record(field("b", "string", default="none"), name="r")
    made = compile_schema(writer, reader=reader)
    assert isinstance(made, CompiledSchema)
    part = made.at(("b",))
    assert part is not None

    assert made.at(("a",)) is None
    assert part.text(made.decode(integer(1))) == "none"


def test_unions_that_lead_to_the_same_refusal_many_times_are_worked_out_once() -> None:
    def chain(leaf: str) -> list[Any]:
        types: list[Any] = [record(field("v", leaf), name="r0")]
        for level in range(1, 30):
            below = ["null", f"r{level - 1}"]
            types.append(record(field("a", below), field("b", below), name=f"r{level}"))
        return types

    made = compile_schema([*chain("string"), "int"], reader=[*chain("boolean"), "long"])

    assert isinstance(made, CompiledSchema)
    assert made.render(made.decode(integer(30) + integer(7))) == b"7"
