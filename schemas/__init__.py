"""The event catalogue of the five guides: an Avro schema and a sample for each event type. Beside it, JSON
Schemas of what the connector itself makes: the bodies it sends, the headers and events it writes.

A topic is named after its event type, and the value of its records is the event's data. Where two
guides share a type there is one schema, whose optional members serve both. Standard library only, so
that anything may use it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of the catalogue. ``guides`` are the dialects whose guides publish it."""

    name: str
    domain: str
    guides: tuple[str, ...]
    doc: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One record of a type: its key, its value as plain JSON (unions by value, times as Avro's own
    integers), and the event data that partners get."""

    key: str
    value: Mapping[str, Any]  # Any: JSON, here and below
    data: Mapping[str, Any]


@cache
def event_types() -> tuple[EventType, ...]:
    """Every event type of the catalogue, sorted by name."""
    types = []
    for name, file in _schema_files().items():
        schema = json.loads(file.read_text("utf-8"))
        domain = schema["namespace"].removeprefix("events.")
        types.append(EventType(name, domain, tuple(schema["guides"]), schema["doc"]))
    return tuple(types)


def schema_text(event_type: str) -> str:
    """The Avro schema of ``event_type``. Raises :class:`KeyError` for a type not in the catalogue."""
    return _schema_files()[event_type].read_text("utf-8")


def sample(event_type: str) -> Sample:
    """The sample of ``event_type``. Raises :class:`KeyError` for a type not in the catalogue."""
    if event_type not in _schema_files():
        raise KeyError(event_type)
    return Sample(**json.loads(_folder("samples").joinpath(f"{event_type}.json").read_text("utf-8")))


def envelope_schema(dialect: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of the bodies that a built-in dialect sends.

    Raises :class:`FileNotFoundError` for any other name.
    """
    document: dict[str, Any] = json.loads(_folder("envelopes").joinpath(f"{dialect}.json").read_text("utf-8"))
    return document


def internal_schema(name: Literal["retry-record", "dead-letter", "operator-event"]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of what the connector itself writes: of a letter the headers, as an object of
    texts; of an operator event the value."""
    document: dict[str, Any] = json.loads(_folder("internal").joinpath(f"{name}.json").read_text("utf-8"))
    return document


@cache
def _schema_files() -> dict[str, Traversable]:
    domains = [folder for folder in _folder("events").iterdir() if folder.is_dir()]
    names = {file.name: file for folder in domains for file in folder.iterdir()}
    return {name.removesuffix(".avsc"): names[name] for name in sorted(names) if name.endswith(".avsc")}


def _folder(name: str) -> Traversable:
    return files(__name__).joinpath(name)
