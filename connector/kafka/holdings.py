"""The partitions we read, and the client's assignment kept equal to them.

Hides three habits of the client: an eager group replaces its whole assignment where a cooperative one
adds and removes; a paused state survives in the client from an earlier assignment; and a partition the
client has given up on takes no seek, but can be left and taken again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as ClientPartition

from connector.core.start import Entry
from connector.engine.ports import TopicPartition


@dataclass(slots=True)
class Holding:
    """A partition we read. ``position`` is the next offset we expect; ``committed`` the last one
    the broker took in this epoch; ``is_paused`` is the engine's wish, not ours. ``entry`` is what
    the sources topic says (``None`` outside every group); ``noted`` is the committed offset noted there
    last, at ``noted_at_s`` (monotonic seconds). ``cut_at`` is where the log ended when it was found to be
    cut below ``position``: from then on nothing is read of it, whatever the client brings."""

    tp: TopicPartition
    epoch: int
    position: int
    topic_id: str = ""
    entry: Entry | None = None
    committed: int = -1
    is_paused: bool = False
    cut_at: int | None = None
    noted: int = -1
    noted_at_s: float = float("-inf")
    begun: int = field(init=False)  # the first position of this epoch

    def __post_init__(self) -> None:
        self.begun = self.position

    @property
    def may_flow(self) -> bool:
        return not self.is_paused and self.cut_at is None

    @property
    def settled(self) -> int:
        """All below this offset is known to be done."""
        return max(self.begun, self.committed)


class Holdings:
    """What one member holds, by topic and partition. Used by the polling thread only.

    Starved, everything is paused in the client, whatever the engine asked for; fed again, everything
    flows but what the engine has paused and what was cut.
    """

    def __init__(self, consumer: Consumer, *, is_eager: bool) -> None:
        self._consumer = consumer
        self._is_eager = is_eager
        self.by_key: dict[tuple[str, int], Holding] = {}
        self.is_starved = False

    def __iter__(self) -> Iterator[Holding]:
        return iter(list(self.by_key.values()))

    def of(self, tp: TopicPartition) -> Holding | None:
        return self.by_key.get((tp.topic, tp.partition))

    def has_epoch(self, tp: TopicPartition, epoch: int) -> bool:
        held = self.of(tp)
        return held is not None and held.epoch == epoch

    # ── taking and leaving ──────────────────────────────────────────────────────────────────────

    def take(self, fresh: Sequence[Holding]) -> None:
        """Hold these and read them from their positions. Taking nothing is a valid answer to a
        rebalance; without any answer the client would assign as it likes."""
        for held in fresh:
            self.by_key[held.tp.topic, held.tp.partition] = held
        self._assign(fresh)

    def drop(self, tps: Iterable[TopicPartition]) -> None:
        """Hold these no longer. Those not held, because they never got a position, need nothing."""
        gone = [held for held in map(self.of, tps) if held is not None]
        for held in gone:
            del self.by_key[held.tp.topic, held.tp.partition]
        if self._is_eager:
            self._consumer.unassign()
        else:
            self._consumer.incremental_unassign(_plain(gone))

    def renew(self, held: Holding, *, epoch: int, position: int) -> Holding:
        """Hold the same partition in a new epoch, read from ``position``."""
        fresh = replace(held, epoch=epoch, position=position, committed=-1)
        self.by_key[held.tp.topic, held.tp.partition] = fresh
        self.reread(fresh)
        return fresh

    def reread(self, held: Holding) -> None:
        """Read again from the position held."""
        if not self._is_eager:
            self._consumer.incremental_unassign(_plain([held]))
        self._assign([held])

    def _assign(self, added: Sequence[Holding]) -> None:
        if self._is_eager:
            self._consumer.assign(_placed(self))
        else:
            self._consumer.incremental_assign(_placed(added))
        self._consumer.resume(_plain(added))
        self._consumer.pause(_plain(held for held in added if self.is_starved or not held.may_flow))

    # ── pausing ─────────────────────────────────────────────────────────────────────────────────

    def pause(self, tp: TopicPartition) -> None:
        held = self.of(tp)
        if held is not None and not held.is_paused:
            held.is_paused = True
            self._consumer.pause(_plain([held]))

    def resume(self, tp: TopicPartition) -> None:
        held = self.of(tp)
        if held is not None and held.is_paused:
            held.is_paused = False
            if held.may_flow and not self.is_starved:
                self._consumer.resume(_plain([held]))

    def starve(self) -> None:
        self.is_starved = True
        self._consumer.pause(_plain(self))

    def feed(self) -> None:
        self.is_starved = False
        self._consumer.resume(_plain(held for held in self if held.may_flow))


def _plain(held: Iterable[Holding]) -> list[ClientPartition]:
    return [ClientPartition(one.tp.topic, one.tp.partition) for one in held]


def _placed(held: Iterable[Holding]) -> list[ClientPartition]:
    return [ClientPartition(one.tp.topic, one.tp.partition, one.position) for one in held]
