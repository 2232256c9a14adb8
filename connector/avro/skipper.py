"""Walks over a record before it is decoded, where its schema allows it to be without bounds.

fastavro's C reader follows the bytes wherever they lead: a few kilobytes that nest deep enough end
the process, and an array of nulls, which take no bytes, takes all memory. Such a record would end
every worker after every restart. Schemas that allow neither are recognised once, when they are
compiled, and their records are not walked: their size is bounded by the payload's.

Promised: a walk reads every byte at most once, nests no deeper than :data:`LEVELS_MAX` and looks at
no more than :data:`EMPTY_VALUES_MAX` values that take no bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from connector.avro.nodes import Array, Enum, Fixed, Map, Node, Primitive, Record, Union
from connector.core.event import Poison

LEVELS_MAX = 64
"""Records, arrays and maps inside one another in a decoded value."""

EMPTY_VALUES_MAX = 100_000
"""Values without bytes in one record: nulls outside unions, empty records, fixed of size 0."""

Payload = bytes | memoryview

Skipper = Callable[[Payload], Poison | None]
"""Says why a payload must not be decoded, or nothing. What lies behind the value is not its business."""


def skipper(root: Node) -> Skipper | None:
    """The walk that records of this schema need first; ``None`` when the payload bounds them."""
    if _Heights().of(root) <= LEVELS_MAX and not _repeats_empty(root, set()):
        return None
    walk = _Compiler().compile(root)

    def skip(payload: Payload) -> Poison | None:
        try:
            walk(_Budget(), payload, 0, 0)
        except _Excess as excess:
            return excess.poison
        except IndexError:  # the payload ended
            return Poison("corrupt", "The value ends too early, or names a branch that does not exist.")
        return None

    return skip


# ── which schemas need it ───────────────────────────────────────────────────────────────────────


class _Heights:
    """How many containers a value of a type can have inside one another; a type that recurses has
    no bound. Definitions precede uses, so this descends no deeper than the schema's text."""

    def __init__(self) -> None:
        self._known: dict[Node, float] = {}

    def of(self, node: Node) -> float:
        if node in self._known:
            return self._known[node]
        match node:
            case Primitive() | Fixed() | Enum():
                return 0
            case Array(inner) | Map(inner):
                return 1 + self.of(inner)
            case Union(branches):
                return max(self.of(branch) for branch in branches)
            case Record():
                self._known[node] = float("inf")  # what a field of its own type finds
                height = 1 + max((self.of(field.type) for field in node.fields), default=0)
                self._known[node] = height
                return height


def _repeats_empty(node: Node, seen: set[Node]) -> bool:
    """Whether an array or map somewhere in the type repeats values that take no bytes."""
    if node in seen:
        return False
    seen.add(node)
    match node:
        case Primitive() | Fixed() | Enum():
            return False
        case Array(inner) | Map(inner):
            return _holds_empty(inner, set()) or _repeats_empty(inner, seen)
        case Union(branches):
            return any(_repeats_empty(branch, seen) for branch in branches)
        case Record():
            return any(_repeats_empty(field.type, seen) for field in node.fields)


def _holds_empty(node: Node, seen: set[Node]) -> bool:
    """Whether a value of the type may hold values that take no bytes, arrays and maps left out."""
    if _is_empty(node):
        return True
    if node in seen:
        return False
    seen.add(node)
    match node:
        case Record():
            return any(_holds_empty(field.type, seen) for field in node.fields)
        case Union(branches):  # the branch's number is a byte: a null of a union is not without
            return any(not _is_empty(branch) and _holds_empty(branch, seen) for branch in branches)
        case _:
            return False


def _is_empty(node: Node) -> bool:
    match node:
        case Primitive(kind):
            return kind == "null"
        case Fixed():
            return node.size_bytes == 0
        case Record():
            return not node.fields
        case _:
            return False


# ── the walk ────────────────────────────────────────────────────────────────────────────────────


class _Excess(Exception):
    """The walk ends here: the record is poison."""

    def __init__(self, poison: Poison) -> None:
        self.poison = poison


class _Budget:
    """What one walk may still spend."""

    __slots__ = ("empty_values",)

    def __init__(self) -> None:
        self.empty_values = EMPTY_VALUES_MAX

    def spend(self) -> None:
        self.empty_values -= 1
        if self.empty_values < 0:
            detail = f"The value holds more than {EMPTY_VALUES_MAX} items that take no bytes."
            raise _Excess(Poison("too-many-items", detail))


