"""Which topics are read, and how the records of each become events."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, FilePath, model_validator

from connector.avro.topic_format import DeleteEvent, EventMapping, TopicFormat, TopicMap
from connector.core.operator_event import reserved_fault
from connector.declared.explain import FaultAt
from connector.settings.lists import Commas
from connector.settings.mapping import MappingSettings, Tombstones


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return pattern


_Pattern = Annotated[str, AfterValidator(_compiles)]


class TopicSettings(MappingSettings):
    """One topic by ``name``, or all that match ``pattern``. The first entry that fits a topic decides."""

    name: str | None = Field(default=None, description="A topic. A plain word in the list means its name.")
    pattern: _Pattern | None = Field(
        default=None,
        description="A Python regular expression that must match a whole name, also of topics made later.",
    )
    exclude: Annotated[tuple[_Pattern, ...], Commas] = Field(
        default=(), description="Regular expressions; what one of them matches is not read by this pattern."
    )
    format: Literal["confluent", "avro", "json"] = Field(
        default="confluent",
        description="confluent: Confluent's framing and a schema registry. avro: bare Avro, written with "
        "schema_file. json: one JSON text.",
    )
    schema_file: FilePath | None = Field(
        default=None,
        description="The .avsc that bare Avro is written with.",
    )
    reader_schema_file: FilePath | None = Field(
        default=None,
        description="An .avsc that pins the shape partners see while producers' schemas move on.",
    )
    tombstones: Tombstones = Field(
        default="skip",
        description="What a null value means: skip, deliver, or {delete_event: type}. A tombstone cleans a "
        "compacted topic; unless told otherwise it is not news.",
    )
    long: Literal["auto", "string"] = Field(
        default="auto",
        description="auto: integers beyond 2^53-1, which JavaScript would round, become strings. string: "
        "every Avro long does, so that a member's kind never varies.",
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, declared: object) -> object:
        return {"name": declared} if isinstance(declared, str) else declared

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.name is None) == (self.pattern is None):
            raise FaultAt((), "must have either a name or a pattern")
        if self.exclude and self.pattern is None:
            raise FaultAt(("exclude",), "goes with a pattern; a topic that is named is read")
        if (self.format == "avro") != (self.schema_file is not None):
            raise FaultAt(("schema_file",), "goes with format: avro, and is needed there")
        if self.format == "json" and self.reader_schema_file is not None:
            raise FaultAt(("reader_schema_file",), "goes with Avro; JSON has no schema")
        for event_type in self.fixed_types:
            if fault := reserved_fault(event_type):
                raise FaultAt((), fault)
        return self

    @property
    def fixed_types(self) -> frozenset[str]:
        """The event types that these settings name themselves, whatever the records say."""
        types: set[str] = set()
        if isinstance(self.type, TopicMap):
            types.update(self.type.types.values())
        if self.name is not None and isinstance(self.type, TopicMap | None):
            types.add(self.type.types.get(self.name, self.name) if self.type else self.name)
        if isinstance(self.tombstones, DeleteEvent):
            types.add(self.tombstones.type)
        return frozenset(types)

    @property
    def regex(self) -> str:
        """One regular expression for whole names: the pattern less what is excluded, or the name, escaped."""
        if self.pattern is None:
            assert self.name is not None  # _fits_together
            return re.escape(self.name)
        if not self.exclude:
            return self.pattern
        excluded = "|".join(f"(?:{each})" for each in self.exclude)
        return rf"(?!(?:{excluded})\Z)(?:{self.pattern})"

    def topic_format(self) -> TopicFormat:
        """What the decoder is told. Reads the schema files; raises :class:`OSError` when one has gone."""
        return TopicFormat(
            topic=self.name or re.compile(self.regex),
            format=self.format,
            schema=self.schema_file.read_text("utf-8") if self.schema_file else "",
            reader_schema=self.reader_schema_file.read_text("utf-8") if self.reader_schema_file else "",
            long=self.long,
            tombstones=self.tombstones,
            mapping=EventMapping(
                type=self.type, id=self.id, time=self.time, data=self.data, key=self.key, subject=self.subject
            ),
        )
