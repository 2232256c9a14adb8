"""What a wire format is asked to do, and what it is given to do it with."""

from __future__ import annotations

from typing import Protocol

from connector.avro.mapping import EventMaker, Shape
from connector.avro.topic_format import EventMapping
from connector.core.event import Decoded, Poison
from connector.core.record import Record


class WireFormat(Protocol):
    """Reads the records of one topic."""

    def decode(self, record: Record, value: bytes) -> Decoded:
        """What comes of ``record``, whose value is ``value`` and whose headers were readable.

        Never raises for what a record holds; bounded in time and memory for any input.
        """


class SchemaSource(Protocol):
    """Writers' schemas by registry id, as far as they are at hand."""

    def schema(self, schema_id: int, /) -> str | Poison | None:
        """The Avro text (references included); poison when it is not Avro; ``None`` when not at hand."""


class TopicMapping:
    """An event mapping bound to its topic, waiting for the shape of the values."""

    def __init__(self, mapping: EventMapping, *, topic: str, source_name: str) -> None:
        self.topic = topic
        self._mapping = mapping
        self._source_name = source_name

    def compile(self, shape: Shape, *, record_name: str = "") -> EventMaker:
        """Raises :class:`~connector.avro.mapping.BadMapping` when ``shape`` lacks a mapped field."""
        return EventMaker(
            self._mapping,
            topic=self.topic,
            source_name=self._source_name,
            shape=shape,
            record_name=record_name,
        )
