"""A real Node.js 22 gives back every body byte for byte: JSON.stringify(JSON.parse(body)) === body."""

from __future__ import annotations

import math
import struct
from random import Random

from connector.avro import json_source
from connector.avro.schema import CompiledSchema, compile_schema
from connector.core.event import Poison
from connector.core.jsonjs import number, render
from tests.support.node import unstable
from tests.support.random_values import AvroMaker, document, doubles, encode


def test_every_double_is_laid_out_as_javascript_lays_it_out() -> None:
    values = doubles(Random(1), 4_000)

    texts = [number(x) for x in values]

    assert unstable(texts) == []
    assert all(float(text) == x for x, text in zip(values, texts, strict=True) if math.isfinite(x))


def test_doubles_that_orjson_is_trusted_with_are_laid_out_as_javascript_lays_them_out() -> None:
    values = doubles(Random(2), 4_000)

    bodies = [render({"x": x, "more": [x]}) for x in values]

    assert unstable(body for body in bodies if isinstance(body, bytes)) == []
    assert bodies == [b'{"x":%b,"more":[%b]}' % (number(x), number(x)) for x in values]


def test_documents_of_a_json_topic_are_stable() -> None:
    random = Random(3)
    payloads = [document(random) for _ in range(6_000)]

    bodies = [json_source.at(()).render(json_source.parse(payload)) for payload in payloads]

    assert unstable(body for body in bodies if isinstance(body, bytes)) == []
    assert [body for body in bodies if isinstance(body, Poison)] == []


def test_records_of_avro_topics_are_stable() -> None:
    random = Random(4)
    bodies = []
    for _ in range(1_500):
        maker = AvroMaker(random)
        schema = maker.record()
        compiled = compile_schema(schema, long=random.choice(("auto", "string")))
        assert isinstance(compiled, CompiledSchema)
        for _ in range(3):
            value = compiled.decode(encode(schema, maker.value(schema)))
            assert not isinstance(value, Poison), value
            bodies.append(compiled.render(value))

    assert unstable(body for body in bodies if isinstance(body, bytes)) == []
    assert [body for body in bodies if isinstance(body, Poison)] == []


def test_floats_are_stable_and_read_back_as_the_same_float() -> None:
    random = Random(5)
    raws = [random.randbytes(4) for _ in range(5_000)]
    starts = (0, 0x007FFFF8, 0x4B7FFFF8, 0x7F7FFFF8)  # zero, the normal ones, 2^24, infinity
    raws += [struct.pack("<I", start + bits) for start in starts for bits in range(16)]
    compiled = compile_schema("float")
    assert isinstance(compiled, CompiledSchema)

    bodies = [compiled.render(compiled.decode(raw)) for raw in raws]

    assert unstable(body for body in bodies if isinstance(body, bytes)) == []
    for raw, body in zip(raws, bodies, strict=True):
        assert isinstance(body, bytes)
        (x,) = struct.unpack("<f", raw)
        if math.isfinite(x):
            assert struct.unpack("<f", struct.pack("<f", float(body)))[0] == x
        else:
            assert body == b"null"
