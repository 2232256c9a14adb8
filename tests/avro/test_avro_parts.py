"""What the mapping takes out of decoded values: rendered, as text, as a time."""

from __future__ import annotations

from typing import Any

import pytest

from connector.avro import json_source
from connector.avro.parts import AvroPart
from connector.avro.schema import CompiledSchema, compile_schema
from connector.core.event import Poison
from tests.support.random_values import encode, integer


def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name, **more}


AUTHOR = {"type": "record", "name": "author", "fields": [{"name": "id", "type": "long"}]}
ROBOT = {"type": "record", "name": "robot", "fields": [{"name": "model", "type": "string"}]}
SCHEMA = {
    "type": "record",
    "name": "post",
    "namespace": "bellamy",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "author", "type": ["null", AUTHOR]},
        {"name": "by", "type": ["null", "author", ROBOT]},
        {"name": "labels", "type": {"type": "map", "values": "string"}},
        {"name": "at", "type": ["null", logical("long", "timestamp-nanos")]},
    ],
}


def compiled(schema: Any) -> CompiledSchema:
    made = compile_schema(schema)
    assert isinstance(made, CompiledSchema), made
    return made


def at(*path: str, schema: Any = SCHEMA) -> AvroPart:
    found = compiled(schema).at(path)
    assert found is not None
    return found


def post(**fields: Any) -> Any:
    value = {
        "id": "p1",
        "author": (1, {"id": 7}),
        "by": (2, {"model": "r2"}),
        "labels": {"de": "Hallo"},
        "at": (1, 1750689600123456789),
        **fields,
    }
    schema = {**SCHEMA, "fields": [*SCHEMA["fields"]]}
    schema["fields"][2] = {"name": "by", "type": ["null", AUTHOR, ROBOT]}
    return compiled(SCHEMA).decode(encode(schema, value))


def test_a_schema_has_the_full_name_of_its_record() -> None:
    assert compiled(SCHEMA).name == "bellamy.post"
    assert compiled(["null", "string"]).name == ""


def test_the_empty_path_is_the_whole_value() -> None:
    body = (
        b'{"id":"p1","author":{"id":7},"by":{"model":"r2"},"labels":{"de":"Hallo"},'
        b'"at":"2025-06-23T14:40:00.123456789Z"}'
    )

    assert at().render(post()) == body
    assert compiled(SCHEMA).render(post()) == body
    assert at().text(post()) is None
    assert at().time(post()) is None


def test_a_path_goes_through_records_unions_and_maps() -> None:
    assert at("author").render(post()) == b'{"id":7}'
    assert at("author", "id").text(post()) == "7"
    assert at("by", "model").text(post()) == "r2"
    assert at("by", "id").text(post()) is None
    assert at("by").render(post(by=(1, {"id": 2**60}))) == b'{"id":"1152921504606846976"}'
    assert at("labels", "de").text(post()) == "Hallo"


def test_a_path_that_no_value_can_have_is_no_part() -> None:
    schema = compiled(SCHEMA)

    assert schema.at(("nope",)) is None
    assert schema.at(("id", "x")) is None
    assert schema.at(("author", "nope")) is None
    assert schema.at(("by", "id", "x")) is None


def test_what_a_record_does_not_have_is_unmapped() -> None:
    for part, value in (
        (at("author", "id"), post(author=(0, None))),
        (at("by", "model"), post(by=(1, {"id": 1}))),
        (at("labels", "en"), post()),
    ):
        rendered = part.render(value)
        assert isinstance(rendered, Poison)
        assert rendered.code == "unmapped"
        assert part.text(value) is None
        assert part.time(value) is None


