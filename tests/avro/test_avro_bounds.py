"""Payloads made to end a worker: each is poison, in little time and memory."""

from __future__ import annotations

import tracemalloc
from random import Random
from typing import Any

import pytest

from connector.avro.nodes import read_schema
from connector.avro.schema import CompiledSchema, compile_schema
from connector.avro.skipper import skipper
from connector.core.event import Poison
from tests.support.random_values import AvroMaker, encode, integer

LIST = {
    "type": "record",
    "name": "node",
    "fields": [{"name": "v", "type": "int"}, {"name": "next", "type": ["null", "node"]}],
}
ITSELF = {"type": "record", "name": "r", "fields": [{"name": "r", "type": "r"}]}
TREE = {
    "type": "record",
    "name": "node",
    "fields": [{"name": "children", "type": {"type": "array", "items": "node"}}],
}
NAMED = {
    "type": "record",
    "name": "node",
    "fields": [{"name": "children", "type": {"type": "map", "values": ["string", "node"]}}],
}
EMPTY = {"type": "record", "name": "empty", "fields": []}
TERA = integer(2**40)


def compiled(schema: Any) -> CompiledSchema:
    made = compile_schema(schema)
    assert isinstance(made, CompiledSchema), made
    return made


def code(schema: Any, payload: bytes) -> str:
    poison = compiled(schema).decode(payload)
    assert isinstance(poison, Poison), poison
    return poison.code


def field(schema: Any) -> dict[str, Any]:
    return {"type": "record", "name": "outer", "fields": [{"name": "f", "type": schema}]}


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        (LIST, integer(1) + (integer(1) + integer(1)) * 5_000 + integer(0)),
        (TREE, integer(1) * 5_000 + integer(0) * 5_000),
        (NAMED, (integer(1) + integer(1) + b"k" + integer(1)) * 5_000),
        (ITSELF, b""),
        (["null", ITSELF], integer(1)),
    ],
)
def test_a_record_nested_5000_deep_is_poison(schema: Any, payload: bytes) -> None:
    assert code(schema, payload) == "too-deep"


def test_64_levels_are_read_and_65_are_not() -> None:
    def payload(levels: int) -> bytes:
        return integer(1) + (integer(1) + integer(1)) * (levels - 1) + integer(0)

    assert not isinstance(compiled(LIST).decode(payload(64)), Poison)
    assert isinstance(compiled(LIST).render(compiled(LIST).decode(payload(64))), bytes)
    assert code(LIST, payload(65)) == "too-deep"


def test_a_schema_that_nests_types_deep_without_recursing_has_the_same_bound() -> None:
    types = ["int", *(f"r{i}" for i in range(4_999))]
    chain = [
        {"type": "record", "name": f"r{i}", "fields": [{"name": "v", "type": inner}]}
        for i, inner in enumerate(types)
    ]

    assert not isinstance(compiled(chain).decode(integer(63) + integer(1)), Poison)
    assert code(chain, integer(64) + integer(1)) == "too-deep"
    assert code(chain, integer(4_999) + integer(1)) == "too-deep"


@pytest.mark.parametrize(
    "items",
    [
        "null",
        EMPTY,
        {"type": "fixed", "name": "nothing", "size": 0},
        {
            "type": "record",
            "name": "n",
            "fields": [{"name": "a", "type": "null"}, {"name": "b", "type": EMPTY}],
        },
    ],
)
@pytest.mark.parametrize("head", [TERA, integer(-(2**40)) + integer(0), integer(-(2**63)) + integer(0)])
def test_an_array_of_2_to_the_40_items_without_bytes_is_poison(items: Any, head: bytes) -> None:
    array = {"type": "array", "items": items}

    assert code(array, head + integer(0)) == "too-many-items"
    assert code(field(array), head + integer(0)) == "too-many-items"


def test_100000_items_without_bytes_are_read_and_one_more_is_not() -> None:
    schema = field({"type": "array", "items": "null"})

    assert compiled(schema).decode(integer(100_000) + integer(0)) == {"f": [None] * 100_000}
    assert code(schema, integer(100_001) + integer(0)) == "too-many-items"
    assert code(schema, integer(50_001) + integer(50_000) + integer(0)) == "too-many-items"


