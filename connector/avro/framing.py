"""Confluent's framing: a magic byte and a schema id, before the body or in a header of the record.

Decides only where the schema id and the body are; fetching the schema and decoding the body are
others' work. The prefix is five bytes: zero, then the id as a big-endian 32-bit integer. In header
mode the same five bytes stand in ``__value_schema_id`` and the value is the bare body.
"""

from __future__ import annotations

from typing import Final

from connector.core.event import Poison
from connector.core.record import Headers

PREFIX_BYTES: Final = 5
_HEADER: Final = "__value_schema_id"
_MAGIC: Final = 0
_MAGIC_GUID: Final = 1
_ID_MAX: Final = 2**31 - 1


def header_prefix(headers: Headers) -> bytes | None:
    """The prefix a record carries in its headers; ``None`` when it carries none there.

    Of several the last counts, as for Kafka's own clients. A null header is an empty prefix.
    """
    for name, value in reversed(headers):
        if name == _HEADER:
            return value or b""
    return None


def schema_id(prefix: bytes) -> int | Poison:
    """The id in ``prefix`` (the first five bytes of a value, or a whole header), from 1 to 2^31-1.

    Other ids are poison here and never asked for: no registry gives them, and what a registry
    answers to them is not always "unknown".
    """
    if not prefix:
        return Poison("bad-frame", "The value is empty, where a schema id was expected.")
    if prefix[0] == _MAGIC_GUID:
        return Poison("bad-frame", "The schema is named by a GUID (magic byte 1), which is not supported.")
    if prefix[0] != _MAGIC:
        return Poison("bad-frame", f"The magic byte is {prefix[0]}, not 0: this is not Confluent framing.")
    if len(prefix) != PREFIX_BYTES:
        return Poison("bad-frame", f"Magic byte and schema id are {len(prefix)} bytes long, not 5.")
    number = int.from_bytes(prefix[1:], "big")
    if not 1 <= number <= _ID_MAX:
        return Poison("bad-frame", f"The schema id is {number}, which no registry gives.")
    return number
