"""The form of a subscriptions file: which members there are, and of which kinds they must be.

A file with mistakes of form is still judged for its meaning, so that one look tells everything: what could
not be read is left out, or has a stand-in where a subscription cannot be without it, and is remembered as
unread. Nothing is ever delivered by such a file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from copy import deepcopy
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from pydantic import ValidationError

from connector.declared.document import Document
from connector.declared.explain import explain
from connector.declared.problem import Mistakes, Path, Problem
from connector.subscriptions.model import SubscriptionsFile

_LIST = "subscriptions"

_STAND_INS: dict[Path, Any] = {  # Any: as YAML would give it
    (): {"id": "unread", "url": "unread", "events": ["*"], "secrets": {"current": "unread"}},
    ("id",): "unread",
    ("url",): "unread",
    ("events",): ["*"],
    ("secrets",): {"current": "unread"},
    ("secrets", "current"): "unread",
}
"""What a subscription cannot be without, by its path below the subscription."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Formed:
    """What a file declares. Where there are ``problems``, nothing may be said of the ``unread`` paths and
    what is below them."""

    declared: SubscriptionsFile
    problems: tuple[Problem, ...] = ()
    unread: frozenset[Path] = frozenset()


def formed(document: Document) -> Formed:
    """Raises :class:`Mistakes` when there is nothing else to be judged."""
    values = _members(document)
    problems: list[Problem] = []
    unread: set[Path] = set()
    while True:  # what is wrong with a group as a whole shows only when its members are in order
        try:
            declared = SubscriptionsFile.model_validate(values)
            return Formed(declared=declared, problems=tuple(problems), unread=frozenset(unread))
        except ValidationError as error:
            found = explain(
                error, SubscriptionsFile, document.place, how_to_set=lambda path: f"add '{path[-1]}:' here"
            )
        problems += found
        paths = {each.path for each in found}
        if (_LIST,) in paths:
            raise Mistakes(problems)
        values = _without(values, paths, unread)


def _members(document: Document) -> dict[str, Any]:  # Any: not judged yet, here and below
    values = document.values
    if values is None:
        return {_LIST: []}  # an empty file is judged as an empty set, not as a broken one
    if not isinstance(values, dict):
        text = "must begin with 'subscriptions:' and list them below it"
        raise Mistakes([Problem(place=document.place(()), text=text)])
    return {**values, _LIST: []} if _LIST in values and values[_LIST] is None else values


def _without(values: dict[str, Any], paths: Collection[Path], unread: set[Path]) -> dict[str, Any]:
    """``values`` without what stands at ``paths``, or with its stand-in; adds what that is to ``unread``."""
    known = {name: value for name, value in values.items() if (name,) not in paths}
    subscriptions = list(known[_LIST])
    by_index: dict[int, set[Path]] = {}
    for path in paths:
        if path[0] == _LIST:
            _, index, *below = path
            assert isinstance(index, int)
            # Of a list, all: what follows would change its place.
            whole = tuple(takewhile(lambda step: isinstance(step, str), below))
            by_index.setdefault(index, set()).add(whole)
    for index, belows in by_index.items():
        subscriptions[index] = _mended(subscriptions[index], belows)
        fresh = {(_LIST, index, *below) for below in belows}
        assert not fresh & unread, "what was mended is in order"
        unread |= fresh
    return {**known, _LIST: subscriptions}


def _mended(subscription: Any, belows: Iterable[Path]) -> Any:  # Any: as above
    mended = {_LIST: deepcopy(subscription)}
    for below in belows:
        group: Any = mended
        path = (_LIST, *below)
        for step in path[:-1]:
            group = group.get(step, {})
        group.pop(path[-1], None)
        if below in _STAND_INS:
            group[path[-1]] = deepcopy(_STAND_INS[below])
    return mended[_LIST]
