"""An Avro schema, compiled: bytes into values, values into JavaScript-stable JSON.

Everything that depends on the schema alone is worked out once: how to read it, whether its records
must be walked before they are read (:mod:`connector.avro.skipper`), which of its values JSON cannot
take as they are (:mod:`connector.avro.render`), where the mapped fields lie
(:mod:`connector.avro.parts`).

Promised: no payload makes :meth:`CompiledSchema.decode` raise, recurse without bound, or take memory
out of proportion to the payload.

Decoded values are raw: timestamps are integers, decimals are bytes, and a union whose branches would
look alike is ``{"<branch number>": value}``. They are read through parts, not by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

import fastavro
import orjson

from connector.avro.binary_layout import WRAPPER_FIELD, binary_layout
from connector.avro.nodes import (
    PRIMITIVE_KINDS,
    BadSchema,
    Enum,
    Fixed,
    Json,
    Node,
    Record,
    Value,
    read_schema,
)
from connector.avro.parts import AvroPart, Path, part
from connector.avro.render import LongAs, Toucher
from connector.avro.resolve import Convert, Unresolvable, resolution
from connector.avro.skipper import skipper
from connector.core.event import Poison

Schema = str | bytes | Mapping[str, Json] | list[Json]
"""A schema's text, or its parsed JSON."""


def compile_schema(
    schema: Schema, *, long: LongAs = "auto", reader: Schema | None = None
) -> CompiledSchema | Poison:
    """Compile the schema that records are written with.

    ``long="string"`` shows every long as text, ``auto`` only those beyond ±(2^53-1). ``reader`` is
    the schema that values shall follow, if not the writer's own. Poison ``bad-schema`` says what is
    wrong with either, or that the two do not go together.
    """
    try:
        written = read_schema(_parsed(schema))
        if reader is None:
            return CompiledSchema(written, written, None, long)
        wanted = read_schema(_parsed(reader))
        return CompiledSchema(written, wanted, resolution(written, wanted), long)
    except BadSchema as error:
        return Poison("bad-schema", str(error))


def _parsed(schema: Schema) -> Json:
    if not isinstance(schema, str | bytes):
        return schema
    if schema in PRIMITIVE_KINDS:
        return schema  # a bare name, as some tools print the schema of a primitive type
    try:
        return orjson.loads(schema)
    except orjson.JSONDecodeError as error:
        raise BadSchema(f"The schema is not JSON: {error}.") from None


class CompiledSchema:
    """A compiled schema. ``name`` is the full name of the type that values follow, empty for a union
    and for a type without a name."""

    __slots__ = ("_convert", "_is_wrapped", "_layout", "_node", "_skip", "_toucher", "_whole", "name")

    def __init__(self, written: Node, wanted: Node, convert: Convert | None, long: LongAs) -> None:
        self.name = wanted.name if isinstance(wanted, Record | Enum | Fixed) else ""
        self._layout = fastavro.parse_schema(binary_layout(written))
        self._is_wrapped = not isinstance(written, Record)
        self._skip = skipper(written)
        self._convert = convert
        self._node = wanted
        self._toucher = Toucher(long)
        self._whole = self.at(())

    def decode(self, payload: bytes | memoryview) -> Value | Poison:
        """The value that ``payload`` is, wholly, or :class:`~connector.core.event.Poison`.

        ``corrupt``: not of this schema, or bytes left over; ``too-deep`` and ``too-many-items``:
        past the bounds of :mod:`connector.avro.skipper`.
        """
        if self._skip is not None:
            poison = self._skip(payload)
            if poison is not None:
                return poison
        source = BytesIO(payload)
        try:
            value: Value = fastavro.schemaless_reader(source, self._layout, None)
            if self._is_wrapped:
                value = value[WRAPPER_FIELD]
        except Exception as error:  # corrupt bytes surface as a dozen kinds of error, none of them documented
            return Poison("corrupt", f"The value does not decode with its schema ({type(error).__name__}).")
        left_over = len(payload) - source.tell()
        if left_over:
            return Poison("corrupt", f"The value has {left_over} bytes more than its schema takes.")
        if self._convert is None:
            return value
        try:
            return self._convert(value)
        except Unresolvable as error:
            return Poison("corrupt", str(error))

    def render(self, value: Value) -> bytes | Poison:
        """The whole value as JSON: the part at the empty path."""
        assert self._whole is not None  # every value has itself
        return self._whole.render(value)

    def at(self, path: Path) -> AvroPart | None:
        """The part at ``path``, field names from the outside in; ``None`` when no value can have it."""
        return part(self._node, path, self._toucher)
