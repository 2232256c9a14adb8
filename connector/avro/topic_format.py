"""How the records of a topic are read: what an operator writes down, as values.

Promises nothing by itself: :mod:`connector.avro.decoder` compiles these values and refuses what
cannot work. Parsing them out of a settings file is the application's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Path = tuple[str, ...]
"""Member names from the outermost record inwards; the empty path is the whole value."""


@dataclass(frozen=True, slots=True)
class Field:
    """Taken from the decoded value, at this path."""

    path: Path

    def __str__(self) -> str:
        return f"field {'.'.join(self.path)}"


@dataclass(frozen=True, slots=True)
class Header:
    """Taken from the record's last header of this name, as UTF-8 text."""

    name: str

    def __str__(self) -> str:
        return f"header {self.name}"


@dataclass(frozen=True, slots=True)
class RecordName:
    """The full name of the Avro record that values follow, namespace included: the reader schema's
    where one is pinned, else the writer's."""

    def __str__(self) -> str:
        return "the Avro record's name"


@dataclass(frozen=True, slots=True)
class TopicMap:
    """Looked up by topic; a topic that is not listed keeps its own name as event type."""

    types: Mapping[str, str]

    def __str__(self) -> str:
        return "the map of topics"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMapping:
    """Which part of a record becomes which part of its event. ``None`` is the default of each part:

    ``type``: the topic's name. ``id``: derived from the record's coordinates. ``time``: the record's
    own timestamp. ``data``: the whole value. ``key``: the record's key. ``subject``: none.
    """

    type: TopicMap | Header | RecordName | Field | None = None
    id: Header | Field | None = None
    time: Field | None = None
    data: Field | None = None
    key: Field | None = None
    subject: Header | Field | None = None


@dataclass(frozen=True, slots=True)
class DeleteEvent:
    """A null value is an event of this type whose data is ``{"key": "<the record's key>"}``."""

    type: str


TombstonePolicy = Literal["skip", "deliver"] | DeleteEvent
"""What a null value means: no event; an event whose data is ``null``; an event of a type of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicFormat:
    """How the records of ``topic`` are read; a pattern must match the whole name.

    ``format``: ``confluent`` is Confluent's framing with a schema registry, ``avro`` is bare Avro
    written with ``schema``, ``json`` is one JSON text. ``reader_schema`` (Avro text) pins the shape
    that partners see while producers' schemas move on. ``long``: integers that JavaScript would
    round become strings (``auto``), or every Avro long does (``string``).
    """

    topic: str | re.Pattern[str]
    format: Literal["confluent", "avro", "json"] = "confluent"
    schema: str = ""
    reader_schema: str = ""
    long: Literal["auto", "string"] = "auto"
    tombstones: TombstonePolicy = "skip"
    mapping: EventMapping = EventMapping()

    def matches(self, topic: str) -> bool:
        """Whether this is how ``topic`` is read."""
        if isinstance(self.topic, str):
            return self.topic == topic
        return self.topic.fullmatch(topic) is not None


class BadTopicFormat(ValueError):
    """A topic's format cannot work; the message names the topic and the cure."""
