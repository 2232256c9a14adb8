"""Schemas that cannot be compiled are poison that says why; odd but sound ones are not."""

from __future__ import annotations

from typing import Any

import pytest

from connector.avro.schema import CompiledSchema, compile_schema
from connector.core.event import Poison


def record(*fields: Any, name: str = "r") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def deep(levels: int) -> Any:
    schema: Any = "int"
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "detail"),
    [
        ("", "The schema is not JSON"),
        ("{", "The schema is not JSON"),
        ('{"type":' * 5_000, "The schema is not JSON"),
        ("[" * 500 + "]" * 500, "The schema nests deeper than 64 types."),
        ("17", "Something stands where a type should be."),
        ({}, "Something stands where a type should be."),
        ({"type": "array"}, "The schema of array values does not say what they hold."),
        ({"type": "map", "values": None}, "Something stands where a type should be."),
        ({"type": "nope"}, "The type 'nope' is not defined."),
        (record({"name": "f", "type": "x.y"}), "The type 'x.y' is not defined."),
        ([], "A union is empty or stands directly in another."),
        (["int", ["null"]], "A union is empty or stands directly in another."),
        (["int", "int"], "A union has two branches of one type."),
        ([{"type": "array", "items": "int"}, {"type": "array", "items": "long"}], "A union has two branches"),
        ({"type": "record", "fields": []}, "A record, enum or fixed has no name."),
        ({"type": "record", "name": "r"}, "The record 'r' has no list of fields."),
        (record({"name": "f"}), "A field of a record has no type."),
        (record("f"), "A field of a record has no type."),
        (record({"type": "int"}), "None is not a name that a field may have."),
        (record({"name": "0", "type": "int"}), "'0' is not a name that a field may have."),
        (record({"name": "a-b", "type": "int"}), "'a-b' is not a name that a field may have."),
        (record({"name": "\ud800", "type": "int"}), "is not a name that a field may have."),
        (record({"name": "f", "type": "int"}, {"name": "f", "type": "int"}), "has two fields of one name."),
        (record({"name": "f", "type": "int", "aliases": "x"}), "'aliases' is not a list."),
        (record(name="a b"), "'a b' is not a name that a type may have."),
        (record(name="int"), "'int' is not a name that a type may have."),
        (record({"name": "f", "type": record()}), "The type 'r' is defined twice."),
        ({"type": "enum", "name": "e", "symbols": []}, "The enum 'e' has no symbols, or one of them twice."),
        ({"type": "enum", "name": "e", "symbols": ["A", "A"]}, "or one of them twice."),
        ({"type": "enum", "name": "e", "symbols": ["A B"]}, "The enum 'e' has a symbol that is not a name."),
        ({"type": "enum", "name": "e", "symbols": [1]}, "The enum 'e' has a symbol that is not a name."),
        ({"type": "fixed", "name": "f", "size": -1}, "The fixed 'f' has no size."),
        ({"type": "fixed", "name": "f", "size": "3"}, "The fixed 'f' has no size."),
        (deep(65), "The schema nests deeper than 64 types."),
    ],
)
def test_a_schema_that_cannot_be_compiled_is_poison_that_says_why(schema: Any, detail: str) -> None:
    poison = compile_schema(schema)

    assert isinstance(poison, Poison)
    assert poison.code == "bad-schema"
    assert detail in poison.detail


@pytest.mark.parametrize(
    "schema",
    [
        "string",
        '"string"',
        '{"type": "string"}',
        b'{"type": {"type": "string"}}',
        ["null", "string"],
        deep(64),
        {"type": "error", "name": "e", "fields": []},
        {"type": "record", "name": "r", "namespace": None, "doc": 5, "fields": [], "extra": [[[]]]},
        record({"name": "f", "type": "int", "default": "wrong, but nobody reads it"}),
        record({"name": "größe", "type": "int"}),
    ],
)
def test_odd_but_sound_schemas_are_compiled(schema: Any) -> None:
    assert isinstance(compile_schema(schema), CompiledSchema)


def test_names_are_looked_up_in_the_namespace_around_them_and_then_without() -> None:
    inner = {"type": "record", "name": "inner", "namespace": "", "fields": [{"name": "v", "type": "int"}]}
    schema = {
        "type": "record",
        "name": "a.b.outer",
        "fields": [
            {"name": "x", "type": {"type": "fixed", "name": "f", "size": 1}},
            {"name": "y", "type": "f"},
            {"name": "z", "type": "a.b.f"},
            {"name": "i", "type": inner},
            {"name": "j", "type": "inner"},
        ],
    }
    made = compile_schema(schema)
    assert isinstance(made, CompiledSchema)

    assert made.name == "a.b.outer"
    assert made.render(made.decode(b"abc\x02\x04")) == (
        b'{"x":"YQ==","y":"Yg==","z":"Yw==","i":{"v":1},"j":{"v":2}}'
    )
