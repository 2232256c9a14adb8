"""A pinned reader schema: values written by one schema, seen by another.

A consumer may pin the schema that its events follow, so that a producer's next version changes nothing
for partners until the pin moves. The rules are those of the Avro specification's chapter on schema
resolution. Values are decoded by the schema they were written with, and then converted, so that both
ways of reading share one decoder and its bounds.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from connector.avro.nodes import (
    Array,
    BadSchema,
    Enum,
    Field,
    Fixed,
    Json,
    Map,
    Node,
    Primitive,
    Record,
    Union,
    Value,
    is_null,
)
from connector.avro.render import by_branch

NESTING_MAX = 200
"""Pairs of types inside one another. Deeper than a schema's text, whose parts may refer to one another."""

Convert = Callable[[Value], Value]
"""A value as its writer's schema decodes it → as the reader's would have."""


class Unresolvable(ValueError):
    """This value has no counterpart in the reader's schema; the message says which kind of value."""


def resolution(writer: Node, reader: Node) -> Convert:
    """How values of ``writer`` become values of ``reader``.

    Raises :class:`~connector.avro.nodes.BadSchema` when no value can; the conversion raises
    :class:`Unresolvable` for a value that cannot.
    """
    return _Resolver().resolve(writer, reader, 0)


_FLOAT = struct.Struct("<f")


def _to_float(number: float) -> float:
    nearest: float = _FLOAT.unpack(_FLOAT.pack(number))[0]
    return nearest


def _to_text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Unresolvable("Bytes that the reader's schema takes for text are not UTF-8.") from None


def _as_it_is(value: Value) -> Value:
    return value


_PROMOTIONS: dict[tuple[str, str], Convert] = {
    ("int", "long"): _as_it_is,
    ("int", "float"): _to_float,
    ("int", "double"): float,
    ("long", "float"): _to_float,
    ("long", "double"): float,
    ("float", "double"): _as_it_is,
    ("string", "bytes"): str.encode,
    ("bytes", "string"): _to_text,
}


class _Resolver:
    """Makes the conversions of one pair of schemas; owns those of its records, which may recurse."""

    def __init__(self) -> None:
        self._records: dict[tuple[Record, Record], list[Convert]] = {}
        self._refused: dict[tuple[Record, Record], str] = {}

    def resolve(self, writer: Node, reader: Node, depth: int) -> Convert:
        if depth > NESTING_MAX:
            raise BadSchema(f"The schema and its reader's nest deeper than {NESTING_MAX} pairs of types.")
        if isinstance(writer, Union):
            converts = [self._of_branch(branch, reader, depth + 1) for branch in writer.branches]
            return by_branch(writer, converts)
        if isinstance(reader, Union):
            return self._into_union(writer, reader, depth + 1)
        match writer, reader:
            case Primitive(kind), Primitive(wanted):
                if kind == wanted:
                    return _as_it_is
                if (kind, wanted) in _PROMOTIONS:
                    return _PROMOTIONS[kind, wanted]
            case Fixed(), Fixed():
                if _is_same_name(writer, reader) and writer.size_bytes == reader.size_bytes:
                    return _as_it_is
            case Enum(), Enum():
                if _is_same_name(writer, reader):
                    return _enum(reader)
            case Array(items), Array(wanted_items):
                item = self.resolve(items, wanted_items, depth + 1)
                return lambda values: list(map(item, values))
            case Map(values), Map(wanted_values):
                member = self.resolve(values, wanted_values, depth + 1)
                return lambda members: {name: member(value) for name, value in members.items()}
            case Record(), Record():
                if _is_same_name(writer, reader):
                    return self._record(writer, reader, depth + 1)
        raise BadSchema(f"The reader's schema has {_title(reader)} where {_title(writer)} is written.")

    def _of_branch(self, branch: Node, reader: Node, depth: int) -> Convert:
        """A union may hold branches that the reader does not know, until one of them is written."""
        try:
            return self.resolve(branch, reader, depth)
        except BadSchema:
            return _refuse(f"A union holds {_title(branch)}, which the reader's schema does not know.")

    def _into_union(self, writer: Node, reader: Union, depth: int) -> Convert:
        """The first branch that fits, an equal type before one to be promoted to."""
        for is_exact in (True, False):
            for tag, branch in enumerate(reader.branches):
                if _is_equal_type(writer, branch) != is_exact:
                    continue
                try:
                    convert = self.resolve(writer, branch, depth)
                except BadSchema:
                    continue
                return _tagged(convert, str(tag)) if reader.is_tagged and not is_null(branch) else convert
        raise BadSchema(f"No branch of the reader's union takes {_title(writer)}.")

    def _record(self, writer: Record, reader: Record, depth: int) -> Convert:
        pair = writer, reader
        if pair in self._refused:  # not worked out again, however many unions lead here
            raise BadSchema(self._refused[pair])
        if pair in self._records:
            made = self._records[pair]
            return lambda value: made[0](value)
        made = self._records[pair] = []
        try:
            convert = _record(self._fields(writer, reader, depth))
        except BadSchema as error:
            made.append(_refuse(str(error)))  # for what refers to it already
            self._refused[pair] = str(error)
            raise
        made.append(convert)
        return convert

    def _fields(self, writer: Record, reader: Record, depth: int) -> list[tuple[str, str | None, Convert]]:
        """(name, name as written or None, conversion or default) of the reader's fields, in its order."""
        written = {field.name: field for field in writer.fields}
        fields: list[tuple[str, str | None, Convert]] = []
        for field in reader.fields:
            source = next((written[name] for name in (field.name, *field.aliases) if name in written), None)
            if source is not None:
                fields.append((field.name, source.name, self.resolve(source.type, field.type, depth)))
            elif field.has_default:
                fields.append((field.name, None, _constant(default_value(field.type, field.default, 0))))
            else:
                raise BadSchema(f"The field {field.name!r} is not written and has no default.")
        return fields


