"""A reader outside every group, for a dry run: the same port, and nothing left behind.

It takes every partition of the topics by hand, commits nothing, writes nothing, and joins no group, so a
live worker beside it notices nothing. Commits asked of it are answered as done. Positions that a log
no longer has are moved to its start; a dry run owes nobody completeness.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ClientPartition

from connector.core.start import Start
from connector.engine.ports import (
    Assignment,
    Capabilities,
    Commit,
    CommitResult,
    Jump,
    Reading,
    TopicPartition,
)
from connector.kafka.access import Access, consumer_properties
from connector.kafka.bridge import Bridge
from connector.kafka.cluster import APACHE_KAFKA, Cluster
from connector.kafka.errors import KafkaTrouble, error_of, is_out_of_reach, words
from connector.kafka.holdings import Holding
from connector.kafka.sorting import sort

_POLL_S = 0.1
_RETRY_S = 1.0


class PeekSource:
    """Reads ``topics`` from ``start``. Implements :class:`~connector.engine.ports.Source`."""

    def __init__(
        self,
        access: Access,
        *,
        start: Start,
        capabilities: Capabilities = APACHE_KAFKA,
        batch_records_max: int = 500,
        queued_bytes_max: int = 8 << 20,
    ) -> None:
        self._access = access
        self._start = start
        self._cluster = Cluster(access, capabilities)
        self._batch_records_max = batch_records_max
        # A name is required by the client and never used: no group of this name comes to be.
        properties = consumer_properties(
            access, group="webhook-connector.dry-run", queued_bytes_max=queued_bytes_max
        )
        try:
            self._consumer = Consumer({**properties, "error_cb": self._on_error})
        except KafkaException as error:
            raise KafkaTrouble(access.redact(words(error_of(error))), is_fatal=True) from None
        self._epochs = itertools.count(1)
        self._held: dict[tuple[str, int], Holding] = {}
        self._retry: tuple[float, Sequence[str]] | None = None  # when (monotonic seconds), and what
        self._grants = 0
        self._is_closing = False
        self._reading: Reading
        self._bridge: Bridge

    # ── on the loop ─────────────────────────────────────────────────────────────────────────────

    def start(self, reading: Reading) -> None:
        self._reading = reading
        self._bridge = Bridge("kafka peek", self._run)
        self._bridge.start()

    def subscribe(self, topics: Sequence[str]) -> None:
        self._bridge.ask(partial(self._take, list(topics)))

    def grant(self) -> None:
        self._bridge.ask(self._add_grant)

    def pause(self, tp: TopicPartition) -> None:
        self._bridge.ask(partial(self._consumer.pause, [ClientPartition(tp.topic, tp.partition)]))

    def resume(self, tp: TopicPartition) -> None:
        self._bridge.ask(partial(self._consumer.resume, [ClientPartition(tp.topic, tp.partition)]))

    def commit(self, commits: Sequence[Commit]) -> None:
        """Nothing is committed; the engine is told what it would be told."""
        results = [CommitResult(commit=commit) for commit in commits]
        asyncio.get_running_loop().call_soon(self._reading.committed, results)

    async def close(self) -> None:
        self._bridge.ask(self._stop)
        await self._bridge.ended()

    # ── on the thread ───────────────────────────────────────────────────────────────────────────

    def _add_grant(self) -> None:
        self._grants += 1

    def _stop(self) -> None:
        self._is_closing = True

    def _run(self) -> None:
        try:
            while not self._is_closing:
                self._bridge.obey(0 if self._grants else _POLL_S)
                self._retry_taking()
                if self._grants and not self._is_closing:
                    self._fetch()
        except KafkaException as error:
            # Going on would take what the failed call destroyed for a gap.
            self._complain(self._access.redact(words(error_of(error))), is_fatal=True)
        finally:
            self._consumer.close()

    def _take(self, topics: Sequence[str]) -> None:
        try:
            offsets = self._beginnings(topics)
        except KafkaTrouble as trouble:
            self._complain(trouble.what, is_fatal=trouble.is_fatal)
            if not trouble.is_fatal:
                self._retry = (time.monotonic() + _RETRY_S, topics)
            return
        gone = [held.tp for held in self._held.values() if held.tp.topic not in topics]
        self._held = {key: held for key, held in self._held.items() if key[0] in topics}
        if gone:
            self._bridge.tell(partial(self._reading.lost, gone))
        fresh = [Holding(tp, next(self._epochs), offset) for tp, offset in sorted(offsets.items())]
        self._held.update(((held.tp.topic, held.tp.partition), held) for held in fresh)
        self._assign()
        assignments = [Assignment(tp=held.tp, epoch=held.epoch, position=held.position) for held in fresh]
        self._bridge.tell(partial(self._reading.assigned, assignments))

    def _retry_taking(self) -> None:
        if self._retry is not None and time.monotonic() > self._retry[0]:
            topics = self._retry[1]
            self._retry = None
            self._take(topics)

    def _beginnings(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        looks = self._cluster.look(topics)
        for look in looks.values():
            if look.absence:
                self._complain(f"topic {look.topic} is {look.absence}: it is left out")
        tps = [TopicPartition(look.topic, p) for look in looks.values() for p in range(look.partitions)]
        return self._cluster.offsets(
            [tp for tp in tps if (tp.topic, tp.partition) not in self._held], self._start
        )

    def _assign(self) -> None:
        self._consumer.assign(
            [ClientPartition(h.tp.topic, h.tp.partition, h.position) for h in self._held.values()]
        )

    def _fetch(self) -> None:
        first = self._consumer.poll(_POLL_S)
        if first is None:
            return
        found = sort([first, *self._consumer.consume(self._batch_records_max - 1, 0)], self._held)
        for message in found.errors:
            self._on_message_error(message)
        for tp, offset in found.regressed.items():
            self._move(tp, offset, lost=0)
        if found.batch:
            self._grants -= 1
            self._bridge.tell(partial(self._reading.fetched, found.batch))

    def _on_message_error(self, message: Message) -> None:
        error = message.error()
        topic, partition = message.topic(), message.partition()
        assert error is not None
        if error.code() != KafkaError._AUTO_OFFSET_RESET or topic is None or partition is None:
            self._on_error(error)
            return
        tp = TopicPartition(topic, partition)
        try:
            log_start, _ = self._cluster.log_range(tp)
        except KafkaTrouble as trouble:
            self._complain(trouble.what)
            return
        position = self._held[topic, partition].position
        self._move(tp, log_start, lost=max(0, log_start - position))

    def _move(self, tp: TopicPartition, offset: int, *, lost: int) -> None:
        """A new epoch at ``offset``: what was fetched before is of a log that is gone."""
        held = self._held[tp.topic, tp.partition]
        jump = Jump(
            tp=tp,
            from_offset=held.position,
            to_offset=offset,
            lost=lost,
            reason="retention" if lost else "truncated",
        )
        self._held[tp.topic, tp.partition] = fresh = Holding(tp, next(self._epochs), offset)
        self._assign()
        self._bridge.tell(partial(self._reading.lost, [tp]))
        self._bridge.tell(partial(self._reading.jumped, jump))
        assignment = Assignment(tp=tp, epoch=fresh.epoch, position=offset)
        self._bridge.tell(partial(self._reading.assigned, [assignment]))

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal() or not is_out_of_reach(error):
            self._complain(self._access.redact(words(error)), is_fatal=error.fatal())

    def _complain(self, what: str, *, is_fatal: bool = False) -> None:
        self._bridge.tell(partial(self._reading.faulted, what, is_fatal=is_fatal))
