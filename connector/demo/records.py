"""The demo's records: the catalogue's samples with ids of their own, and the ways a record can be broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connector.avro.encode import encoder, framed
from connector.demo.scenario import LARGE_BODY_BYTES, Kind
from schemas import sample, schema_text

EVENT_ID_HEADER = "event-id"
"""Carries each record's id, as an outbox would write it. The connector maps it to the event's id, and its
letters keep it untouched: so one name follows an event through everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One record of the feed, and what names it."""

    event_id: str
    event_type: str
    kind: Kind
    key: bytes
    value: bytes | None


class Recorder:
    """Makes the records of one run. ``schema_ids`` are the registry's, by event type."""

    def __init__(self, schema_ids: Mapping[str, int], *, run: str) -> None:
        self._schema_ids = schema_ids
        self._run = run.replace("-", "_")
        self._encoders: dict[str, Callable[[Mapping[str, Any]], bytes]] = {}

    def record(self, event_type: str, kind: Kind, number: int) -> Written:
        """The ``number``-th record."""
        stem = sample(event_type).key.rpartition("_")[0]
        return Written(
            event_id=f"evt_{self._run}_{number:05}",
            event_type=event_type,
            kind=kind,
            key=f"{stem}_{100 + number % 400}".encode(),
            value=self._value(event_type, kind, number),
        )

    def _value(self, event_type: str, kind: Kind, number: int) -> bytes | None:
        if kind == "tombstone":
            return None
        whole = framed(self._schema_ids[event_type], self._body(event_type, kind, number))
        match kind:
            case "corrupt":
                return whole[:-4]
            case "no-frame":
                return b'{"this": "is JSON, where Avro was promised"}'
            case _:
                return whole

    def _body(self, event_type: str, kind: Kind, number: int) -> bytes:
        if event_type not in self._encoders:
            self._encoders[event_type] = encoder(schema_text(event_type))
        value = dict(sample(event_type).value)
        id_name = next(name for name in value if name == "id" or name.endswith("_id"))
        value[id_name] = f"{value[id_name]}_{number}"
        if kind == "large":
            value["name"] = "x" * LARGE_BODY_BYTES
        return self._encoders[event_type](value)