def test_items_of_one_byte_that_hold_many_without_are_counted() -> None:
    nulls = [{"name": f"n{i}", "type": "null"} for i in range(99)]
    item = {"type": "record", "name": "i", "fields": [*nulls, {"name": "v", "type": "boolean"}]}

    assert (
        code({"type": "array", "items": item}, integer(2_000) + b"\x01" * 2_000 + b"\x00") == "too-many-items"
    )


def test_a_map_of_nulls_is_bounded_by_its_names() -> None:
    schema = {"type": "map", "values": "null"}

    assert code(schema, TERA + integer(1) + b"a" + integer(0)) == "corrupt"
    assert compiled(schema).decode(integer(1) + integer(1) + b"a" + integer(0)) == {"a": None}


def test_a_walk_passes_over_block_sizes_as_the_reader_does() -> None:
    schema = field({"type": "array", "items": ["null", {"type": "array", "items": "null"}]})
    block = integer(1) + integer(2) + integer(0)  # the second branch: an array of two nulls

    assert compiled(schema).decode(integer(-1) + integer(len(block)) + block + integer(0)) == {
        "f": [[None, None]]
    }


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        ("string", TERA + b"abc"),
        ("bytes", integer(2**62) + b"abc"),
        ("bytes", integer(-1) + b"abc"),
        ("string", integer(-(2**63)) + b"abc"),
        ({"type": "fixed", "name": "f", "size": 2**40}, b"abc"),
        ({"type": "fixed", "name": "f", "size": 2**80}, b"abc"),
        ({"type": "array", "items": "int"}, TERA + b"\x02"),
        ({"type": "array", "items": "string"}, TERA + b"\x02"),
        ({"type": "map", "values": "int"}, TERA + b"\x02a\x02"),
        ({"type": "array", "items": ["null", LIST]}, TERA + b"\x00" * 10),
        (field({"type": "map", "values": ["null", LIST]}), TERA + integer(2**50) + b"a"),
    ],
)
def test_a_claim_larger_than_the_payload_is_corrupt_and_takes_no_memory(schema: Any, payload: bytes) -> None:
    made = compiled(schema)
    tracemalloc.start()
    try:
        poison = made.decode(payload)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert isinstance(poison, Poison)
    assert poison.code == "corrupt"
    assert peak_bytes < 200_000


def test_only_schemas_without_bounds_are_walked() -> None:
    plain = {
        "type": "record",
        "name": "r",
        "fields": [
            {"name": "nothing", "type": "null"},
            {"name": "items", "type": {"type": "array", "items": ["null", "string"]}},
            {"name": "members", "type": {"type": "map", "values": {"type": "array", "items": "double"}}},
        ],
    }

    repeated_null = {"type": "record", "name": "x", "fields": [{"name": "n", "type": "null"}]}

    assert skipper(read_schema(plain)) is None
    assert skipper(read_schema(LIST)) is not None
    assert skipper(read_schema({"type": "array", "items": ["int", repeated_null]})) is not None


def test_a_walk_finds_nothing_wrong_with_sound_records() -> None:
    random = Random(21)
    walked = 0
    for _ in range(3_000):
        maker = AvroMaker(random)
        schema = {"type": "array", "items": maker.record()}
        skip = skipper(read_schema(schema))
        if skip is not None:
            walked += 1
            assert skip(encode(schema, maker.value(schema))) is None

    assert walked > 500


@pytest.mark.parametrize(
    "schema", [LIST, TREE, NAMED, {"type": "array", "items": ["null", EMPTY, "string", "double"]}]
)
def test_random_bytes_under_a_dangerous_schema_are_values_or_poison(schema: Any) -> None:
    random = Random(22)
    made = compiled(schema)

    for _ in range(5_000):
        value = made.decode(bytes(random.choices((0, 1, 2, 3, 4, 128, 255), k=random.randrange(30))))
        if not isinstance(value, Poison):
            assert isinstance(made.render(value), bytes)