def _record(fields: list[tuple[str, str | None, Convert]]) -> Convert:
    def convert(record: dict[str, Value]) -> dict[str, Value]:
        return {
            name: of_field(None if source is None else record[source]) for name, source, of_field in fields
        }

    return convert


def _enum(reader: Enum) -> Convert:
    known = frozenset(reader.symbols)

    def convert(symbol: str) -> str:
        if symbol in known:
            return symbol
        if reader.default is None:
            raise Unresolvable(f"The reader's enum {reader.name!r} does not have this symbol.")
        return reader.default

    return convert


def _tagged(convert: Convert, tag: str) -> Convert:
    return lambda value: {tag: convert(value)}


def _constant(value: Value) -> Convert:
    return lambda _: value


def _refuse(message: str) -> Convert:
    def convert(_value: Value) -> Value:
        raise Unresolvable(message)

    return convert


def _is_same_name(writer: Fixed | Enum | Record, reader: Fixed | Enum | Record) -> bool:
    own_name = writer.name.rpartition(".")[2]
    return own_name == reader.name.rpartition(".")[2] or writer.name in reader.aliases


def _is_equal_type(writer: Node, reader: Node) -> bool:
    if isinstance(writer, Primitive) and isinstance(reader, Primitive):
        return writer.kind == reader.kind
    if isinstance(writer, Fixed | Enum | Record) and isinstance(reader, Fixed | Enum | Record):
        return writer.name == reader.name
    return type(writer) is type(reader)


def _title(node: Node) -> str:
    match node:
        case Primitive(kind):
            return kind
        case Fixed(name) | Enum(name) | Record(name):
            return name
        case Array() | Map() | Union():
            return f"{'an' if isinstance(node, Array) else 'a'} {type(node).__name__.lower()}"


# ── defaults ────────────────────────────────────────────────────────────────────────────────────


def default_value(node: Node, default: Json, depth: int) -> Value:
    """The JSON default of a schema as a decoded value. Raises BadSchema when it does not fit."""
    if depth > NESTING_MAX:
        raise BadSchema(f"A default nests deeper than {NESTING_MAX} levels.")
    match node, default:
        case Primitive("null"), None:
            return None
        case Primitive("boolean"), bool():
            return default
        case Primitive("int" | "long"), int() if type(default) is int:
            return default
        case Primitive("float" | "double"), int() | float() if type(default) is not bool:
            return _default_number(node.kind, default)
        case Primitive("string"), str():
            return default
        case ((Primitive("bytes") | Fixed()), str()):
            return _default_bytes(node, default)
        case Enum(_, symbols), str() if default in symbols:
            return default
        case Array(items), list():
            return [default_value(items, item, depth + 1) for item in default]
        case Map(values), dict():
            return {name: default_value(values, member, depth + 1) for name, member in default.items()}
        case Record(_, fields), dict():
            return {field.name: _default_field(field, default, depth + 1) for field in fields}
        case Union(), _:
            return _default_of_union(node, default, depth + 1)
    raise BadSchema(f"A default does not fit its type, {_title(node)}.")


def _default_number(kind: str, default: float) -> float:
    try:
        return float(default) if kind == "double" else _to_float(default)
    except OverflowError:
        raise BadSchema(f"A default of {kind} lies outside its range.") from None


def _default_bytes(node: Node, default: str) -> bytes:
    """The specification spells bytes as text, one character for each."""
    try:
        raw = default.encode("latin-1")
    except UnicodeEncodeError:
        raise BadSchema("A default of bytes holds a character past U+00FF.") from None
    if isinstance(node, Fixed) and len(raw) != node.size_bytes:
        raise BadSchema(f"A default of {node.name!r} has another size.")
    return raw


def _default_field(field: Field, default: dict[str, Json], depth: int) -> Value:
    if field.name in default:
        return default_value(field.type, default[field.name], depth)
    if not field.has_default:
        raise BadSchema(f"A default leaves out the field {field.name!r}.")
    return default_value(field.type, field.default, depth)


def _default_of_union(node: Union, default: Json, depth: int) -> Value:
    for tag, branch in enumerate(node.branches):
        try:
            value = default_value(branch, default, depth)
        except BadSchema:
            continue
        return {str(tag): value} if node.is_tagged and not is_null(branch) else value
    raise BadSchema("A default fits no branch of its union.")
