"""A failed validation in words: every mistake with its place, its value unless secret, and a cure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from connector.declared.annotations import annotation_at, is_showable, member_names
from connector.declared.problem import Path, Problem

VALUE_CHARS_MAX = 60
"""A longer value is cut: its place says where to find all of it."""

CHOICES_MAX = 30
"""More names than this are no help to choose from."""


class FaultAt(ValueError):
    """Raised by a validator of a whole group: the mistake stands at ``path`` below that group."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(text)
        self.path = path


class Locate(Protocol):
    """Where the value (or the key) at a path stands, as text for :attr:`Problem.place`."""

    def __call__(self, path: Path, *, of_key: bool) -> str: ...


def explain(
    error: ValidationError, model: type[BaseModel], locate: Locate, *, how_to_set: Callable[[Path], str]
) -> list[Problem]:
    """The problems behind ``error``; ``how_to_set`` ends the sentence about a value that is missing."""
    errors = error.errors(include_url=False)
    return [
        _problem(each, model, locate, how_to_set) for each in errors if not _is_consequence(each, errors)
    ]


def nearest(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """``"; did you mean known-word?"`` or, when nothing is near, the few there are."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=likeness)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= CHOICES_MAX else ""


def without_userinfo(text: str) -> str:
    """``text`` with the user and password of any URL in it covered."""
    return re.sub(r"//[^/@\s]*@", "//***@", text)


_TEXTS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must hold members, such as 'name: value'",
    "float_type": "must be a number",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "model_type": "must hold members, such as 'name: value'",
    "string_pattern_mismatch": "must match {pattern}",
    "string_type": "must be text; put it in quotes",
    "too_long": "must not have more than {max_length} entries",
    "too_short": "must have at least {min_length} entry",
    "tuple_type": "must be a list, such as [a, b]",
}
"""Pydantic's errors in the words of the one who wrote the file; others keep pydantic's."""


def _problem(
    error: ErrorDetails, model: type[BaseModel], locate: Locate, how_to_set: Callable[[Path], str]
) -> Problem:
    path: Path = error["loc"]
    context = error.get("ctx", {})
    is_of_key = path[-1:] == ("[key]",)  # pydantic's word for the key of a dict, rather than its value
    if is_of_key:
        path = path[:-1]
    match error["type"]:
        case "extra_forbidden":
            is_of_key = True
            known = member_names(annotation_at(model, path[:-1]))
            text = f"there is no such key{nearest(str(path[-1]), known)}"
        case "missing":
            text = f"is missing; {how_to_set(path)}"
        case "value_error":
            fault = context["error"]
            path += fault.path if isinstance(fault, FaultAt) else ()
            text = str(fault)
        case kind:
            text = _TEXTS[kind].format(**context) if kind in _TEXTS else _lower_first(error["msg"])
            text += _shown(error["input"], annotation_at(model, path))
    return Problem(place=locate(path, of_key=is_of_key), path=path, text=text)


def _is_consequence(error: ErrorDetails, errors: Sequence[ErrorDetails]) -> bool:
    """Whether a list is called too short only because its entries were refused."""
    path = error["loc"]
    return error["type"] == "too_short" and any(
        len(other["loc"]) > len(path) and other["loc"][: len(path)] == path for other in errors
    )


def _shown(value: object, annotation: object) -> str:
    """`` (it is 'x')`` for a short value that is no secret."""
    if not is_showable(annotation) or not isinstance(value, (str, int, float, bool)):
        return ""
    text = without_userinfo(repr(value))
    return f" (it is {text if len(text) <= VALUE_CHARS_MAX else text[:VALUE_CHARS_MAX] + '…'})"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
