"""Epochs begin and end here, so that the client's assignment and what the engine knows of it never differ.

Per epoch the engine hears ``assigned`` first, then records, then ``revoking`` or ``lost``, then nothing. A
new one begins with every assignment, and whenever a partition's log turns out to be another.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Literal

from connector.engine.ports import Assignment, Jump, Reading, TopicPartition
from connector.kafka.bridge import Bridge
from connector.kafka.holdings import Holding, Holdings
from connector.kafka.opening import Opened


class Epochs:
    """Of one member; used by its polling thread only. ``has_joined`` once the engine was told so."""

    def __init__(self, *, holdings: Holdings, bridge: Bridge, reading: Reading) -> None:
        self._holdings = holdings
        self._bridge = bridge
        self._reading = reading
        self._numbers = itertools.count(1)
        self.has_joined = False

    def begin(self, opened: Sequence[Opened]) -> None:
        """Hold these and read them. Beginning none is a valid answer to a rebalance."""
        self._holdings.take([_held(one, next(self._numbers)) for one in opened])
        self.tell_joined([self._assignment(one.tp, one.metadata) for one in opened])
        for one in opened:
            if one.place.why:
                before = -1 if one.committed is None else one.committed
                self.tell_jump(one.tp, from_offset=before, to_offset=one.place.offset, reason=one.place.why)

    def begin_anew(self, opened: Sequence[Opened]) -> None:
        """End the epochs of these, whose topic is another one now, and begin the new topic's."""
        tps = [one.tp for one in opened]
        self.tell_lost(tps)
        self._holdings.drop(tps)
        self.begin(opened)

    def renew(self, held: Holding, *, position: int) -> None:
        """End the epoch of a log that turned out to be another, and read that from ``position``."""
        self.tell_lost([held.tp])
        self.tell_jump(held.tp, from_offset=held.position, to_offset=position, reason="truncated")
        self._holdings.renew(held, epoch=next(self._numbers), position=position)
        self.tell_joined([self._assignment(held.tp)])

    # ── what the engine is told ─────────────────────────────────────────────────────────────────

    def tell_joined(self, assignments: Sequence[Assignment]) -> None:
        self.has_joined = True
        self._bridge.tell(partial(self._reading.assigned, assignments))

    def tell_lost(self, tps: Sequence[TopicPartition]) -> None:
        self._bridge.tell(partial(self._reading.lost, tps))

    def tell_jump(
        self,
        tp: TopicPartition,
        *,
        from_offset: int,
        to_offset: int,
        reason: Literal["retention", "recreated", "truncated", "expired"],
        lost: int = 0,
    ) -> None:
        jump = Jump(tp=tp, from_offset=from_offset, to_offset=to_offset, lost=lost, reason=reason)
        self._bridge.tell(partial(self._reading.jumped, jump))

    def _assignment(self, tp: TopicPartition, metadata: str = "") -> Assignment:
        held = self._holdings.of(tp)
        assert held is not None, "asked only for what was just taken"
        return Assignment(
            tp=tp,
            epoch=held.epoch,
            position=held.position,
            committed_metadata=metadata,
            topic_id=held.topic_id,
        )


def _held(opened: Opened, epoch: int) -> Holding:
    place = opened.place
    return Holding(opened.tp, epoch, place.offset, opened.topic_id, opened.entry, cut_at=place.cut_at)
