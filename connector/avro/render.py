"""From a decoded Avro value to one that orjson writes as JavaScript-stable JSON.

A schema is compiled to functions once. A type that orjson already writes as it should has none, so a
record of texts costs nothing here; a record with touched fields is copied and only those are replaced.

The mapping: timestamps RFC 3339 with 3, 6 or 9 digits by their unit, local ones without offset; dates,
times of day, decimals in plain notation, uuids and durations (ISO 8601) as text; bytes and fixed as
base64; enums by name; unions by value; floats by their shortest 32-bit digits; NaN and infinities
null; longs as numbers (orjson refuses those that JavaScript cannot hold, see
:func:`connector.core.jsonjs.render`) or, on request, all as text.

A value outside its logical type's range raises :class:`~connector.avro.times.OutOfRange`.
"""

from __future__ import annotations

import re
import struct
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from typing import Literal

from connector.avro.nodes import (
    Array,
    Enum,
    Fixed,
    Logical,
    Map,
    Node,
    Primitive,
    Record,
    Union,
    Value,
    is_null,
    python_type,
)
from connector.avro.times import OutOfRange, date_text, time_text, timestamp_text
from connector.core.jsonjs import has_index_name, in_member_order, writable

LongAs = Literal["auto", "string"]

Touch = Callable[[Value], Value]
"""A decoded value → what orjson is given for it. Never changes its argument."""


class Toucher:
    """Compiles the touches of one schema; owns those of its records, which may refer to one another."""

    def __init__(self, long: LongAs) -> None:
        self._long = long
        self._records: dict[Record, list[Touch | None]] = {}

    def touch(self, node: Node) -> Touch | None:
        """What to do with a value of this type; ``None``: nothing, orjson writes it as it should."""
        match node:
            case Primitive(kind, logical):
                if logical is not None:
                    return _logical_text(logical)
                return str if kind == "long" and self._long == "string" else _PRIMITIVES.get(kind)
            case Fixed():
                return _fixed_text(node.logical) if node.logical else base64_text
            case Enum():
                return None
            case Array(items):
                return _touch_items(self.touch(items))
            case Map(values):
                return _touch_members(self.touch(values))
            case Union():
                return self._union(node)
            case Record():
                return self._record(node)

    def _union(self, node: Union) -> Touch | None:
        touches = [self.touch(branch) for branch in node.branches]
        if not node.is_tagged and not any(touches):
            return None
        return by_branch(node, [touch or _as_it_is for touch in touches])

    def _record(self, node: Record) -> Touch | None:
        if node not in self._records:
            made = self._records[node] = []
            touches = [(field.name, touch) for field in node.fields if (touch := self.touch(field.type))]
            made.append(_touch_fields(touches) if touches else None)
            return made[0]
        made = self._records[node]
        if made:
            return made[0]

        def touch_later(value: Value) -> Value:  # the record recurses: it is still being made
            touch = made[0]
            return touch(value) if touch else value

        return touch_later


def by_branch(union: Union, of_branches: list[Callable[[Value], Value]]) -> Callable[[Value], Value]:
    """A function of a union's values that asks their branch's; for types see :class:`Union`."""
    pairs = list(zip(union.branches, of_branches, strict=True))
    if union.is_tagged:
        by_tag = {None if is_null(node) else str(tag): ask for tag, (node, ask) in enumerate(pairs)}

        def ask_tagged(value: Value) -> Value:
            tag, inner = (None, None) if value is None else next(iter(value.items()))
            return by_tag[tag](inner)

        return ask_tagged

    by_type = {python_type(node): ask for node, ask in pairs}

    def ask_typed(value: Value) -> Value:
        return by_type[type(value)](value)

    return ask_typed


def _as_it_is(value: Value) -> Value:
    return value


def _touch_fields(touches: list[tuple[str, Touch]]) -> Touch:
    def touch(record: dict[str, Value]) -> dict[str, Value]:
        touched = record.copy()
        for name, touch_field in touches:
            touched[name] = touch_field(record[name])
        return touched

    return touch


def _touch_items(touch_item: Touch | None) -> Touch | None:
    if touch_item is None:
        return None
    return lambda items: list(map(touch_item, items))


def _touch_members(touch_value: Touch | None) -> Touch:
    def touch(members: dict[str, Value]) -> dict[str, Value]:
        if has_index_name(members):
            members = in_member_order(members)
        if touch_value is None:
            return members
        return {name: touch_value(value) for name, value in members.items()}

    return touch


# ── plain types ─────────────────────────────────────────────────────────────────────────────────


def base64_text(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).decode("ascii")


_FLOAT = struct.Struct("<f")
_SMALLEST_NORMAL_FLOAT = 2.0**-126


def _writable_float(x: float) -> Value:
    """A 32-bit float by the fewest digits that read back as the same 32-bit float.

    Six digits always survive, nine always suffice; subnormal floats may need fewer than six. (Three
    powers of two, whose neighbours lie unevenly, get one digit more than they need.)
    """
    if x.is_integer() and -(2**24) <= x <= 2**24:
        return int(x)
    if not -3.5e38 < x < 3.5e38:
        return None  # NaN and infinities
    for digits in range(6 if abs(x) >= _SMALLEST_NORMAL_FLOAT else 1, 9):
        short = float(f"{x:.{digits}g}")
        if _FLOAT.unpack(_FLOAT.pack(short))[0] == x:
            return writable(short)
    return writable(float(f"{x:.9g}"))


_PRIMITIVES: Mapping[str, Touch] = {"float": _writable_float, "double": writable, "bytes": base64_text}


# ── logical types ───────────────────────────────────────────────────────────────────────────────

_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_DURATION = struct.Struct("<III")


def _logical_text(logical: Logical) -> Touch:
    match logical.name:
        case "date":
            return date_text
        case "time-millis":
            return time_text(digits=3)
        case "time-micros":
            return time_text(digits=6)
        case "decimal":
            return _decimal_text(logical)
        case "uuid":
            return _checked_uuid
    place, _, unit = logical.name.rpartition("-")
    digits = {"millis": 3, "micros": 6, "nanos": 9}[unit]
    return timestamp_text(digits=digits, suffix="" if place.startswith("local") else "Z")


def _fixed_text(logical: Logical) -> Touch:
    match logical.name:
        case "uuid":
            return _uuid_text
        case "duration":
            return _duration_text
        case _:
            return _decimal_text(logical)


def _decimal_text(logical: Logical) -> Touch:
    limit = 10**logical.precision
    scale = logical.scale

    def text(raw: bytes) -> str:
        unscaled = int.from_bytes(raw, "big", signed=True)
        if not -limit < unscaled < limit:
            raise OutOfRange("A decimal has more digits than its precision.")
        digits = str(abs(unscaled)).rjust(scale + 1, "0")
        sign = "-" if unscaled < 0 else ""
        return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else sign + digits

    return text


def _checked_uuid(text: str) -> str:
    if _UUID.fullmatch(text) is None:
        raise OutOfRange("A text that should be a uuid is not.")
    return text


def _uuid_text(raw: bytes) -> str:
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _duration_text(raw: bytes) -> str:
    """ISO 8601: months, days and seconds stay apart, since none is a fixed number of another."""
    months, days, millis = _DURATION.unpack(raw)
    return f"P{months}M{days}DT{millis // 1000}.{millis % 1000:03d}S"
