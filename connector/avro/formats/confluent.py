"""Confluent's framing over Avro: each record names the schema it was written with by registry id.

The hot path of the connector. Everything that depends on the schema is compiled once per id and
found again by the five prefix bytes themselves, so a record in a known schema costs one slice and
one look-up before its body is decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from connector.avro import framing
from connector.avro.formats.port import SchemaSource, TopicMapping
from connector.avro.mapping import BadMapping
from connector.avro.schema import compile_schema
from connector.avro.topic_format import TopicFormat
from connector.core.event import Decoded, Event, NeedsSchema, Poison
from connector.core.record import Record

COMPILED_MAX: Final = 1_000
"""Schemas kept compiled per topic, the latest ones; a topic in practice has a handful of them."""


class _Compiled(NamedTuple):
    decode: Callable[[bytes], Any]  # Any: the decoded value, whatever its schema says
    make: Callable[[Record, Any], Event | Poison]  # Any: the same


class ConfluentFormat:
    """Reads the records of one topic whose values are framed, or whose headers name the schema."""

    def __init__(self, topic_format: TopicFormat, mapping: TopicMapping, schemas: SchemaSource) -> None:
        self._topic_format = topic_format
        self._mapping = mapping
        self._schemas = schemas
        self._compiled: dict[bytes, _Compiled | Poison] = {}

    def decode(self, record: Record, value: bytes) -> Decoded:
        prefix = framing.header_prefix(record.headers) if record.headers else None
        if prefix is None:
            prefix = value[: framing.PREFIX_BYTES]
            body = value[framing.PREFIX_BYTES :]
        else:
            body = value

        compiled = self._compiled.get(prefix) or self._compile(prefix)
        if not isinstance(compiled, _Compiled):
            return compiled
        decoded = compiled.decode(body)
        if isinstance(decoded, Poison):
            return decoded
        return compiled.make(record, decoded)

    def _compile(self, prefix: bytes) -> _Compiled | Poison | NeedsSchema:
        """Compile what ``prefix`` names, once its text is at hand; a bad schema is kept as its poison."""
        schema_id = framing.schema_id(prefix)
        if isinstance(schema_id, Poison):
            return schema_id
        text = self._schemas.schema(schema_id)
        if text is None:
            return NeedsSchema(schema_id)
        compiled = text if isinstance(text, Poison) else self._compile_text(schema_id, text)
        if len(self._compiled) >= COMPILED_MAX:
            del self._compiled[next(iter(self._compiled))]
        self._compiled[prefix] = compiled
        return compiled

    def _compile_text(self, schema_id: int, text: str) -> _Compiled | Poison:
        topic_format = self._topic_format
        schema = compile_schema(text, long=topic_format.long, reader=topic_format.reader_schema or None)
        if isinstance(schema, Poison):
            return Poison(schema.code, f"Schema {schema_id}: {schema.detail}")
        try:
            maker = self._mapping.compile(schema, record_name=schema.name)
        except BadMapping as error:
            return Poison("unmapped", f"Schema {schema_id}: {error}")
        return _Compiled(schema.decode, maker.make)
