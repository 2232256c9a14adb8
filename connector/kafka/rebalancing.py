"""Partitions come and go: what the group's coordinator says, obeyed.

The client calls back inside ``poll``, ``consume`` and ``close``. What comes is placed before it is read:
what cannot be placed now waits here and is tried again, since a position is never guessed. What goes is
drained and committed first, within a budget; what is lost already is dropped without a commit.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypedDict

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as ClientPartition

from connector.engine.ports import Commit, Reading, TopicPartition
from connector.kafka.bridge import Bridge
from connector.kafka.changed_logs import ChangedLogs
from connector.kafka.commit_requests import CommitRequests
from connector.kafka.epochs import Epochs
from connector.kafka.errors import KafkaTrouble
from connector.kafka.holdings import Holdings
from connector.kafka.opening import Opener
from connector.kafka.troubles import Troubles

_Rebalance = Callable[[Consumer, list[ClientPartition]], None]


class Callbacks(TypedDict):
    """What ``subscribe`` takes."""

    on_assign: _Rebalance
    on_revoke: _Rebalance
    on_lost: _Rebalance


class Rebalancing:
    """Of one member; used by its polling thread only."""

    def __init__(
        self,
        *,
        holdings: Holdings,
        epochs: Epochs,
        opener: Opener,
        commit_requests: CommitRequests,
        changed_logs: ChangedLogs,
        troubles: Troubles,
        bridge: Bridge,
        reading: Reading,
        revoke_budget_ms: int,
    ) -> None:
        self._holdings = holdings
        self._epochs = epochs
        self._opener = opener
        self._commit_requests = commit_requests
        self._changed_logs = changed_logs
        self._troubles = troubles
        self._bridge = bridge
        self._reading = reading
        self._revoke_budget_ms = revoke_budget_ms
        self._waiting: dict[TopicPartition, None] = {}  # given to us, not placed yet; in order

    def callbacks(self) -> Callbacks:
        return Callbacks(
            on_assign=self._guarded(self._on_assign),
            on_revoke=self._guarded(self._on_revoke),
            on_lost=self._guarded(self._on_lost),
        )

    def _guarded(self, rebalance: _Rebalance) -> _Rebalance:
        """``rebalance``, except that its failure ends this member here. What the client itself raises must
        not go back through the client: it comes out as an object that no ``except`` clause matches."""

        def call(consumer: Consumer, partitions: list[ClientPartition]) -> None:
            try:
                rebalance(consumer, partitions)
            except Exception as error:
                self._troubles.end(error)

        return call

    # ── coming ──────────────────────────────────────────────────────────────────────────────────

    def _on_assign(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        self._waiting.update((_tp(p), None) for p in partitions)
        if not self.open_waiting():
            self._epochs.begin([])

    def open_waiting(self) -> bool:
        """Place and read what is ours and not read yet. What fails is tried again every second. False when
        nothing was begun."""
        if not self._waiting:
            return False
        try:
            opened = self._opener.open(list(self._waiting))
        except KafkaTrouble as trouble:
            self._troubles.meet(trouble)
            return False
        for one in opened:
            del self._waiting[one.tp]
        if self._waiting:
            self._troubles.try_soon()
        self._epochs.begin(opened)
        self._changed_logs.begun(opened)
        return True

    def seen(self, statistics: str) -> None:
        """Connected to the group's coordinator is as near to joined as the newer protocol shows, which calls
        nobody back for a member without a partition; a refused member hears of it as an error."""
        if not self._epochs.has_joined and json.loads(statistics).get("cgrp", {}).get("state") == "up":
            self._epochs.tell_joined([])

    # ── going ───────────────────────────────────────────────────────────────────────────────────

    def _on_revoke(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        held = self._held_among(partitions)
        if held:
            self._commit_requests.send_last(self._drain(held))
            self._commit_requests.note_last(held)
        self._drop(partitions)

    def _on_lost(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        held = self._held_among(partitions)
        if held:
            self._epochs.tell_lost(held)
        self._drop(partitions)

    def _held_among(self, partitions: Sequence[ClientPartition]) -> list[TopicPartition]:
        return [tp for tp in map(_tp, partitions) if self._holdings.of(tp) is not None]

    def _drop(self, partitions: Sequence[ClientPartition]) -> None:
        tps = [_tp(p) for p in partitions]
        for tp in tps:
            self._waiting.pop(tp, None)
            self._changed_logs.forget(tp)
        self._holdings.drop(tps)

    def _drain(self, tps: Sequence[TopicPartition]) -> Sequence[Commit]:
        """Have the engine finish with these; its last commits, or none when it takes too long."""
        answer: queue.SimpleQueue[Sequence[Commit]] = queue.SimpleQueue()
        self._bridge.tell(partial(self._reading.revoking, tps, self._revoke_budget_ms, answer.put))
        try:
            return answer.get(timeout=self._revoke_budget_ms / 1000 + 1)
        except queue.Empty:
            self._troubles.complain(
                "partitions were handed back before they were drained: some records come twice"
            )
            return ()


def _tp(partition: ClientPartition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.partition)
