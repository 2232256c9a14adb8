"""The letter log: one of the connector's own topics, read by hand and outside every group.

For jobs that read a topic once from a place they remember themselves, a bite at a time. Nothing is
committed and nothing is fetched between two calls that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from connector.core.record import Record
from connector.engine.ports import TopicPartition

BITE_RECORDS_MAX: Final = 100
"""Of one read: a twentieth of a second's worth at the pace of a replay."""


class Unreadable(Exception):
    """The log cannot be read now; ask again later. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Where a partition's log starts and ends now: records below ``start`` are gone, ``end`` is the next to
    be written (transactions considered). ``topic_id`` tells its topic from one of the same name made later;
    it is empty where the cluster gives none."""

    topic_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Bite:
    """Records in offset order. What lies below ``next_offset`` and is not among them does not exist."""

    records: list[Record]
    next_offset: int


class LetterLog(Protocol):
    """One call at a time."""

    async def extents(self, topic: str) -> Mapping[int, Extent]:
        """Every partition's extent. Raises :class:`Unreadable`, also for a topic that is not there."""

    async def read(self, tp: TopicPartition, from_offset: int, to_offset: int) -> Bite:
        """What comes next from ``from_offset`` on, below ``to_offset`` (above it), at most
        :data:`BITE_RECORDS_MAX` records. Its ``next_offset`` is ``from_offset`` when nothing came within
        a second. Raises :class:`Unreadable`, also when ``from_offset`` is not in the log any more."""

    async def close(self) -> None:
        """Read nothing more. Bounded by the log itself: a call under way is waited for a second at most, and
        ends unheard later."""
