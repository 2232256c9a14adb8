"""Letters: what is written to a tier, to the parked topic or to the dead letters, as a value.

A letter is the source record's key, value and headers, untouched, under the headers of its trail.
Which topic it goes to is the caller's to know. What is too large to be written like that becomes a
*pointer letter*: the coordinates and a hash, by which the whole record can be found while its topic
still holds it, and the beginning of the value for people to look at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from connector.core.headers import Decoded, DecodedPoison, encode
from connector.core.record import Headers, Record
from connector.core.trail import Origin, Pointer, PoisonTrail, Reason, Trail, delivery_id

__all__ = [
    "Letter", "Reason", "dead_letter", "delivery_id", "parked_letter", "pointer_letter",
    "poison_letter", "retry_letter", "source_record",
]  # fmt: skip

POINTER_VALUE_BYTES_MAX: Final = 65_536
"""How much of the value a pointer letter keeps: enough to recognise it, small beside any record limit."""

POINTER_KEY_BYTES_MAX: Final = 65_536
"""A key longer than this is left out of a pointer letter: cut, it would be another key."""


@dataclass(slots=True, kw_only=True)
class Letter:
    """One record to write. Never changed; to say so would make it three times as slow to make."""

    key: bytes | None
    value: bytes | None
    headers: Headers


def retry_letter(record: Record, trail: Trail) -> Letter:
    """For a tier. ``record`` is the source record, as first read or from :func:`source_record`."""
    assert trail.reason is None, "what is dead is not tried again"
    return _whole(record, trail)


def parked_letter(record: Record, trail: Trail) -> Letter:
    """For the parked topic, until its subscription is resumed."""
    assert trail.reason is None, "what is dead is not parked"
    return _whole(record, trail)


def dead_letter(record: Record, trail: Trail) -> Letter:
    """For the dead letters; ``trail`` names the reason (:meth:`~connector.core.trail.Trail.dead`)."""
    assert trail.reason is not None, "a dead letter says why"
    return _whole(record, trail)


def poison_letter(record: Record, trail: PoisonTrail) -> Letter:
    """For the dead letters: a record that never became an event."""
    return _whole(record, trail)


def pointer_letter(record: Record, trail: Trail | PoisonTrail) -> Letter:
    """Instead of any of the above when the whole was refused as too large. It always fits: of the
    source's headers, and of a long key, only the count and the length are kept."""
    value, key = record.value, record.key
    pointer = Pointer(
        value_sha256=sha256(value or b"").hexdigest(),
        value_bytes=len(value or b""),
        key_bytes=len(key or b""),
        header_count=len(record.headers),
    )
    return Letter(
        key=key if pointer.key_bytes <= POINTER_KEY_BYTES_MAX else None,
        value=value and value[:POINTER_VALUE_BYTES_MAX],
        headers=encode(replace(trail, pointer=pointer), ()),
    )


def source_record(read: Record, decoded: Decoded | DecodedPoison) -> Record:
    """The source record again, out of the letter ``read`` whose headers are ``decoded``. A pointer
    letter gives back only what it holds. The leader epoch is not kept."""
    origin: Origin = decoded.trail.origin
    return Record(
        topic=origin.topic,
        partition=origin.partition,
        offset=origin.offset,
        timestamp_ms=origin.timestamp_ms,
        key=read.key,
        value=read.value,
        headers=decoded.headers,
        topic_id=origin.topic_id,
    )


def _whole(record: Record, trail: Trail | PoisonTrail) -> Letter:
    return Letter(key=record.key, value=record.value, headers=encode(trail, record.headers))
