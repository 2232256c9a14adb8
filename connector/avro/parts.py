"""Places in a decoded Avro value: how to get there, and what to take from there.

A path is followed through the schema once; what is left for each record are a few look-ups. A path
goes through the fields of records, the names of maps, and the branches of unions that have it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import orjson

from connector.avro.nodes import Array, Enum, Fixed, Map, Node, Primitive, Record, Union, Value
from connector.avro.render import Toucher, by_branch
from connector.avro.times import (
    Instant,
    OutOfRange,
    instant_of_date,
    instant_of_integer,
    instant_of_text,
)
from connector.core import jsonjs
from connector.core.event import Poison

Path = tuple[str, ...]

_Getter = Callable[[Value], Value]


class _Absent:
    """What stands for a value that this record does not have."""


_ABSENT: Final = _Absent()


class AvroPart:
    """One place in the values of a schema. Every method takes the whole decoded value."""

    __slots__ = ("_time", "_touched")

    def __init__(self, touched: _Getter, time: _Getter) -> None:
        self._touched = touched
        self._time = time

    def render(self, value: Value) -> bytes | Poison:
        """The part as JavaScript-stable JSON.

        Poison ``unmapped`` when a null or a missing name lies on the way, ``out-of-range`` when a
        value is outside its logical type's range.
        """
        try:
            touched = self._touched(value)
        except OutOfRange as error:
            return Poison("out-of-range", str(error))
        if touched is _ABSENT:
            return Poison("unmapped", "The value has nothing at the place mapped to the event's data.")
        try:
            return orjson.dumps(touched, option=orjson.OPT_STRICT_INTEGER)
        except TypeError:  # an integer that JavaScript cannot hold: it becomes text on the careful way
            return jsonjs.render(touched)

    def text(self, value: Value) -> str | None:
        """The part as plain text: a text as it is, anything else simple as its JSON would show it.

        ``None`` when it is absent, null, a record, array or map, or out of range.
        """
        try:
            return plain_text(self._touched(value))
        except OutOfRange:
            return None

    def time(self, value: Value) -> Instant | None:
        """The part as Unix microseconds and the fractional digits given (0 to 6).

        From any timestamp (a local one is taken as UTC), a date (midnight, UTC), a text or a bare
        integer (:mod:`connector.avro.times` says how those are read). ``None`` otherwise.
        """
        instant: Instant | None = self._time(value)
        return instant


def part(root: Node, path: Path, toucher: Toucher) -> AvroPart | None:
    """The part at ``path``; ``None`` when no value of the schema can have it."""

    def touched(node: Node) -> _Getter:
        return toucher.touch(node) or _as_it_is

    getter = _along(root, path, touched, _ABSENT)
    reader = _along(root, path, _time_of, None)
    if getter is None or reader is None:
        return None
    return AvroPart(getter, reader)


def plain_text(value: Value) -> str | None:
    """A simple value as text; ``None`` for null and for what holds other values."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]  # it is a str
    if kind is int:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is float or kind is orjson.Fragment:
        text = orjson.dumps(value).decode()
        return None if text == "null" else text
    return None


def _along(node: Node, path: Path, take: Callable[[Node], _Getter], absent: object) -> _Getter | None:
    """A function that goes along ``path`` and takes what is there; ``None``: there is no such path."""
    if isinstance(node, Union):
        branches = [_along(branch, path, take, absent) for branch in node.branches]
        if not any(branches):
            return None
        return by_branch(node, [branch or (lambda _: absent) for branch in branches])
    if not path:
        return take(node)
    match node:
        case Record():
            types = {field.name: field.type for field in node.fields}
            inner = _along(types[path[0]], path[1:], take, absent) if path[0] in types else None
        case Map(values):
            inner = _along(values, path[1:], take, absent)
        case _:
            inner = None
    return None if inner is None else _step(path[0], inner, absent)


def _step(name: str, inner: _Getter, absent: object) -> _Getter:
    return lambda members: inner(members[name]) if name in members else absent


def _as_it_is(value: Value) -> Value:
    return value


def _time_of(node: Node) -> _Getter:
    match node:
        case Primitive("int" | "long", None):
            return instant_of_integer
        case Primitive("string"):
            return instant_of_text
        case Primitive("int" | "long", logical) if logical is not None:
            return _LOGICAL_TIMES.get(logical.name.removeprefix("local-"), _no_time)
        case Primitive() | Fixed() | Enum() | Array() | Map() | Record():
            return _no_time
        case Union():
            raise AssertionError("the way through a union ends in its branches")


def _no_time(_value: Value) -> None:
    return None


_LOGICAL_TIMES: dict[str, Callable[[int], Instant]] = {
    "timestamp-millis": lambda count: (count * 1_000, 3),
    "timestamp-micros": lambda count: (count, 6),
    "timestamp-nanos": lambda count: (count // 1_000, 6),
    "date": instant_of_date,
}
