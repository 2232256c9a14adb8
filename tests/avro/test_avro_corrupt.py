"""Corrupt Avro: poison with a reason, never an exception, never a value with bytes left over."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from connector.avro.schema import CompiledSchema, compile_schema
from connector.core.event import Poison
from tests.support.node import unstable
from tests.support.random_values import AvroMaker, encode, integer


def compiled(schema: Any) -> CompiledSchema:
    made = compile_schema(schema)
    assert isinstance(made, CompiledSchema), made
    return made


POST = {
    "type": "record",
    "name": "post",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["NEW", "OLD"]}},
        {"name": "tag", "type": ["null", "string"]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}
SOUND = integer(2) + b"id" + integer(1) + integer(1) + integer(1) + b"t" + integer(1750689600123)


def test_the_sound_body_of_these_tests_is_sound() -> None:
    made = compiled(POST)

    assert made.render(made.decode(SOUND)) == (
        b'{"id":"id","kind":"OLD","tag":"t","at":"2025-06-23T14:40:00.123Z"}'
    )
    assert made.render(made.decode(memoryview(SOUND))) == made.render(made.decode(SOUND))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        SOUND[:-1],
        SOUND[:4],
        SOUND + b"\x00",
        integer(2) + b"\xff\xfe" + SOUND[3:],
        integer(2) + b"id" + integer(7) + SOUND[4:],
        integer(2) + b"id" + integer(0) + integer(5) + SOUND[5:],
        integer(2**40) + b"id" + SOUND[3:],
        b"\xff" * 40,
    ],
)
def test_a_body_that_is_not_of_its_schema_is_corrupt(payload: bytes) -> None:
    poison = compiled(POST).decode(payload)

    assert isinstance(poison, Poison)
    assert poison.code == "corrupt"


def test_the_reason_for_bytes_left_over_counts_them() -> None:
    assert compiled(POST).decode(SOUND + b"abc") == Poison(
        "corrupt", "The value has 3 bytes more than its schema takes."
    )


def test_thousands_of_corrupted_bodies_are_values_or_poison_and_what_is_rendered_is_stable() -> None:
    random = Random(31)
    bodies = []
    for _ in range(400):
        maker = AvroMaker(random)
        schema = maker.record()
        made = compiled(schema)
        for _ in range(20):
            payload = bytearray(encode(schema, maker.value(schema)))
            for _ in range(random.randrange(1, 4)):
                if payload:
                    payload[random.randrange(len(payload))] = random.randrange(256)
            value = made.decode(bytes(payload[: random.randrange(len(payload) + 1) or None]))
            body = value if isinstance(value, Poison) else made.render(value)
            bodies.append(body)

    assert {body.code for body in bodies if isinstance(body, Poison)} <= {
        "corrupt",
        "out-of-range",
        "too-many-items",
        "too-deep",
    }
    assert unstable(body for body in bodies if isinstance(body, bytes)) == []


def test_an_int_past_32_bits_from_a_corrupt_body_still_renders_stable() -> None:
    made = compiled("int")

    assert made.render(made.decode(integer(2**60))) == b'"1152921504606846976"'
