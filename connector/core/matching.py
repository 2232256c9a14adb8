"""Who wants an event: patterns of event types, compiled once and asked for every record.

An event type is segments between full stops. A pattern is one of

* ``*``: every event;
* ``post.*``: ``post`` and exactly one more segment (``post.created``, not ``post.created.eu``);
* ``friend.**``: ``friend`` and one or more further segments (``friend.request.sent``; not ``friend``,
  so that ``*`` and ``**`` differ in how deep they reach and in nothing else);
* anything without a star: that type alone.

Types that begin with ``connector.`` are the connector's own events, for its operator: ``*`` does not fit
them, only a pattern that names that word does.

A star elsewhere is refused rather than given a meaning that the published guides do not have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, Generic, TypeVar

from connector.core.operator_event import OPERATOR_PREFIX

T = TypeVar("T")

PATTERN_CHARS_MAX: Final = 255
"""Longer than any topic name (249) may be."""

CACHE_WORDS_MAX: Final = 2_000_000
"""Bounds the answers kept by a matcher, counted as machine words (about 16 MB): event types may come
from a field of the record, so how many there are is in strangers' hands. It holds the answers for 200
types that 10,000 subscriptions want."""


def check_pattern(text: str) -> str | None:
    """What is wrong with a pattern, as a sentence with the cure; ``None`` when it is sound."""
    if text == "*":
        return None
    if not text:
        return "The pattern is empty; write * for every event."
    if len(text) > PATTERN_CHARS_MAX:
        return f"The pattern has {len(text)} characters; {PATTERN_CHARS_MAX} are the most."
    if any(not char.isprintable() or char.isspace() for char in text):
        return f"The pattern {text!r} holds a blank or a control character; an event type has none."
    *head, last = text.split(".")
    if not head and last == "**":
        return "The pattern '**' stands alone; write * for every event."
    if "" in head or not last:
        return f"The pattern {text!r} has an empty segment; put one full stop between two names."
    if any("*" in segment for segment in head) or (last not in ("*", "**") and "*" in last):
        return f"In the pattern {text!r} a star may only be the whole last segment, as in post.* or friend.**"
    return None


class Matcher(Generic[T]):
    """Things with patterns, asked by event type. It never changes: build a new one for a new view.

    ``items`` pairs each thing with its patterns; raises :class:`ValueError` for one that
    :func:`check_pattern` refuses. A thing need not be hashable.
    """

    __slots__ = ("_cache", "_cache_words", "_deep", "_deep_chars_max", "_every", "_exact", "_one", "_things")

    def __init__(self, items: Iterable[tuple[Sequence[str], T]]) -> None:
        self._things: list[T] = []
        # Indexes into the things, by what the event type must look like.
        self._every: list[int] = []
        self._exact: defaultdict[str, list[int]] = defaultdict(list)
        self._one: defaultdict[str, list[int]] = defaultdict(list)
        self._deep: defaultdict[str, list[int]] = defaultdict(list)
        for patterns, thing in items:
            for pattern in patterns:
                self._add(pattern, len(self._things))
            self._things.append(thing)
        self._deep_chars_max = max(map(len, self._deep), default=0)
        self._cache: dict[str, tuple[T, ...]] = {}
        self._cache_words = 0

    def match(self, event_type: str) -> tuple[T, ...]:
        """The things with a pattern that fits, each once, in the order they were given."""
        found = self._cache.get(event_type)
        return self._find_and_keep(event_type) if found is None else found

    def _add(self, pattern: str, index: int) -> None:
        if problem := check_pattern(pattern):
            raise ValueError(problem)
        prefix, _, last = pattern.rpartition(".")
        if pattern == "*":
            self._every.append(index)
        elif last == "*":
            self._one[prefix].append(index)
        elif last == "**":
            self._deep[prefix].append(index)
        else:
            self._exact[pattern].append(index)

    def _find(self, event_type: str) -> tuple[T, ...]:
        indexes = {*self._exact.get(event_type, ())}
        if not event_type.startswith(OPERATOR_PREFIX):
            indexes.update(self._every)
        prefix, dot, _ = event_type.rpartition(".")
        if dot:
            indexes.update(self._one.get(prefix, ()))
        # No further than the longest prefix anyone asked for: a type of a million full stops costs nothing.
        end = event_type.find(".", 0, self._deep_chars_max + 1)
        while end >= 0:
            indexes.update(self._deep.get(event_type[:end], ()))
            end = event_type.find(".", end + 1, self._deep_chars_max + 1)
        return tuple(self._things[index] for index in sorted(indexes))

    def _find_and_keep(self, event_type: str) -> tuple[T, ...]:
        found = self._find(event_type)
        # A word each, a word per eight characters, and about twenty for the entry and two objects.
        words = len(found) + len(event_type) // 8 + 20
        if self._cache_words + words > CACHE_WORDS_MAX:
            self._cache.clear()
            self._cache_words = 0
        if words <= CACHE_WORDS_MAX:
            self._cache[event_type] = found
            self._cache_words += words
        return found
