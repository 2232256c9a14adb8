"""YAML into plain values that can be told where they stand.

Reads the parser's events, not its node tree: composing nodes recurses in C and a file of nested brackets
kills the process. Plain scalars follow YAML 1.2: only ``true`` and ``false`` are booleans, so that ``off``
stays a word; nothing becomes a date, a sexagesimal or an octal number.

Where things stand is found by a second reading, and only once somebody asks: marks take twice the memory of
the values, which a file of 10,000 subscriptions without a mistake need not pay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path as FilePath
from sys import intern
from typing import Any, NoReturn

import yaml
from yaml._yaml import CParser

from connector.declared.problem import Mistakes, Path, Problem

FILE_BYTES_MAX = 64 << 20
"""20 times what 10,000 subscriptions take; a larger file is a mistake, such as a log."""

DEPTH_MAX = 32
"""Nothing that can be declared nests deeper than 8."""

Mark = tuple[int, int]
"""Line and column, from 1."""

_Marks = dict[int, dict[str | int, tuple[Mark, Mark]]]
"""By identity of a dict or list: where each member's key and value stand."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """``values`` are dicts, lists, strings, numbers, booleans and ``None``; ``name`` is the file's name.

    Anchors and aliases share one value, so a document is never larger in memory than its text suggests.
    """

    name: str
    values: object
    text: str = field(repr=False)

    def place(self, path: Path, *, of_key: bool = False) -> str:
        """``name:line:column`` of the value at ``path``, or of the nearest one above it that exists."""
        marked = self._marked
        line, column = marked.start
        container = marked.values
        for depth, step in enumerate(path):
            marks = marked.marks.get(id(container), {}).get(step)
            if marks is None:
                break
            is_last = depth == len(path) - 1
            line, column = marks[0] if of_key and is_last else marks[1]
            container = container[step]  # type: ignore[index]  # a mark exists only for a member
        return f"{self.name}:{line}:{column}"

    @cached_property
    def _marked(self) -> _Builder:
        return _read(self.text, self.name, marks={})


def read_document(file: FilePath) -> Document:
    """The document in ``file``. Raises :class:`Mistakes` when it cannot be read or is not sound YAML."""
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        text = f"cannot be read: {error.strerror}; check the path"
        raise Mistakes([Problem(place=str(file), text=text)]) from None
    return parse_document(content, name=str(file))


def parse_document(content: bytes, *, name: str) -> Document:
    """The one document in ``content``. Raises :class:`Mistakes`: duplicate keys are all named, a syntax error
    ends the reading. Nothing but comments gives ``None`` as values."""
    if len(content) > FILE_BYTES_MAX:
        raise Mistakes([Problem(place=name, text=f"is larger than {FILE_BYTES_MAX >> 20} MiB")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"{name}:{content.count(bytes([10]), 0, error.start) + 1}"
        raise Mistakes([Problem(place=place, text="is not UTF-8; save the file as UTF-8")]) from None
    try:
        values = _read(text, name).values
    except _Doubled:
        marked = _read(text, name, marks={})
        assert marked.problems
        raise Mistakes(marked.problems) from None
    return Document(name=name, values=values, text=text)


def _read(text: str, name: str, *, marks: _Marks | None = None) -> _Builder:
    """What was built of ``text``; with ``marks``, these are filled."""
    builder = _Builder(name, marks)
    try:
        for event in _events(text):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        context = f" ({error.context})" if error.context else ""
        raise Mistakes([Problem(place=place, text=f"is not YAML: {error.problem}{context}")]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Mistakes([Problem(place=f"{name}:{line}", text=f"is not YAML: {error.reason}")]) from None
    return builder


def _events(text: str) -> Iterator[yaml.Event]:
    parser = CParser(text)
    while (event := parser.get_event()) is not None:
        yield event


def _mark(event: yaml.Event) -> Mark:
    assert event.start_mark is not None  # the C parser marks every event
    return event.start_mark.line + 1, event.start_mark.column + 1


class _Doubled(Exception):
    """A key stands twice, and without marks nobody knows where it stood first."""


@dataclass(slots=True)
class _Open:
    """A dict or list that is still being filled; ``key`` waits for its value."""

    container: Any  # dict[str, object] or list[object]: which one is asked where it matters
    anchor: str | None
    key: tuple[str, Mark] | None = None


class _Builder:
    """Takes events in order. Stops with :class:`Mistakes` at what makes the rest meaningless; keys that stand
    twice are ``problems``, or :class:`_Doubled` where no ``marks`` are kept."""

    def __init__(self, name: str, marks: _Marks | None) -> None:
        self._name = name
        self._open: list[_Open] = []
        self._anchored: dict[str, object] = {}
        self._is_marking = marks is not None
        self._documents = 0
        self.marks: _Marks = {} if marks is None else marks
        self.values: object = None
        self.start: Mark = (1, 1)
        self.problems: list[Problem] = []

    def take(self, event: yaml.Event) -> None:
        mark = _mark(event)
        match event:
            case yaml.ScalarEvent():
                value = event.value if self._awaits_key() else self._scalar(event, mark)
                self._add(value, mark, event.anchor)
            case yaml.MappingStartEvent():
                self._begin({}, mark, event)
            case yaml.SequenceStartEvent():
                self._begin([], mark, event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                ended = self._open.pop()
                if ended.anchor:
                    self._anchored[ended.anchor] = ended.container
            case yaml.AliasEvent():
                if event.anchor not in self._anchored:
                    self._stop(mark, f"*{event.anchor} is not defined above")
                self._add(self._anchored[event.anchor], mark, None)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._stop(mark, "a second document starts here; only one is read, remove the ---")

    def _begin(
        self, container: dict[str, object] | list[object], mark: Mark, event: yaml.CollectionStartEvent
    ) -> None:
        if len(self._open) == DEPTH_MAX:
            self._stop(mark, f"nests deeper than {DEPTH_MAX} levels")
        if event.tag is not None:
            self._stop(mark, f"the tag {event.tag} is not read; remove it")
        self._add(container, mark, None)
        if self._is_marking:
            self.marks[id(container)] = {}
        self._open.append(_Open(container, event.anchor))

    def _add(self, value: object, mark: Mark, anchor: str | None) -> None:
        """Put a value, or a key, where the text stands."""
        if anchor:
            self._anchored[anchor] = value
        if not self._open:
            self.values, self.start = value, mark
            return
        top = self._open[-1]
        if isinstance(top.container, list):
            self._note(top.container, len(top.container), mark, mark)
            top.container.append(value)
        elif top.key is None:
            top.key = (self._key(value, mark), mark)
        else:
            key, key_mark = top.key
            top.key = None
            if key in top.container:
                self._complain_of_double(top.container, key, key_mark)
            self._note(top.container, key, key_mark, mark)
            top.container[key] = value

    def _note(self, container: object, step: str | int, key_mark: Mark, mark: Mark) -> None:
        if self._is_marking:
            self.marks[id(container)][step] = (key_mark, mark)

    def _complain_of_double(self, container: object, key: str, mark: Mark) -> None:
        if not self._is_marking:
            raise _Doubled
        (first_line, _), _ = self.marks[id(container)][key]
        text = f"the key {key!r} stands twice, first in line {first_line}; remove one"
        self.problems.append(Problem(place=self._place(mark), text=text))

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].container, dict) and self._open[-1].key is None

    def _key(self, value: object, mark: Mark) -> str:
        if value == "<<":
            self._stop(mark, "merge keys (<<) are not read; write the members out")
        if not isinstance(value, str):
            self._stop(mark, "a key must be a word")
        return intern(value)

    def _scalar(self, event: yaml.ScalarEvent, mark: Mark) -> str | int | float | bool | None:
        if event.tag not in (None, "tag:yaml.org,2002:str"):
            self._stop(mark, f"the tag {event.tag} is not read; remove it, or put the value in quotes")
        return plain_scalar(event.value) if event.implicit[0] and event.tag is None else event.value

    def _stop(self, mark: Mark, text: str) -> NoReturn:
        raise Mistakes([*self.problems, Problem(place=self._place(mark), text=text)])

    def _place(self, mark: Mark) -> str:
        return f"{self._name}:{mark[0]}:{mark[1]}"


_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})\.[0-9]{1,18}", re.ASCII)
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}


def plain_scalar(text: str) -> str | int | float | bool | None:
    """What an unquoted word means. What could be an identifier, such as ``007`` or ``1e3``, is text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
