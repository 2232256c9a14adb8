"""JSON that JavaScript gives back unchanged.

Three of the published receivers verify a signature over ``JSON.stringify(JSON.parse(body))`` instead
of the raw body. What is written here is a fixed point of that round trip (dialects.md, section 2), so
those receivers and the ones that hash the raw body agree.

Promised: compact UTF-8; doubles laid out by ECMAScript's Number::toString; integers beyond
±(2^53-1) as strings; NaN and infinities as null; member names that JavaScript takes for array indices
first, ascending; at most :data:`LEVELS_MAX` levels. orjson writes everything it can: its escapes are
JavaScript's, and so are its doubles within [1e-5, 1e16) that are not whole. Only the rest is replaced
before it is handed over.

Left to others: reading JSON (:mod:`connector.core.jsonread`), building trees out of Avro.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, NamedTuple

import orjson

from connector.core.event import Poison

LEVELS_MAX = 253
"""Containers inside one another. orjson stops at 254, and the envelope around the data is one."""

INTEGER_MAX = 2**53 - 1
"""The largest integer that every JavaScript number holds exactly (I-JSON, RFC 7493)."""

INDEX_MAX = 2**32 - 2
"""The largest member name that JavaScript sorts as an array index."""

Tree = Any  # dict, list, str, int, float, bool, None: recursive types cost more here than they tell


def render(value: Tree) -> bytes | Poison:
    """The JSON text of a tree of dict, list, str, int, float, bool and None.

    A tree may also hold :class:`orjson.Fragment`, taken as it is. Poison ``too-deep`` beyond
    :data:`LEVELS_MAX` levels, ``bad-json`` for a lone surrogate. Anything else in the tree is a
    bug of the caller and raises ``TypeError``.
    """
    seen = survey(value)
    if seen.levels > LEVELS_MAX:
        return Poison("too-deep", f"The data nests deeper than {LEVELS_MAX} levels.")
    if seen.is_plain:
        try:
            return orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)
        except TypeError:
            pass  # an integer beyond 2^53-1 or a lone surrogate: the careful way finds out which
    try:
        return orjson.dumps(_stable(value))
    except _LoneSurrogate:
        return Poison("bad-json", "A text holds a lone surrogate, which no UTF-8 can carry.")


def number(x: float) -> bytes:
    """``x`` as JavaScript's ``JSON.stringify`` writes it: ECMAScript's Number::toString, or null.

    Python and JavaScript choose the same digits (the shortest that read back as ``x``, and of
    those the nearest); only where they put the point differs.
    """
    if not isfinite(x):
        return b"null"
    if x == 0:
        return b"0"
    mantissa, _, exponent = repr(abs(x)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    significant = (whole + fraction).lstrip("0")
    leading_zeros = len(whole + fraction) - len(significant)
    digits = significant.rstrip("0")
    point = len(whole) - leading_zeros + int(exponent or 0)  # the value is 0.digits × 10^point
    return (("-" if x < 0 else "") + _laid_out(digits, point)).encode("ascii")


def _laid_out(digits: str, point: int) -> str:
    """The cases of Number::toString, in the order of the standard."""
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    exponent = f"e{point - 1:+d}"
    return digits + exponent if len(digits) == 1 else digits[0] + "." + digits[1:] + exponent


def writable(x: float) -> Tree:
    """What orjson must be given so that it writes ``x`` as JavaScript does."""
    if x.is_integer():
        return int(x) if -INTEGER_MAX <= x <= INTEGER_MAX else orjson.Fragment(number(x))
    if 1e-5 <= x < 1e16 or -1e16 < x <= -1e-5:
        return x
    return orjson.Fragment(number(x))


def has_index_name(members: dict[str, Tree]) -> bool:
    """Whether a member name may be an array index (it begins with a digit): a cheap first look."""
    for name in members:  # noqa: SIM110 - a generator costs four times the loop
        if "0" <= name < ":":  # ":" comes right after "9"
            return True
    return False


def in_member_order(members: dict[str, Tree]) -> dict[str, Tree]:
    """The members in the order in which JavaScript lists them."""
    indices = sorted((name for name in members if _is_index(name)), key=int)
    return {name: members[name] for name in indices} | members


def _is_index(name: str) -> bool:
    return (
        name.isascii()
        and name.isdigit()
        and len(name) <= 10
        and (name[0] != "0" or name == "0")
        and int(name) <= INDEX_MAX
    )


class Survey(NamedTuple):
    """What one look over a tree tells. ``levels`` counts containers inside one another, at most to
    one past :data:`LEVELS_MAX`. ``is_plain``: orjson writes the tree as JavaScript does, or refuses.
    ``has_vast_double``: a double is one that an integer of more than 64 bits may have become."""

    levels: int
    is_plain: bool
    has_vast_double: bool


def survey(value: Tree) -> Survey:
    """Look over a tree, level by level, so that no depth can hurt."""
    containers: list[Tree] = [[value]]
    levels = 0
    is_plain = True
    has_vast_double = False
    while levels <= LEVELS_MAX:
        deeper = []
        for container in containers:
            if type(container) is dict:
                if has_index_name(container):
                    is_plain = False
                children = container.values()
            else:
                children = container
            for child in children:
                kind = type(child)
                if kind is dict or kind is list:
                    deeper.append(child)
                elif kind is float:
                    is_plain = False
                    if not -(2.0**63) < child < 2.0**63:
                        has_vast_double = True
        if not deeper:
            break
        containers = deeper
        levels += 1
    return Survey(levels, is_plain, has_vast_double)


class _LoneSurrogate(Exception):
    """A text that cannot be encoded."""


def _stable(value: Tree) -> Tree:
    """A copy of the tree that orjson writes as JavaScript does. Recursion ends at LEVELS_MAX."""
    kind = type(value)
    if kind is str:
        return _encodable(value)
    if kind is int:
        return value if -INTEGER_MAX <= value <= INTEGER_MAX else str(value)
    if kind is float:
        return writable(value)
    if kind is list:
        items = []
        for item in value:  # a loop, not a comprehension: one stack frame per level instead of two
            items.append(_stable(item))  # noqa: PERF401
        return items
    if kind is dict:
        members = {}
        for name, member in value.items():
            members[_encodable(name)] = _stable(member)
        return in_member_order(members) if has_index_name(members) else members
    return value


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _LoneSurrogate from None
    return text
