"""JSON as a source of events: the same surface as a compiled Avro schema, without a schema."""

from __future__ import annotations

from typing import Any

from connector.avro.parts import Path, plain_text
from connector.avro.times import Instant, instant_of_integer, instant_of_text
from connector.core import jsonjs
from connector.core.event import Poison
from connector.core.jsonread import Value, parse

__all__ = ["JsonPart", "at", "parse"]


def at(path: Path) -> JsonPart:
    """The part at ``path``: member names from the outside in. Any value may have any part."""
    return JsonPart(path)


class JsonPart:
    """One place in JSON values. Every method takes the whole parsed value."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def render(self, value: Value) -> bytes | Poison:
        """The part as JavaScript-stable JSON. Poison ``unmapped`` when it is missing."""
        for name in self._path:
            if type(value) is not dict or name not in value:
                return Poison("unmapped", "The value has nothing at the place mapped to the event's data.")
            value = value[name]
        return jsonjs.render(value)

    def text(self, value: Value) -> str | None:
        """The part as plain text: a text as it is, a number or boolean as JSON shows it; ``None``
        when it is missing, null, an object or an array."""
        found = self._find(value)
        return plain_text(jsonjs.writable(found) if type(found) is float else found)

    def time(self, value: Value) -> Instant | None:
        """The part as Unix microseconds and fractional digits given (0 to 6).

        From a text or an integer; :mod:`connector.avro.times` says how those are read. ``None``
        otherwise: a number with a fraction has lost digits before anyone could count them.
        """
        found = self._find(value)
        if type(found) is str:
            return instant_of_text(found)
        return instant_of_integer(found) if type(found) is int else None

    def _find(self, value: Any) -> Any:
        for name in self._path:
            if type(value) is not dict or name not in value:
                return None
            value = value[name]
        return value