def test_a_null_at_the_end_of_the_path_is_null() -> None:
    assert at("author").render(post(author=(0, None))) == b"null"
    assert at("author").text(post(author=(0, None))) is None
    assert at("at").time(post(at=(0, None))) is None


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        ("boolean", True, "true"),
        ("boolean", False, "false"),
        ("long", 2**60, "1152921504606846976"),
        ("double", 1.0, "1"),
        ("double", 2.5, "2.5"),
        ("double", 1e21, "1e+21"),
        ("double", float("nan"), None),
        ("bytes", b"abc", "YWJj"),
        ({"type": "enum", "name": "e", "symbols": ["A"]}, "A", "A"),
        (logical("bytes", "decimal", precision=4, scale=2), b"\x01", "0.01"),
        (logical("long", "timestamp-millis"), 0, "1970-01-01T00:00:00.000Z"),
        (logical("long", "timestamp-millis"), 2**62, None),
        ({"type": "array", "items": "int"}, [], None),
        ({"type": "map", "values": "int"}, {}, None),
    ],
)
def test_a_simple_value_has_a_text(schema: Any, value: Any, text: str | None) -> None:
    whole = {"type": "record", "name": "r", "fields": [{"name": "f", "type": schema}]}

    assert at("f", schema=whole).text(compiled(whole).decode(encode(whole, {"f": value}))) == text


@pytest.mark.parametrize(
    ("schema", "value", "instant"),
    [
        (logical("long", "timestamp-millis"), -1, (-1_000, 3)),
        (logical("long", "timestamp-micros"), 1750689600123456, (1750689600123456, 6)),
        (logical("long", "timestamp-nanos"), 1750689600123456789, (1750689600123456, 6)),
        (logical("long", "local-timestamp-millis"), 1750689600123, (1750689600123000, 3)),
        (logical("int", "date"), 1, (86_400_000_000, 0)),
        (logical("int", "time-millis"), 1, None),
        ("long", 1750689600, (1750689600000000, 0)),
        ("int", 1750689600, (1750689600000000, 0)),
        ("string", "2025-06-23T14:40:00.5Z", (1750689600500000, 1)),
        ("string", "yesterday", None),
        ("double", 1750689600.5, None),
        ("bytes", b"abc", None),
    ],
)
def test_a_time_is_exact(schema: Any, value: Any, instant: tuple[int, int] | None) -> None:
    whole = {"type": "record", "name": "r", "fields": [{"name": "f", "type": schema}]}

    assert at("f", schema=whole).time(compiled(whole).decode(encode(whole, {"f": value}))) == instant


def test_a_value_that_is_no_record_has_parts_too() -> None:
    schema = ["null", {"type": "map", "values": "string"}]
    value = compiled(schema).decode(integer(1) + integer(1) + integer(1) + b"a" + integer(1) + b"b" + b"\x00")

    assert at(schema=schema).render(value) == b'{"a":"b"}'
    assert at("a", schema=schema).text(value) == "b"


def test_json_has_the_same_surface() -> None:
    value = json_source.parse(
        b'{"id": "p1", "n": 18446744073709551616, "x": 1.0, "t": true, "none": null,'
        b' "author": {"10": 1, "9": [1.0]}, "at": "2025-06-23T14:40:00.123Z", "seconds": 1750689600}'
    )

    assert json_source.at(("author",)).render(value) == b'{"9":[1],"10":1}'
    assert json_source.at(("author", "10")).text(value) == "1"
    assert json_source.at(("id",)).text(value) == "p1"
    assert json_source.at(("n",)).text(value) == "18446744073709551616"
    assert json_source.at(("x",)).text(value) == "1"
    assert json_source.at(("t",)).text(value) == "true"
    assert json_source.at(("none",)).render(value) == b"null"
    assert json_source.at(("at",)).time(value) == (1750689600123000, 3)
    assert json_source.at(("seconds",)).time(value) == (1750689600000000, 0)


@pytest.mark.parametrize("path", [("nope",), ("id", "x"), ("none", "x"), ("list", "0")])
def test_what_json_does_not_have_is_unmapped(path: tuple[str, ...]) -> None:
    value = json_source.parse(b'{"id": "p1", "none": null, "list": [1]}')
    part = json_source.at(path)
    rendered = part.render(value)

    assert isinstance(rendered, Poison)
    assert rendered.code == "unmapped"
    assert part.text(value) is None
    assert part.time(value) is None


@pytest.mark.parametrize("payload", [b'{"v": null}', b'{"v": []}', b'{"v": {}}', b'{"v": 1e400}'])
def test_json_without_a_simple_value_has_no_text_and_no_time(payload: bytes) -> None:
    value = json_source.parse(payload)

    assert json_source.at(("v",)).text(value) is None
    assert json_source.at(("v",)).time(value) is None
