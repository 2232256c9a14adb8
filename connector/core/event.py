"""What a record means to partners: an event, or a stated reason why it is not one."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

PoisonCode = Literal[
    "bad-frame",        # wrong magic byte, truncated frame, empty value where a frame is needed
    "unknown-schema",   # the registry says this id does not exist (404, error_code 40403)
    "bad-schema",       # the registry's schema is not one we can compile
    "corrupt",          # the body does not decode with its schema, or bytes are left over
    "too-deep",         # nests deeper than the limit
    "too-many-items",   # more zero-byte items than the limit
    "out-of-range",     # a value outside its logical type's range
    "bad-json",         # not JSON, not UTF-8, lone surrogate, duplicate member, endless number
    "bad-headers",      # headers that cannot be read
    "unmapped",         # a mapped field (type, id, time, data) is missing or of the wrong kind
    "tombstone",        # a null value where the topic's policy gives it no meaning
]


@dataclass(slots=True)
class Event:
    """One event: a record decoded, named and rendered.

    ``data`` is the JSON text of the event's data, already a fixed point of JavaScript's
    ``JSON.stringify(JSON.parse(text))`` (dialects.md section 2), shared by all its deliveries.
    ``time_us`` is the event's own time in Unix microseconds; ``time_digits`` says how many
    fractional digits the source gave (0 to 6). ``id`` matches ``[A-Za-z0-9_-]{1,128}``.
    ``source`` is a URI reference naming where the event came from. ``attributes`` are attributes
    an incoming CloudEvent carried: name and JSON text of the value, in order. ``key`` is what
    belongs together (the record's key unless a field is mapped); ``subject`` is empty unless mapped.
    ``bodies`` caches the envelope per dialect, so a record that goes to many subscriptions of one
    dialect is rendered once; it lives and dies with the event.
    """

    type: str
    id: str
    time_us: int
    time_digits: int
    data: bytes
    source: str = ""
    key: bytes | None = None
    subject: str = ""
    attributes: tuple[tuple[str, bytes], ...] = ()
    bodies: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Skipped:
    """The topic's policy gives this record no event (a tombstone under ``skip``)."""

    why: str


@dataclass(frozen=True, slots=True)
class Poison:
    """The record can never become an event: it goes to the dead letters with this reason.

    ``detail`` is one sentence for the operator; it never quotes the payload.
    """

    code: PoisonCode
    detail: str


@dataclass(frozen=True, slots=True)
class NeedsSchema:
    """The record's schema is not at hand: fetch ``ref`` and decode again."""

    ref: Hashable


Decoded = Event | Skipped | Poison | NeedsSchema
