"""One JSON text per record, no schema."""

from __future__ import annotations

from connector.avro import json_source
from connector.avro.formats.port import TopicMapping
from connector.core.event import Decoded, Poison
from connector.core.record import Record


class JsonFormat:
    """Reads records whose value is JSON. Raises
    :class:`~connector.avro.mapping.BadMapping` for a mapping that needs a schema."""

    def __init__(self, mapping: TopicMapping) -> None:
        self._make = mapping.compile(json_source).make

    def decode(self, record: Record, value: bytes) -> Decoded:
        parsed = json_source.parse(value)
        if isinstance(parsed, Poison):
            return parsed
        return self._make(record, parsed)
