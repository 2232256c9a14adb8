"""Kafka in memory: topics, members of consumer groups, and writers, for tests of the engine.

The fakes run the contract suites of the real adapters (``tests/contracts/fakes``), so that the engine is
tested against what Kafka does. What they cannot do is said in :data:`CAPABILITIES` and below: topics come
to be when they are first written, a first start begins at 0, a member is assigned by hand or by a
:class:`~tests.support.simulated_group.Group`. In one thing they are harsher than Kafka: an engine that
does not drain within its budget gets an error, not a complaint.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zlib import crc32

from connector.core.record import Headers, Record
from connector.core.topic_names import tier_delay_ms
from connector.engine.ports import (
    Assignment,
    Capabilities,
    Commit,
    CommitResult,
    Fetched,
    NotWritten,
    Reading,
    TopicPartition,
)
from tests.support.virtual_time import VirtualClock

PREFIX = "webhooks"
CAPABILITIES = Capabilities(
    can_create_topics=False, can_describe_topics=False, can_look_up_times=False, has_topic_ids=False
)
RECORD_BYTES_MAX = 1_048_576
"""Of key and value: about what a broker takes unless told otherwise."""
LATENCY_S = 0.001
"""How long a commit or a write takes."""
POLL_S = 0.005


class Cluster:
    """Topics as lists, committed offsets as a dictionary; it survives the workers that use it.

    ``write_faults`` are given to the next writes in turn, those of ``write_faults_by_topic`` to every
    write to that topic; ``lost_acks`` writes are made and reported as failed all the same. ``log_starts`` is
    where an operator has cut a log, and while ``is_unreadable`` none can be read by hand; members of groups
    do not notice, nor do they of ``topic_ids``. ``on_commit`` is told of every commit that is taken.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.topics: defaultdict[str, defaultdict[int, list[Record]]] = defaultdict(lambda: defaultdict(list))
        self.partitions: defaultdict[str, int] = defaultdict(lambda: 1)
        self.committed: dict[tuple[str, TopicPartition], tuple[int, str]] = {}
        self.commits: list[Commit] = []
        self.write_faults: list[NotWritten] = []
        self.write_faults_by_topic: dict[str, NotWritten] = {}
        self.lost_acks = 0
        self.log_starts: defaultdict[TopicPartition, int] = defaultdict(int)
        self.topic_ids: defaultdict[str, str] = defaultdict(str)
        self.is_unreadable = False
        self.on_append: list[Callable[[], None]] = []
        self.on_commit: Callable[[str, Commit], None] = lambda group, commit: None

    def append(
        self, topic: str, value: bytes | None, *, partition: int | None = None, key: bytes | None = None,
        headers: Headers = (), timestamp_ms: int | None = None,
    ) -> Record:  # fmt: skip
        if partition is None:
            partition = crc32(key or b"") % self.partitions[topic]
        log = self.topics[topic][partition]
        now_ms = self.clock.now_ms() if timestamp_ms is None else timestamp_ms
        record = Record(topic, partition, len(log), now_ms, key, value, tuple(headers), leader_epoch=0)
        log.append(record)
        for tell in self.on_append:
            tell()
        return record

    def take(self, group: str, commit: Commit) -> None:
        before, _ = self.committed.get((group, commit.tp), (0, ""))
        assert commit.offset >= before, f"{commit.tp} of {group} is rewound from {before} to {commit.offset}"
        self.committed[group, commit.tp] = (commit.offset, commit.metadata)
        self.commits.append(commit)
        self.on_commit(group, commit)

    def letters(self, topic: str) -> list[Record]:
        return [record for log in self.topics[topic].values() for record in log]

    def tier_letters(self) -> list[Record]:
        tiers = [topic for topic in self.topics if tier_delay_ms(PREFIX, topic)]
        return [one for topic in tiers for one in self.letters(topic)]


