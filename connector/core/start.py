"""Where reading begins: decided once per topic, remembered in ``<prefix>.sources``.

A group's committed offsets are not enough: they expire when the group is empty for a week, they may
outlive a topic that was deleted, and they cannot say whether a topic was ever begun. So every
partition that a group has begun has an :class:`Entry`, written and acknowledged before any work on
it. Entries in, offsets out; reading and writing them is the adapter's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

import orjson


@dataclass(frozen=True, slots=True)
class StartAtTime:
    """Begin at the first record stamped at or after this Unix time."""

    time_ms: int


Start = Literal["earliest", "latest"] | StartAtTime

EntryKey = tuple[str, str, int]
"""Group, topic id (the topic's name where the cluster gives no ids), partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One partition a group has begun.

    ``started`` is the offset it was begun at, ``partitions`` how many the topic had then: a
    partition below that number without an entry was being begun when the worker died, one at or
    above it was added later. ``watermark`` is the committed offset of at most a minute ago,
    ``None`` while nothing has been committed. ``topic_id`` is empty where the cluster gives none.

    ``cut_at`` is where the log was found to end below ``cut_position``, the offset it had been read up
    to: the partition is held until an operator has said where to go on. Both are ``None`` otherwise.
    """

    group: str
    topic: str
    topic_id: str
    partition: int
    started: int
    partitions: int
    watermark: int | None = None
    cut_at: int | None = None
    cut_position: int | None = None

    @property
    def key(self) -> EntryKey:
        return self.group, self.topic_id or self.topic, self.partition


class BadEntry(ValueError):
    """A value in the sources topic that is not an entry. Nothing may be guessed from it: taken for
    missing, it would begin a topic twice."""


def encode_key(entry: Entry) -> bytes:
    return orjson.dumps(entry.key)


def encode_value(entry: Entry) -> bytes:
    return orjson.dumps(entry)


def decode_entry(value: bytes) -> Entry:
    """Members that a later version may add are ignored; those that may be ``None`` may be missing. Raises
    :class:`BadEntry`."""
    try:
        found = orjson.loads(value)
        entry = Entry(**{f.name: found[f.name] for f in fields(Entry) if f.name in found})
    except (orjson.JSONDecodeError, TypeError) as error:
        raise BadEntry("not a JSON object with the members of an entry") from error
    optional = (n for n in (entry.watermark, entry.cut_at, entry.cut_position) if n is not None)
    numbers = (entry.partition, entry.started, entry.partitions, *optional)
    texts = (entry.group, entry.topic, entry.topic_id)
    if any(type(n) is not int or n < 0 for n in numbers) or any(type(t) is not str for t in texts):
        raise BadEntry("a member of the entry is of the wrong kind")
    return entry


def fold(entries: Iterable[Entry]) -> dict[EntryKey, Entry]:
    """One entry per partition, of those written in this order. Two workers may begin a topic at the
    same moment: the smallest start wins for both, so neither skips what the other was given."""
    folded: dict[EntryKey, Entry] = {}
    for entry in entries:
        before = folded.get(entry.key)
        if before is None:
            folded[entry.key] = entry
        else:
            folded[entry.key] = replace(
                entry,
                started=min(before.started, entry.started),
                watermark=before.watermark if entry.watermark is None else entry.watermark,
            )
    return folded


def other_groups(entries: Iterable[Entry], ours: Collection[str]) -> list[str]:
    """Groups that are not ours but keep entries under this prefix: two connectors on one prefix
    would read each other's retries."""
    return sorted({entry.group for entry in entries} - set(ours))


# ── one topic: what is still to begin ───────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """Partitions of one topic that need an entry before work, and how each is begun.

    ``by_rule`` start where the ``start`` setting says; ``at_committed`` (partition to offset) where
    the group, older than its entries, already is; ``at_zero`` were added later, or belong to a
    topic that was made anew under its old name.
    """

    by_rule: tuple[int, ...] = ()
    at_committed: Mapping[int, int]
    at_zero: tuple[int, ...] = ()


def begin(
    entries: Mapping[EntryKey, Entry],
    *,
    group: str,
    topic: str,
    topic_id: str,
    partitions: int,
    committed: Mapping[int, int],
) -> Beginning:
    """What is missing before this topic may be worked on. ``committed`` holds only real offsets."""
    ours = [e for e in entries.values() if e.group == group and e.topic == topic]
    known = {e.partition: e for e in ours if e.topic_id == topic_id}
    missing = [p for p in range(partitions) if p not in known]
    if has_older_id(entries, group=group, topic=topic, topic_id=topic_id):
        return Beginning(at_zero=tuple(missing), at_committed={})
    first = min((e.partitions for e in known.values()), default=partitions)
    uncommitted = [p for p in missing if p not in committed]
    return Beginning(
        by_rule=tuple(p for p in uncommitted if p < first),
        at_committed={p: committed[p] for p in missing if p in committed},
        at_zero=tuple(p for p in uncommitted if p >= first),
    )


def has_older_id(entries: Mapping[EntryKey, Entry], *, group: str, topic: str, topic_id: str) -> bool:
    """Whether this name belonged to another topic before. An entry without an id proves nothing:
    it was written where, or when, the cluster gave none."""
    return bool(topic_id) and any(
        e.group == group and e.topic == topic and e.topic_id not in ("", topic_id) for e in entries.values()
    )


# ── one partition: where to read from ───────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Read from ``offset``. ``why`` is set when the group's own position was missing or could not
    be used; ``is_committed`` says that it was. ``cut_at`` is set when nothing may be read yet: the log
    ended there once, below ``offset``, and nobody has said where to go on."""

    offset: int
    why: Literal["", "expired", "recreated"] = ""
    is_committed: bool = False
    cut_at: int | None = None


def place(entry: Entry, *, committed: int | None, is_recreated: bool) -> Place:
    """``is_recreated``: the name belonged to another topic before. Until the new topic has a
    watermark of its own, the committed offset may still be the old one's, and would skip records.
    """
    if is_recreated and entry.watermark is None:
        return Place(offset=entry.started, why="recreated")
    if committed is not None:
        return Place(offset=committed, is_committed=True, cut_at=_cut_below(entry, committed))
    if entry.watermark is not None:
        return Place(offset=entry.watermark, why="expired", cut_at=_cut_below(entry, entry.watermark))
    return Place(offset=entry.started, cut_at=_cut_below(entry, entry.started))


def _cut_below(entry: Entry, offset: int) -> int | None:
    """Where the log was cut, unless somebody has said since where to go on. Nothing is read while it is held,
    so our own commits end up between the watermark and the position of then; any other offset is somebody's
    word. From the cut on, or below it, nothing is skipped."""
    if entry.cut_at is None or entry.cut_position is None:
        return None
    is_ours = (entry.watermark or 0) <= offset <= entry.cut_position
    return entry.cut_at if is_ours and offset > entry.cut_at else None


def cut(entry: Entry, *, at: int, position: int, settled: int) -> Entry:
    """The log ends at ``at``, below what was read up to ``position``; all is done below ``settled``."""
    watermark = settled if settled > entry.started else entry.watermark
    return replace(entry, cut_at=at, cut_position=position, watermark=watermark)


def uncut(entry: Entry) -> Entry:
    """It is read again."""
    return replace(entry, cut_at=None, cut_position=None)


# ── a position the log does not have ────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Retention deleted ``lost`` offsets before we read them: go on at the log's start."""

    offset: int
    lost: int


@dataclass(frozen=True, slots=True)
class MadeAnew:
    """It is another topic of the same name: begin it."""


@dataclass(frozen=True, slots=True)
class BeyondEnd:
    """The log was cut below our position. What replaced it cannot be told from what we have had,
    so an operator must say where to go on."""


@dataclass(frozen=True, slots=True)
class Readable:
    """The log has the offset after all: go on."""


def after_reset(
    *, position: int, log_start: int, log_end: int, known_id: str, found_id: str, is_cut: bool
) -> Overtaken | MadeAnew | BeyondEnd | Readable:
    """What to do when the client says that it cannot read at ``position``. ``is_cut``: the client
    found the log to differ from what it had read (a truncation), or the verdict was ``BeyondEnd`` before:
    a log that has grown past our position since then holds other records there."""
    if known_id and found_id and known_id != found_id:
        return MadeAnew()
    if position < log_start:
        return Overtaken(log_start, log_start - position)
    if position > log_end or is_cut:
        return BeyondEnd()
    return Readable()