_Walk = Callable[[_Budget, Payload, int, int], int]
"""(budget, payload, at, containers around) → where the value ends. IndexError past the payload."""


class _Compiler:
    """Makes the walks of one schema; owns those of its records, which may refer to one another."""

    def __init__(self) -> None:
        self._records: dict[Record, list[_Walk]] = {}

    def compile(self, node: Node) -> _Walk:
        match node:
            case Primitive("null"):
                return _walk_empty
            case Primitive("boolean"):
                return _walk_bytes(1)
            case Primitive("float"):
                return _walk_bytes(4)
            case Primitive("double"):
                return _walk_bytes(8)
            case Primitive("int" | "long") | Enum():
                return _walk_integer
            case Primitive():
                return _walk_text
            case Fixed():
                return _walk_bytes(node.size_bytes) if node.size_bytes else _walk_empty
            case Array(items):
                return _walk_blocks(self.compile(items), has_names=False)
            case Map(values):
                return _walk_blocks(self.compile(values), has_names=True)
            case Union(branches):
                return _walk_union([_walk_nothing if _is_empty(b) else self.compile(b) for b in branches])
            case Record():
                return self._record(node)

    def _record(self, node: Record) -> _Walk:
        if not node.fields:
            return _walk_empty
        if node in self._records:
            made = self._records[node]  # still being made perhaps: looked up when it is called
            return lambda budget, payload, at, around: made[0](budget, payload, at, around)
        self._records[node] = []
        walk = _walk_record([self.compile(field.type) for field in node.fields])
        self._records[node].append(walk)
        return walk


def _walk_nothing(_budget: _Budget, _payload: Payload, at: int, _around: int) -> int:
    return at


def _walk_empty(budget: _Budget, _payload: Payload, at: int, _around: int) -> int:
    budget.spend()
    return at


def _walk_bytes(size_bytes: int) -> _Walk:
    def walk(_budget: _Budget, payload: Payload, at: int, _around: int) -> int:
        return _end(payload, at, size_bytes)

    return walk


def _walk_integer(_budget: _Budget, payload: Payload, at: int, _around: int) -> int:
    while payload[at] > 127:
        at += 1
    return at + 1


def _walk_text(_budget: _Budget, payload: Payload, at: int, _around: int) -> int:
    size_bytes, at = _integer(payload, at)
    return _end(payload, at, size_bytes)


def _walk_union(branches: list[_Walk]) -> _Walk:
    def walk(budget: _Budget, payload: Payload, at: int, around: int) -> int:
        branch, at = _integer(payload, at)
        if branch < 0:
            raise IndexError
        return branches[branch](budget, payload, at, around)

    return walk


def _walk_record(fields: list[_Walk]) -> _Walk:
    def walk(budget: _Budget, payload: Payload, at: int, around: int) -> int:
        around = _enter(around)
        for walk_field in fields:
            at = walk_field(budget, payload, at, around)
        return at

    return walk


def _walk_blocks(walk_item: _Walk, *, has_names: bool) -> _Walk:
    def walk(budget: _Budget, payload: Payload, at: int, around: int) -> int:
        around = _enter(around)
        while True:
            count, at = _integer(payload, at)
            if count == 0:
                return at
            if count < 0:  # then the block's size in bytes follows, which fastavro passes over too
                count = -count
                _, at = _integer(payload, at)
            for _ in range(count):
                if has_names:
                    at = _walk_text(budget, payload, at, around)
                at = walk_item(budget, payload, at, around)

    return walk


def _enter(around: int) -> int:
    if around == LEVELS_MAX:
        raise _Excess(Poison("too-deep", f"The value nests deeper than {LEVELS_MAX} levels."))
    return around + 1


def _end(payload: Payload, at: int, size_bytes: int) -> int:
    if not 0 <= size_bytes <= len(payload) - at:
        raise IndexError
    return at + size_bytes


def _integer(payload: Payload, at: int) -> tuple[int, int]:
    """A zigzag integer of at most ten bytes, and where it ends."""
    byte = payload[at]
    bits = byte & 127
    shift = 7
    while byte > 127:
        at += 1
        byte = payload[at]
        bits |= (byte & 127) << shift
        shift += 7
        if shift > 70:
            raise IndexError
    return (bits >> 1) ^ -(bits & 1), at + 1