class FakeSource:
    """Reads assigned partitions of a :class:`Cluster`, one batch per grant.

    ``commit_errors`` are given to the next commits in turn; of ``lost_answers`` commits the answer never
    comes; while it ``leaves_in_vain`` the group takes no last commit of what is handed back. ``pauses``
    counts what costs a real client its prefetched records, ``commits_behind`` what was refused because more
    was committed before.
    """

    epochs = itertools.count(1)

    def __init__(self, cluster: Cluster, group: str, *, batch_max: int = 500) -> None:
        self.cluster = cluster
        self.group = group
        self.batch_max = batch_max
        self.grants = 0
        self.pauses = 0
        self.commits_behind = 0
        self.paused: set[TopicPartition] = set()
        self.epoch_of: dict[TopicPartition, int] = {}
        self.position: dict[TopicPartition, int] = {}
        self.commit_errors: list[CommitResult] = []
        self.lost_answers = 0
        self.leaves_in_vain = False
        self.has_joined = False
        self.is_dead = False
        self.is_closed = False
        self.turn = asyncio.Lock()
        self._taken: dict[TopicPartition, int] = {}  # the highest offset committed in this epoch
        self._at_end: set[TopicPartition] = set()  # where the end was told and nothing came since
        self._asked: deque[list[Commit]] = deque()
        self._is_polling = False

    def start(self, reading: Reading) -> None:
        self.reading = reading
        self.cluster.on_append.append(self._poll_soon)

    def assign(self, *tps: TopicPartition) -> None:
        self.has_joined = True
        assignments = []
        for tp in tps:
            offset, metadata = self.cluster.committed.get((self.group, tp), (0, ""))
            self.epoch_of[tp] = next(self.epochs)
            self.position[tp] = self._taken[tp] = offset
            assignments.append(
                Assignment(tp=tp, epoch=self.epoch_of[tp], position=offset, committed_metadata=metadata)
            )
        self.reading.assigned(assignments)
        self._poll_soon()

    async def revoke(self, *tps: TopicPartition, budget_ms: int = 10_000) -> None:
        """Raises ``TimeoutError`` when the engine does not keep to the budget."""
        done: asyncio.Future[Sequence[Commit]] = asyncio.get_running_loop().create_future()
        self.reading.revoking(tps, budget_ms, done.set_result)
        try:
            commits = await asyncio.wait_for(done, budget_ms / 1_000 + 0.1)
        except TimeoutError:
            if self.is_dead:
                return
            raise
        for one in commits:
            assert one.tp in tps, "only what is handed over is committed"
            if self._is_live(one) and not self.leaves_in_vain:
                self._take(one)
        self._forget(tps)

    def lose(self, *tps: TopicPartition) -> None:
        self._forget(tps)
        self.reading.lost(tps)

    def subscribe(self, topics: Sequence[str]) -> None: ...

    def grant(self) -> None:
        self.grants += 1
        self._poll_soon()

    def pause(self, tp: TopicPartition) -> None:
        self.pauses += 1
        self.paused.add(tp)

    def resume(self, tp: TopicPartition) -> None:
        self.paused.discard(tp)
        self._poll_soon()

    def commit(self, commits: Sequence[Commit]) -> None:
        self._asked.append(list(commits))
        asyncio.get_running_loop().call_later(LATENCY_S, self._commit)

    async def close(self) -> None:
        async with self.turn:  # one rebalance at a time
            if self.epoch_of:
                await self.revoke(*self.epoch_of)
        self.die()
        self.is_closed = True

    def die(self) -> None:
        self.is_dead = True
        self.epoch_of.clear()
        if self._poll_soon in self.cluster.on_append:
            self.cluster.on_append.remove(self._poll_soon)

    def _forget(self, tps: Sequence[TopicPartition]) -> None:
        for tp in tps:
            self.epoch_of.pop(tp, None)
            self.paused.discard(tp)
            self._at_end.discard(tp)

    # ── commits ─────────────────────────────────────────────────────────────────────────────────

    def _commit(self) -> None:
        live = [one for one in self._asked.popleft() if self._is_live(one)]
        error = self.commit_errors.pop(0) if self.commit_errors else None
        results = [
            CommitResult(commit=one, error=error.error, is_metadata_refused=error.is_metadata_refused)
            if error
            else self._take(one)
            for one in live
        ]
        if self.lost_answers:
            self.lost_answers -= 1
        elif results:
            self.reading.committed(results)

    def _take(self, commit: Commit) -> CommitResult:
        if commit.offset < self._taken[commit.tp]:
            self.commits_behind += 1
            return CommitResult(commit=commit, error="it is behind what is committed already")
        self._taken[commit.tp] = commit.offset
        self.cluster.take(self.group, commit)
        return CommitResult(commit=commit)

    def _is_live(self, commit: Commit) -> bool:
        return self.epoch_of.get(commit.tp) == commit.epoch

    # ── reading ─────────────────────────────────────────────────────────────────────────────────

    def _poll_soon(self) -> None:
        if not self._is_polling and not self.is_dead:
            self._is_polling = True
            asyncio.get_running_loop().call_later(POLL_S, self._poll)

    def _poll(self) -> None:
        self._is_polling = False
        if self.grants and not self.is_dead and (batch := self._batch()):
            self.grants -= 1
            self.reading.fetched(batch)
            self._poll_soon()

    def _batch(self) -> list[Fetched]:
        """Of every partition at most so much, and its end once it is reached, be it empty."""
        batch = []
        for tp, epoch in self.epoch_of.items():
            log = self.cluster.topics[tp.topic][tp.partition]
            start = self.position[tp]
            is_told = tp in self._at_end and start == len(log)
            if tp in self.paused or is_told:
                continue
            records = log[start : start + self.batch_max]
            self.position[tp] = start + len(records)
            is_end = self.position[tp] == len(log)
            if is_end:
                self._at_end.add(tp)
            batch.append(Fetched(tp, epoch, records, len(log) if is_end else -1, len(log)))
        return batch


