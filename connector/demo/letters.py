"""Reads the connector's own topics from outside, as anybody could: retries, parked, dead letters.

Outside every group, and by plain header names: what is shown and audited is what the topics hold, not
what the connector says of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from connector.core.record import Record
from connector.core.topic_names import dead_letters_topic, parked_topic, tier_delay_ms
from connector.demo.records import EVENT_ID_HEADER
from connector.engine.ports import Assignment, Commit, CommitResult, Fetched, Jump, TopicPartition
from connector.kafka.peek import PeekSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One record of an own topic. ``tier_ms`` is 0 but on a tier; ``reason`` is empty but on a dead letter;
    ``partner`` is empty for a record that never became an event."""

    event_id: str
    partner: str
    source: str
    written_ms: int
    tier_ms: int = 0
    reason: str = ""
    why: str = ""
    attempts: int = 0


class Letterbox:
    """Collects letters. Implements :class:`~connector.engine.ports.Reading`; ``positions`` is how far it has
    read in each partition."""

    def __init__(self, source: PeekSource, *, prefix: str, faulted: Callable[[str], None]) -> None:
        self._source = source
        self._prefix = prefix
        self._faulted = faulted
        self.retries: list[Letter] = []
        self.parked: list[Letter] = []
        self.dead: list[Letter] = []
        self.positions: dict[TopicPartition, int] = {}

    def open(self, topics: Sequence[str]) -> None:
        self._source.start(self)
        self._source.subscribe(topics)
        self._source.grant()

    async def close(self) -> None:
        await self._source.close()

    # ── Reading ─────────────────────────────────────────────────────────────────────────────────

    def assigned(self, assignments: Sequence[Assignment]) -> None:
        self.positions.update((each.tp, each.position) for each in assignments)

    def fetched(self, batch: Sequence[Fetched]) -> None:
        for part in batch:
            for record in part.records:
                self._take(record)
                self.positions[part.tp] = record.offset + 1
        self._source.grant()

    def revoking(
        self, tps: Sequence[TopicPartition], budget_ms: int, done: Callable[[Sequence[Commit]], None]
    ) -> None:
        del tps, budget_ms, done
        raise AssertionError("it is in no group")

    def lost(self, tps: Sequence[TopicPartition]) -> None:
        """Nothing is kept that could be lost."""

    def committed(self, results: Sequence[CommitResult]) -> None:
        del results
        raise AssertionError("it commits nothing")

    def jumped(self, jump: Jump) -> None:
        self._faulted(f"letters skipped: {jump.tp} went from {jump.from_offset} to {jump.to_offset}")

    def absent(self, topics: Collection[str]) -> None:
        """A topic of no letters yet is no fault."""

    def holding(self, tps: Collection[TopicPartition]) -> None:
        del tps
        raise AssertionError("it keeps no position that a log could be cut below")

    def faulted(self, what: str, *, is_fatal: bool) -> None:
        del is_fatal
        self._faulted(what)

    def _take(self, record: Record) -> None:
        headers = {name: (value or b"").decode() for name, value in record.headers}
        tier_ms = tier_delay_ms(self._prefix, record.topic) or 0
        letter = Letter(
            event_id=headers.get(EVENT_ID_HEADER, ""),
            partner=headers.get("webhook.subscription-id", ""),
            source=headers.get("webhook.topic", ""),
            written_ms=record.timestamp_ms,
            tier_ms=tier_ms,
            reason=headers.get("webhook.reason", ""),
            why=headers.get("webhook.detail", ""),
            attempts=int(headers.get("webhook.attempt", "0")),
        )
        if tier_ms:
            self.retries.append(letter)
        elif record.topic == dead_letters_topic(self._prefix):
            self.dead.append(letter)
        elif record.topic == parked_topic(self._prefix):
            self.parked.append(letter)
