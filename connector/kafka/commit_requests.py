"""Commits of one member: sent one request at a time, answered one by one, guarded here.

The coordinator takes a commit of a partition we no longer own, and one that moves backwards (measured);
either would rewind the next owner. So nothing is sent for an epoch that is not live, and nothing below
what the epoch has committed. Once a minute, and when a partition leaves, the watermark is noted in the
sources topic too, where it outlives the group's offsets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from connector.engine.ports import Commit, CommitResult, TopicPartition
from connector.kafka.cluster import CALL_TIMEOUT_S, Cluster
from connector.kafka.errors import Complain, KafkaTrouble, error_of, words
from connector.kafka.group_offsets import CommittedOffset, committed_offsets
from connector.kafka.holdings import Holding, Holdings
from connector.kafka.sources_store import SourcesStore

NOTE_EVERY_S = 60.0
ANSWER_WITHIN_S = 60.0
"""The client answers every request; should it forget one, commits must not stop for ever."""


class CommitRequests:
    """Used by the polling thread only. ``answer`` takes results to the engine, ``complain`` what an
    operator must know."""

    def __init__(
        self,
        *,
        consumer: Consumer,
        holdings: Holdings,
        store: SourcesStore,
        cluster: Cluster,
        answer: Callable[[Sequence[CommitResult]], None],
        complain: Complain,
    ) -> None:
        self._consumer = consumer
        self._holdings = holdings
        self._store = store
        self._cluster = cluster
        self._answer = answer
        self._complain = complain
        self._queued: list[Commit] = []
        self._in_flight: list[Commit] = []
        self._sent_at_s = 0.0

    # ── what is committed ───────────────────────────────────────────────────────────────────────

    def committed(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, CommittedOffset]:
        """What the group has committed; partitions without are left out."""
        return committed_offsets(self._cluster.access, self._consumer, tps, timeout_s=CALL_TIMEOUT_S)

    # ── committing ──────────────────────────────────────────────────────────────────────────────

    def ask(self, commits: Sequence[Commit]) -> None:
        """Commit these soon. Those of a live epoch get an answer, the others are dropped."""
        self._queued.extend(commits)

    def send(self) -> None:
        """Send what is queued, unless a request is on its way: an older commit must not overtake."""
        if self._in_flight and time.monotonic() - self._sent_at_s > ANSWER_WITHIN_S:
            lost, self._in_flight = self._in_flight, []
            self._reject(lost, "no answer from the group's coordinator")
        if self._in_flight or not self._queued:
            return
        firsts: dict[TopicPartition, Commit] = {}  # a partition may stand in a request only once
        self._queued = [c for c in self._queued if firsts.setdefault(c.tp, c) is not c]
        live = [commit for commit in firsts.values() if self._is_live(commit)]
        forward = [commit for commit in live if self._is_forward(commit)]
        self._reject([c for c in live if c not in forward], "it is behind what is committed already")
        if forward:
            self._send(forward)

    def _send(self, commits: list[Commit]) -> None:
        try:
            self._consumer.commit(offsets=[_offset(c) for c in commits], asynchronous=True)
        except KafkaException as error:
            self._reject(commits, self._words(error_of(error)))
        else:
            self._in_flight = commits
            self._sent_at_s = time.monotonic()

    def answered(self, error: KafkaError | None, partitions: Sequence[ClientPartition]) -> None:
        """The client's answer to the request on its way (called back inside a poll)."""
        commits, self._in_flight = self._in_flight, []
        errors = {TopicPartition(p.topic, p.partition): p.error for p in partitions}
        results = [self._result(c, errors.get(c.tp) or error) for c in commits if self._is_live(c)]
        if results:
            self._answer(results)

    def send_last(self, commits: Sequence[Commit]) -> None:
        """The last commit of these epochs, waited for: the next owner reads on from it. Without its
        metadata if the broker finds that too long."""
        last = [c for c in commits if self._is_live(c) and self._is_forward(c)]
        if not last:
            return
        error = self._send_and_wait(last)
        if error is not None and _is_metadata_refused(error):
            error = self._send_and_wait([replace(c, metadata="") for c in last])
        if error is not None:
            self._complain(
                f"the last commit before handing back failed ({self._words(error)}): some records come twice"
            )
            return
        for commit in last:
            self._remember(commit)

    def note_last(self, tps: Sequence[TopicPartition]) -> None:
        """Note what is committed of partitions that leave: if all workers stop for so long that the group's
        offsets expire, reading goes on exactly there."""
        for tp in tps:
            held = self._holdings.of(tp)
            if held is not None and held.committed > held.noted:
                self._note(held)

    def _send_and_wait(self, commits: Sequence[Commit]) -> KafkaError | None:
        """A commit waits a whole session for a coordinator when the cluster is away, and takes no limit. So
        something that takes one is asked first (not the group: it answers nothing while we leave it; and by
        another client: this one must not be asked for topics inside its own callback)."""
        try:
            self._cluster.look([commits[0].tp.topic])
        except KafkaTrouble as trouble:
            return KafkaError(KafkaError._TRANSPORT, trouble.what)
        try:
            done = self._consumer.commit(offsets=[_offset(c) for c in commits], asynchronous=False)
        except KafkaException as error:
            return error_of(error)
        return next((p.error for p in done or () if p.error is not None), None)

    def _result(self, commit: Commit, error: KafkaError | None) -> CommitResult:
        if error is None:
            self._remember(commit)
            return CommitResult(commit=commit)
        return CommitResult(
            commit=commit, error=self._words(error), is_metadata_refused=_is_metadata_refused(error)
        )

    def _remember(self, commit: Commit) -> None:
        held = self._held(commit)
        held.committed = commit.offset
        if time.monotonic() - held.noted_at_s >= NOTE_EVERY_S:
            self._note(held)

    def _note(self, held: Holding) -> None:
        if held.entry is None:
            return
        held.noted = held.committed
        held.noted_at_s = time.monotonic()
        try:
            self._store.note(replace(held.entry, watermark=held.committed))
        except KafkaTrouble as trouble:
            self._complain(trouble.what, is_fatal=trouble.is_fatal)

    def _reject(self, commits: Sequence[Commit], error: str) -> None:
        results = [CommitResult(commit=c, error=error) for c in commits if self._is_live(c)]
        if results:
            self._answer(results)

    def _is_live(self, commit: Commit) -> bool:
        return self._holdings.has_epoch(commit.tp, commit.epoch)

    def _is_forward(self, commit: Commit) -> bool:
        return commit.offset >= self._held(commit).committed

    def _held(self, commit: Commit) -> Holding:
        held = self._holdings.of(commit.tp)
        assert held is not None, "asked only for what is live"
        return held

    def _words(self, error: KafkaError) -> str:
        return self._cluster.access.redact(words(error))


def _is_metadata_refused(error: KafkaError) -> bool:
    return error.code() == KafkaError.OFFSET_METADATA_TOO_LARGE


def _offset(commit: Commit) -> ClientPartition:
    return ClientPartition(commit.tp.topic, commit.tp.partition, commit.offset, metadata=commit.metadata)