@dataclass(frozen=True, slots=True)
class _Write:
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    done: Callable[[NotWritten | None], None]

    def is_too_large(self) -> bool:
        return len(self.key or b"") + len(self.value or b"") > RECORD_BYTES_MAX


class FakeWriter:
    """Appends to a cluster in the order of the writes, unless told to fail."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.is_dead = False
        self.is_closed = False
        self.is_hurried = False
        self._queue: deque[_Write] = deque()

    def write(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers,
        done: Callable[[NotWritten | None], None],
    ) -> None:  # fmt: skip
        loop = asyncio.get_running_loop()
        if self.is_closed:
            loop.call_soon(done, NotWritten("passing", "the writer is closed"))
            return
        self._queue.append(_Write(topic, key, value, headers, done))
        loop.call_later(LATENCY_S, self._write_next)

    async def close(self) -> None:
        self.is_closed = True
        if self._queue:
            await asyncio.sleep(2 * LATENCY_S)

    def hurry(self) -> None:
        """Closing never takes long here."""
        self.is_hurried = True

    def _write_next(self) -> None:
        one = self._queue.popleft()
        if not self.is_dead:
            one.done(self._append(one))

    def _append(self, one: _Write) -> NotWritten | None:
        faults = self.cluster.write_faults
        if fault := (faults.pop(0) if faults else self.cluster.write_faults_by_topic.get(one.topic)):
            return fault
        if one.is_too_large():
            return NotWritten("too-large", f"more than {RECORD_BYTES_MAX} bytes")
        self.cluster.append(one.topic, one.value, key=one.key, headers=one.headers)
        if self.cluster.lost_acks:
            self.cluster.lost_acks -= 1
            return NotWritten("passing", "no acknowledgement")
        return None
