"""From partitions to where they are read from: asks the cluster and the sources store, lets the core decide.

Every partition it places has an entry in ``<prefix>.sources`` that the broker has acknowledged, so no
work begins on a topic that could not be told from a new one after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from connector.core.start import Entry, Place, Start, begin, has_older_id, other_groups, place, uncut
from connector.engine.ports import TopicPartition
from connector.kafka.cluster import Cluster, TopicLook
from connector.kafka.errors import KafkaTrouble, NeverStarted
from connector.kafka.group_offsets import CommittedOffset
from connector.kafka.sources_store import Entries, SourcesStore

Committed = Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, CommittedOffset]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A partition ready to be read. ``metadata`` is the committed one, if its offset is used."""

    tp: TopicPartition
    topic_id: str
    entry: Entry
    place: Place
    committed: int | None
    metadata: str


class Opener:
    """``committed`` asks the group coordinator; ``groups`` are those that belong to this prefix. ``own`` are
    topics of the connector's: they are begun at their start whatever ``start`` says, for all that is in them
    was written to be read."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        store: SourcesStore,
        group: str,
        groups: Collection[str],
        start: Start | None,
        committed: Committed,
        own: Collection[str] = (),
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._group = group
        self._groups = frozenset(groups) | {group}
        self._start = start
        self._committed = committed
        self._own = frozenset(own)
        self._entries: Entries = {}

    def look(self, topics: Collection[str]) -> dict[str, TopicLook]:
        return self._cluster.look(topics)

    def begin(self, look: TopicLook) -> None:
        """Make sure that every partition of this topic has its entry."""
        self._refresh()
        tps = [TopicPartition(look.topic, p) for p in range(look.partitions)]
        beginning = begin(
            self._entries,
            group=self._group,
            topic=look.topic,
            topic_id=look.id,
            partitions=look.partitions,
            committed={tp.partition: found.offset for tp, found in self._committed(tps).items()},
        )
        starts = dict(beginning.at_committed) | dict.fromkeys(beginning.at_zero, 0)
        if beginning.by_rule:
            starts |= self._by_rule(look.topic, beginning.by_rule)
        if starts:
            self._store.put([self._entry(look, p, offset) for p, offset in sorted(starts.items())])
            self._refresh()  # another worker may have begun it at this moment: the smaller start wins

    def open(self, tps: Sequence[TopicPartition]) -> list[Opened]:
        """Place ``tps``; those whose topic has gone meanwhile are left out."""
        looks = {t: look for t, look in self.look({tp.topic for tp in tps}).items() if not look.absence}
        present = [tp for tp in tps if tp.topic in looks]
        committed = self._committed(present)
        self._refresh()  # another worker may have left watermarks, or have found a log cut, meanwhile
        for look in looks.values():
            if any(self._key(tp, look) not in self._entries for tp in present if tp.topic == look.topic):
                self.begin(look)
        opened = [self._opened(tp, looks[tp.topic], committed.get(tp)) for tp in present]
        mended = [one.entry for one in opened if one.entry != self._entries[one.entry.key]]
        if mended:
            self._store.put(mended)
        return opened

    def keep(self, entry: Entry) -> None:
        """Remember this of a partition that is read, and wait until it is acknowledged."""
        self._store.put([entry])

    def _opened(self, tp: TopicPartition, look: TopicLook, committed: CommittedOffset | None) -> Opened:
        entry = self._entries.get(self._key(tp, look))
        if entry is None:
            raise KafkaTrouble(f"{tp} is newer than what the cluster says of its topic")
        is_recreated = has_older_id(self._entries, group=self._group, topic=tp.topic, topic_id=look.id)
        offset = None if committed is None else committed.offset
        where = place(entry, committed=offset, is_recreated=is_recreated)
        return Opened(
            tp=tp,
            topic_id=look.id,
            entry=uncut(entry) if where.cut_at is None else entry,
            place=where,
            committed=offset,
            metadata=committed.metadata if committed is not None and where.is_committed else "",
        )

    def _refresh(self) -> None:
        self._entries = self._store.read()
        others = other_groups(self._entries.values(), self._groups)
        if others:
            raise KafkaTrouble(
                f"the prefix belongs to another connector, of group {', '.join(others)}: two would read each "
                f"other's retries. Give this one (group {self._group}) a prefix of its own",
                is_fatal=True,
            )

    def _by_rule(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        start = "earliest" if topic in self._own else self._start
        if start is None:
            has_started = any(entry.group == self._group for entry in self._entries.values())
            raise NeverStarted(
                f"group {self._group} has never read topic {topic}. Say where to begin with start: earliest "
                "(may send partners years of history), latest (skips what is there) or a time",
                is_fatal=not has_started,
            )
        offsets = self._cluster.offsets([TopicPartition(topic, p) for p in partitions], start)
        return {tp.partition: offset for tp, offset in offsets.items()}

    def _entry(self, look: TopicLook, partition: int, started: int) -> Entry:
        return Entry(
            group=self._group,
            topic=look.topic,
            topic_id=look.id,
            partition=partition,
            started=started,
            partitions=look.partitions,
        )

    def _key(self, tp: TopicPartition, look: TopicLook) -> tuple[str, str, int]:
        return self._group, look.id or tp.topic, tp.partition
