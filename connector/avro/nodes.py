"""An Avro schema as a graph of types, names resolved and checked.

fastavro reads bytes by a schema; everything else we do with one (bounding, rendering, resolving,
finding a field) walks this graph instead of the schema's JSON. Names are resolved once, here, and a
schema that recurses is a graph that does.

Left out on purpose: documentation, order, and any logical type that is unknown or does not fit its
type, which the Avro specification tells readers to ignore.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

NESTING_MAX = 64
"""Types inside one another in a schema's text."""

DECIMAL_DIGITS_MAX = 4_300
"""Digits of a decimal; the precision of a sound schema is below 100."""

Json = Any  # parsed JSON of unknown shape: it is what these modules find out

Value = Any  # a decoded value: its type is what its schema says, which no type checker can know

PrimitiveKind = Literal["null", "boolean", "int", "long", "float", "double", "bytes", "string"]


class BadSchema(ValueError):
    """The schema is not one we can compile; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Logical:
    """A logical type that fits the type it stands on. Precision and scale are of decimals."""

    name: str
    precision: int = 0
    scale: int = 0


# Graphs recurse, so nodes are compared and hashed by identity (eq=False) and are filled in after
# their name is known.


@dataclass(eq=False, slots=True)
class Primitive:
    kind: PrimitiveKind
    logical: Logical | None = None


@dataclass(eq=False, slots=True)
class Fixed:
    name: str
    size_bytes: int
    logical: Logical | None = None
    aliases: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class Enum:
    name: str
    symbols: tuple[str, ...]
    default: str | None = None
    aliases: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class Array:
    items: Node


@dataclass(eq=False, slots=True)
class Map:
    values: Node


@dataclass(eq=False, slots=True)
class Union:
    """``is_tagged``: two branches decode to one Python type, so a decoded value does not show its
    branch and is kept as ``{str(branch number): value}``."""

    branches: tuple[Node, ...]
    is_tagged: bool


@dataclass(eq=False, slots=True)
class Record:
    name: str
    fields: tuple[Field, ...] = field(default=(), repr=False)
    aliases: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class Field:
    """``default`` is the JSON of the schema; ``has_default`` tells null from none."""

    name: str
    type: Node
    has_default: bool
    default: Json
    aliases: tuple[str, ...] = ()


Node = Primitive | Fixed | Enum | Array | Map | Union | Record


def read_schema(schema: Json) -> Node:
    """The graph of a schema given as parsed JSON. Raises :class:`BadSchema`."""
    return _Reader().read(schema, "", 0)


def is_null(node: Node) -> bool:
    return isinstance(node, Primitive) and node.kind == "null"


def python_type(node: Node) -> type:
    """The type of the decoded values of ``node``, which is not a union."""
    match node:
        case Primitive(kind):
            return _PYTHON_TYPES[kind]
        case Fixed():
            return bytes
        case Enum():
            return str
        case Array():
            return list
        case Map() | Record():
            return dict
        case Union():
            raise AssertionError("a union decodes to the type of one of its branches")


_PYTHON_TYPES: Mapping[str, type] = {
    "null": type(None),
    "boolean": bool,
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "bytes": bytes,
    "string": str,
}

PRIMITIVE_KINDS = frozenset(_PYTHON_TYPES)

_LOGICAL_TYPES: Mapping[str, frozenset[str]] = {
    "int": frozenset({"date", "time-millis"}),
    "long": frozenset(
        {"time-micros"}
        | {f"{place}timestamp-{unit}" for place in ("", "local-") for unit in ("millis", "micros", "nanos")}
    ),
    "bytes": frozenset({"decimal"}),
    "string": frozenset({"uuid"}),
    "fixed": frozenset({"decimal", "uuid", "duration"}),
}

_FIXED_SIZES = {"uuid": 16, "duration": 12}


def _logical(schema: Mapping[str, Json], kind: str, size_bytes: int = 0) -> Logical | None:
    name = schema.get("logicalType")
    if not isinstance(name, str) or name not in _LOGICAL_TYPES.get(kind, ()):
        return None
    if kind == "fixed" and size_bytes != _FIXED_SIZES.get(name, size_bytes):
        return None
    if name != "decimal":
        return Logical(name)
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    if type(precision) is not int or type(scale) is not int:
        return None
    if not 0 < precision <= DECIMAL_DIGITS_MAX or not 0 <= scale <= precision:
        return None
    return Logical(name, precision, scale)


class _Reader:
    """Reads one schema and what it refers to; owns the names seen so far."""

    def __init__(self) -> None:
        self._named: dict[str, Node] = {}

    def read(self, schema: Json, namespace: str, depth: int) -> Node:
        if depth > NESTING_MAX:
            raise BadSchema(f"The schema nests deeper than {NESTING_MAX} types.")
        match schema:
            case str():
                return self._referred(schema, namespace)
            case list():
                return self._union(schema, namespace, depth)
            case {"type": "record" | "error"}:
                return self._record(schema, namespace, depth)
            case {"type": "enum"}:
                return self._enum(schema, namespace)
            case {"type": "fixed"}:
                return self._fixed(schema, namespace)
            case {"type": "array", "items": items}:
                return Array(self.read(items, namespace, depth + 1))
            case {"type": "map", "values": values}:
                return Map(self.read(values, namespace, depth + 1))
            case {"type": ("array" | "map") as kind}:
                raise BadSchema(f"The schema of {kind} values does not say what they hold.")
            case {"type": str(kind)} if kind in _PYTHON_TYPES:
                return Primitive(kind, _logical(schema, kind))  # type: ignore[arg-type]  # a key of the table
            case {"type": (str() | dict() | list()) as inner}:
                return self.read(inner, namespace, depth + 1)
        raise BadSchema("Something stands where a type should be.")

    def _referred(self, name: str, namespace: str) -> Node:
        if name in _PYTHON_TYPES:
            return Primitive(name)  # type: ignore[arg-type]  # a key of the table
        for full_name in (_full_name(name, namespace), name):
            if full_name in self._named:
                return self._named[full_name]
        raise BadSchema(f"The type {name!r} is not defined.")

    def _union(self, branches: list[Json], namespace: str, depth: int) -> Union:
        nodes = tuple(self.read(branch, namespace, depth + 1) for branch in branches)
        if not nodes or any(isinstance(node, Union) for node in nodes):
            raise BadSchema("A union is empty or stands directly in another.")
        kinds = [node.name if isinstance(node, Fixed | Enum | Record) else _unnamed(node) for node in nodes]
        if len(set(kinds)) != len(kinds):
            raise BadSchema("A union has two branches of one type.")
        return Union(nodes, is_tagged=len({python_type(node) for node in nodes}) != len(nodes))

    def _record(self, schema: Mapping[str, Json], namespace: str, depth: int) -> Record:
        name, aliases = self._new_name(schema, namespace)
        record = Record(name, aliases=aliases)
        self._named[name] = record  # before its fields, which may refer to it
        fields = schema.get("fields")
        if not isinstance(fields, list):
            raise BadSchema(f"The record {name!r} has no list of fields.")
        inner_namespace = name.rpartition(".")[0]
        record.fields = tuple(self._field(entry, inner_namespace, depth) for entry in fields)
        if len({entry.name for entry in record.fields}) != len(record.fields):
            raise BadSchema(f"The record {name!r} has two fields of one name.")
        return record

    def _field(self, schema: Json, namespace: str, depth: int) -> Field:
        if not isinstance(schema, dict) or "type" not in schema:
            raise BadSchema("A field of a record has no type.")
        name = schema.get("name")
        if not isinstance(name, str) or not name.isidentifier():
            raise BadSchema(f"{name!r} is not a name that a field may have.")
        aliases = tuple(alias for alias in _list_of(schema, "aliases") if isinstance(alias, str))
        node = self.read(schema["type"], namespace, depth + 1)
        return Field(name, node, "default" in schema, schema.get("default"), aliases)

    def _enum(self, schema: Mapping[str, Json], namespace: str) -> Enum:
        name, aliases = self._new_name(schema, namespace)
        symbols = tuple(_list_of(schema, "symbols"))
        if not all(isinstance(symbol, str) and symbol.isidentifier() for symbol in symbols):
            raise BadSchema(f"The enum {name!r} has a symbol that is not a name.")
        if len(set(symbols)) != len(symbols) or not symbols:
            raise BadSchema(f"The enum {name!r} has no symbols, or one of them twice.")
        default = schema.get("default")
        enum = Enum(name, symbols, default if default in symbols else None, aliases)
        self._named[name] = enum
        return enum

    def _fixed(self, schema: Mapping[str, Json], namespace: str) -> Fixed:
        name, aliases = self._new_name(schema, namespace)
        size = schema.get("size")
        if type(size) is not int or size < 0:
            raise BadSchema(f"The fixed {name!r} has no size.")
        fixed = Fixed(name, size, _logical(schema, "fixed", size), aliases)
        self._named[name] = fixed
        return fixed

    def _new_name(self, schema: Mapping[str, Json], namespace: str) -> tuple[str, tuple[str, ...]]:
        name = schema.get("name")
        own_namespace = schema.get("namespace")
        if not isinstance(name, str):
            raise BadSchema("A record, enum or fixed has no name.")
        full_name = _full_name(name, own_namespace if isinstance(own_namespace, str) else namespace)
        if not all(part.isidentifier() for part in full_name.split(".")) or full_name in _PYTHON_TYPES:
            raise BadSchema(f"{full_name!r} is not a name that a type may have.")
        if full_name in self._named:
            raise BadSchema(f"The type {full_name!r} is defined twice.")
        inner_namespace = full_name.rpartition(".")[0]
        aliases = [alias for alias in _list_of(schema, "aliases") if isinstance(alias, str)]
        return full_name, tuple(_full_name(alias, inner_namespace) for alias in aliases)


def _full_name(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _unnamed(node: Node) -> str:
    return node.kind if isinstance(node, Primitive) else type(node).__name__


def _list_of(schema: Mapping[str, Json], key: str) -> list[Json]:
    entries = schema.get(key, [])
    if not isinstance(entries, list):
        raise BadSchema(f"{key!r} is not a list.")
    return entries
