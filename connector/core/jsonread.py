"""Reading JSON without losing or guessing anything.

orjson is fast but keeps the last of two members of one name, turns integers beyond 64 bits into
doubles and refuses those beyond the doubles' range. So its answer is taken only where it provably is
the whole truth; the few documents in doubt are read a second time by the standard library, with every
number and name in view.

Promised: integers keep all their digits, nothing is read that another parser may read differently,
and no document, however deep or long, costs more than time linear in its size.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import orjson

from connector.core.event import Poison
from connector.core.jsonjs import survey

LEVELS_MAX = 200
"""Containers inside one another: far more than any real document has, far less than a stack takes."""

DIGITS_MAX = 4_300
"""Digits of one integer. Reading and writing longer ones takes time quadratic in their length."""

Value = dict[str, Any] | list[Any] | str | int | float | bool | None

_TOO_DEEP = Poison("too-deep", f"The JSON nests deeper than {LEVELS_MAX} levels.")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse(payload: bytes) -> Value | Poison:
    """The value of a JSON document in UTF-8; one byte order mark before it is tolerated.

    A number with fraction or exponent becomes the nearest double, beyond the doubles' range an
    infinity, which JSON shows as null. Poison ``too-deep`` beyond :data:`LEVELS_MAX` levels, else
    ``bad-json``: not JSON, not UTF-8, NaN or Infinity, a member name twice in one object, a lone
    surrogate, an integer of more than :data:`DIGITS_MAX` digits.
    """
    payload = payload.removeprefix(_BYTE_ORDER_MARK)
    try:
        value: Value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return _parse_exactly(payload)  # it may be a number out of orjson's range, which is sound JSON
    seen = survey(value)
    if seen.levels > LEVELS_MAX:
        return _TOO_DEEP
    # A vast double may have been written as an integer.
    if seen.has_vast_double or _may_repeat_a_name(payload, value):
        return _parse_exactly(payload)
    return value


def _may_repeat_a_name(payload: bytes, value: Value) -> bool:
    """Whether a member may have been dropped for a later one of the same name.

    Each member has one colon. What orjson kept, written out again, has as many colons as the
    payload unless members were dropped, or a text spells a colon as an escape.
    """
    return b"\\u003" in payload or orjson.dumps(value).count(b":") != payload.count(b":")


class _Unsound(ValueError):
    """JSON of which two parsers may make two things."""


def _parse_exactly(payload: bytes) -> Value | Poison:
    try:
        value: Value = json.loads(
            payload.decode(), object_pairs_hook=_members, parse_int=_integer, parse_constant=_constant
        )
        if survey(value).levels > LEVELS_MAX:
            return _TOO_DEEP
        # Only an escape can smuggle in a lone surrogate; writing all of it out finds one anywhere.
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:  # the scanner guards its own stack, which is deeper than our limit
        return _TOO_DEEP
    except UnicodeDecodeError:
        return Poison("bad-json", "The value is not UTF-8.")
    except UnicodeEncodeError:
        return Poison("bad-json", "A text holds a lone surrogate, which no UTF-8 can carry.")
    except json.JSONDecodeError as error:  # its message names the place and quotes nothing
        return Poison("bad-json", f"The value is not JSON: {error}.")
    except _Unsound as error:
        return Poison("bad-json", str(error))
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Unsound("An object names the same member twice.")
    return members


def _integer(literal: str) -> int:
    if len(literal.lstrip("-")) > DIGITS_MAX:
        raise _Unsound(f"An integer has more than {DIGITS_MAX} digits.")
    return int(literal)


def _constant(_literal: str) -> NoReturn:
    raise _Unsound("NaN and Infinity are not JSON.")
