"""What a null value means: nothing, an event whose data is ``null``, or an event of its own type.

A tombstone has no value to map fields from, so what is mapped to a field falls back to its default
(id from the coordinates, time and key of the record, no subject). The type has no honest default:
under ``deliver``, a type that is mapped to a field or to the record's name makes the tombstone poison.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import orjson

from connector.avro.mapping import EventMaker
from connector.avro.topic_format import (
    DeleteEvent,
    EventMapping,
    Field,
    Header,
    Path,
    RecordName,
    TombstonePolicy,
    TopicMap,
)
from connector.core.event import Decoded, Poison, Skipped
from connector.core.record import Record

_SKIPPED: Final = Skipped("A null value, which this topic's policy skips.")
_UNTYPED: Final = Poison("tombstone", "A null value has no field to take the event's type from.")
_UNREADABLE_KEY: Final = Poison("tombstone", "A null value whose key is not UTF-8 names nothing to delete.")


class Tombstones:
    """The tombstone policy of one topic.

    Raises :class:`~connector.avro.mapping.BadMapping` for a policy that cannot give an event.
    """

    def __init__(
        self, policy: TombstonePolicy, mapping: EventMapping, *, topic: str, source_name: str
    ) -> None:
        self._policy = policy
        valueless = replace(
            mapping,
            id=mapping.id if isinstance(mapping.id, Header) else None,
            subject=mapping.subject if isinstance(mapping.subject, Header) else None,
            time=None,
            data=None,
            key=None,
        )
        if isinstance(policy, DeleteEvent):
            valueless = replace(valueless, type=TopicMap({topic: policy.type}))
        self._maker = (
            None
            if isinstance(valueless.type, Field | RecordName)
            else EventMaker(valueless, topic=topic, source_name=source_name, shape=_Text(), record_name="")
        )

    def decode(self, record: Record) -> Decoded:
        """What comes of ``record``, whose value is null."""
        if self._policy == "skip":
            return _SKIPPED
        if self._maker is None:
            return _UNTYPED
        if self._policy == "deliver":
            return self._maker.make(record, b"null")
        try:
            key = None if record.key is None else record.key.decode()
        except UnicodeDecodeError:
            return _UNREADABLE_KEY
        return self._maker.make(record, orjson.dumps({"key": key}))


class _Text:
    """The shape and the only part of a value that is JSON text already."""

    def at(self, path: Path) -> _Text | None:
        return None if path else self

    def render(self, value: bytes) -> bytes:
        return value

    def text(self, _: bytes) -> None:
        return None

    def time(self, _: bytes) -> None:
        return None
