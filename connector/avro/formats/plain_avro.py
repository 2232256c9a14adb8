"""Bare Avro bodies, all written with one schema that the operator gives as a file."""

from __future__ import annotations

from connector.avro.formats.port import TopicMapping
from connector.avro.schema import compile_schema
from connector.avro.topic_format import BadTopicFormat, TopicFormat
from connector.core.event import Decoded, Poison
from connector.core.record import Record


class PlainAvroFormat:
    """Reads records whose value is an Avro body without any framing.

    Raises :class:`~connector.avro.topic_format.BadTopicFormat` for a schema that does not compile and
    :class:`~connector.avro.mapping.BadMapping` for a mapping that does not fit it.
    """

    def __init__(self, topic_format: TopicFormat, mapping: TopicMapping) -> None:
        schema = compile_schema(
            topic_format.schema, long=topic_format.long, reader=topic_format.reader_schema or None
        )
        if isinstance(schema, Poison):
            raise BadTopicFormat(schema.detail)
        self._body = schema.decode
        self._make = mapping.compile(schema, record_name=schema.name).make

    def decode(self, record: Record, value: bytes) -> Decoded:
        decoded = self._body(value)
        if isinstance(decoded, Poison):
            return decoded
        return self._make(record, decoded)
