"""Records into events: each topic by its own format, mapping and tombstone policy.

The engine's :class:`~connector.engine.ports.Decoder`. Everything is compiled at the first record
of a topic and kept; a record of a known topic and schema is only decoded, rendered and named.
Fetching schemas, and remembering which ids do not exist, is left to the registry client.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple, Protocol, assert_never

from connector.avro.formats.confluent import ConfluentFormat
from connector.avro.formats.json import JsonFormat
from connector.avro.formats.plain_avro import PlainAvroFormat
from connector.avro.formats.port import SchemaSource, TopicMapping, WireFormat
from connector.avro.mapping import BadMapping
from connector.avro.schema import compile_schema
from connector.avro.tombstones import Tombstones
from connector.avro.topic_format import BadTopicFormat, TopicFormat
from connector.core.event import Decoded, Poison
from connector.core.record import Record
from connector.engine.ports import SchemaAnswer, SchemaUnreachable

TOPICS_MAX: Final = 10_000
"""Topics kept compiled, the latest ones: far above what one group reads."""

_ANY_TOPIC: Final = "any"


class Registry(SchemaSource, Protocol):
    """Schemas by id, fetched when asked."""

    async def fetch(self, schema_id: int, /) -> SchemaAnswer:
        """Callers of the same id share one request; an id known to be unknown is answered at once."""


class _Topic(NamedTuple):
    format: WireFormat
    tombstones: Tombstones


class TopicDecoders:
    """Decodes each topic by the first of ``formats`` that matches it, else by ``TopicFormat``'s
    defaults: Confluent's framing, everything unmapped.

    ``source_name`` names this cluster or connector for ever: it is hashed into event ids and is the
    first part of every event's source. Raises
    :class:`~connector.avro.topic_format.BadTopicFormat` for a format that cannot work.
    """

    def __init__(
        self, formats: Sequence[TopicFormat], *, source_name: str, registry: Registry | None
    ) -> None:
        self._formats = tuple(formats)
        self._source_name = source_name
        self._registry = registry or _NoRegistry()
        self._topics: dict[str, _Topic] = {}
        for topic_format in self._formats:
            self._check(topic_format)

    def decode(self, record: Record) -> Decoded:
        """The event of ``record``, or why there is none; the same answer every time for one record."""
        if record.unreadable:
            return Poison("bad-headers", record.unreadable)
        topic = self._topics.get(record.topic) or self._open_topic(record.topic)
        value = record.value
        if value is None:
            return topic.tombstones.decode(record)
        return topic.format.decode(record, value)

    async def fetch(self, ref: Hashable) -> SchemaAnswer:
        """Fetch the schema that :class:`~connector.core.event.NeedsSchema` named."""
        assert isinstance(ref, int), "the only schemas fetched are named by registry ids"
        return await self._registry.fetch(ref)

    def format_of(self, topic: str) -> TopicFormat:
        """How ``topic`` is read."""
        for topic_format in self._formats:
            if topic_format.matches(topic):
                return topic_format
        return TopicFormat(topic=topic)

    def _open_topic(self, name: str) -> _Topic:
        topic = self._compile(self.format_of(name), name)
        if len(self._topics) >= TOPICS_MAX:
            del self._topics[next(iter(self._topics))]
        self._topics[name] = topic
        return topic

    def _compile(self, topic_format: TopicFormat, name: str) -> _Topic:
        mapping = TopicMapping(topic_format.mapping, topic=name, source_name=self._source_name)
        wire_format: WireFormat
        match topic_format.format:
            case "confluent":
                wire_format = ConfluentFormat(topic_format, mapping, self._registry)
            case "avro":
                wire_format = PlainAvroFormat(topic_format, mapping)
            case "json":
                wire_format = JsonFormat(mapping)
            case _:
                assert_never(topic_format.format)
        tombstones = Tombstones(
            topic_format.tombstones, topic_format.mapping, topic=name, source_name=self._source_name
        )
        return _Topic(wire_format, tombstones)

    def _check(self, topic_format: TopicFormat) -> None:
        """Find out now what would otherwise be found at the first record."""
        pattern = topic_format.topic
        shown, name = (pattern, pattern) if isinstance(pattern, str) else (pattern.pattern, _ANY_TOPIC)
        if topic_format.reader_schema:
            reader = compile_schema(topic_format.reader_schema, long=topic_format.long)
            if isinstance(reader, Poison):
                raise BadTopicFormat(f"topic {shown}: the reader schema does not compile: {reader.detail}")
        try:
            self._compile(topic_format, name)
        except (BadMapping, BadTopicFormat) as error:
            raise BadTopicFormat(f"topic {shown}: {error}") from error


class _NoRegistry:
    """Stands in where no registry is configured: framed records wait rather than die."""

    def schema(self, _: int, /) -> None:
        return None

    async def fetch(self, schema_id: int, /) -> SchemaAnswer:
        return SchemaUnreachable(f"Schema {schema_id} is needed, and no schema registry is configured.")
