"""A whole world in memory for the engine: topics, a consumer group of one, endpoints that misbehave.

The fakes keep to the contracts of ``connector.engine.ports``; the contract suites hold them to the
same tests as the real adapters.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zlib import crc32

from connector.core.composer import compile_composer
from connector.core.dialect import DIALECTS
from connector.core.event import Decoded, Event
from connector.core.outcome import Failure, Reply
from connector.core.record import Headers, Record
from connector.core.subscription import Secrets, Subscription
from connector.core.topic_names import tier_delay_ms, tier_topic
from connector.engine.dispatcher import DispatchLimits
from connector.engine.flow import FlowLimits
from connector.engine.ports import (
    Assignment,
    Clock,
    Commit,
    CommitResult,
    Decoder,
    Endpoint,
    Fetched,
    NotWritten,
    Reading,
    SchemaAnswer,
    SchemaReady,
    TopicPartition,
)
from connector.engine.worker import Worker, WorkerLimits
from tests.support.virtual_time import VirtualClock

PREFIX = "webhooks"
POSTS = TopicPartition("post.created", 0)


@dataclass
class Log:
    """Keeps what was said."""

    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def info(self, event: str, **facts: Any) -> None:
        self.lines.append(("info", event, facts))

    def warning(self, event: str, **facts: Any) -> None:
        self.lines.append(("warning", event, facts))

    def error(self, event: str, **facts: Any) -> None:
        self.lines.append(("error", event, facts))

    def said(self, event: str) -> list[dict[str, Any]]:
        return [facts for _, said, facts in self.lines if said == event]


class Cluster:
    """Topics as lists, committed offsets as a dictionary; it survives the workers that use it.

    ``write_faults`` are given to the next writes in turn, those of ``write_faults_by_topic`` to every
    write to that topic; ``lost_acks`` writes are made and reported as failed all the same. ``on_commit``
    is told of every commit that is taken.
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
    comes. ``pauses`` counts what costs a real client its prefetched records.
    """

    epochs = itertools.count(1)

    def __init__(self, cluster: Cluster, group: str, *, batch_max: int = 500) -> None:
        self.cluster = cluster
        self.group = group
        self.batch_max = batch_max
        self.grants = 0
        self.pauses = 0
        self.paused: set[TopicPartition] = set()
        self.epoch_of: dict[TopicPartition, int] = {}
        self.position: dict[TopicPartition, int] = {}
        self.commit_errors: list[CommitResult] = []
        self.lost_answers = 0
        self.is_dead = False
        self.is_closed = False
        self.turn = asyncio.Lock()
        self._is_polling = False

    def start(self, reading: Reading) -> None:
        self.reading = reading
        self.cluster.on_append.append(self._poll_soon)

    def assign(self, *tps: TopicPartition) -> None:
        assignments = []
        for tp in tps:
            offset, metadata = self.cluster.committed.get((self.group, tp), (0, ""))
            self.epoch_of[tp] = next(self.epochs)
            self.position[tp] = offset
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
            self._take(one)
        for tp in tps:
            self.epoch_of.pop(tp, None)

    def lose(self, *tps: TopicPartition) -> None:
        for tp in tps:
            self.epoch_of.pop(tp)
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
        assert self.is_dead or all(self.epoch_of.get(one.tp) == one.epoch for one in commits), (
            "a commit is asked only for what is ours"
        )
        asyncio.get_running_loop().call_later(0.001, self._commit, list(commits))

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

    def _commit(self, commits: Sequence[Commit]) -> None:
        live = [one for one in commits if self.epoch_of.get(one.tp) == one.epoch]
        if self.commit_errors:
            error = self.commit_errors.pop(0)
            results = [
                CommitResult(commit=one, error=error.error, is_metadata_refused=error.is_metadata_refused)
                for one in live
            ]
        else:
            for one in live:
                self._take(one)
            results = [CommitResult(commit=one) for one in live]
        if self.lost_answers:
            self.lost_answers -= 1
        elif results:
            self.reading.committed(results)

    def _take(self, commit: Commit) -> None:
        if self.epoch_of.get(commit.tp) == commit.epoch:
            self.cluster.take(self.group, commit)

    def _poll_soon(self) -> None:
        if not self._is_polling and not self.is_dead:
            self._is_polling = True
            asyncio.get_running_loop().call_later(0.005, self._poll)

    def _poll(self) -> None:
        self._is_polling = False
        if self.grants and not self.is_dead and (batch := self._batch()):
            self.grants -= 1
            self.reading.fetched(batch)
            self._poll_soon()

    def _batch(self) -> list[Fetched]:
        batch = []
        for tp, epoch in self.epoch_of.items():
            log = self.cluster.topics[tp.topic][tp.partition]
            start = self.position[tp]
            if tp in self.paused or start >= len(log):
                continue
            records = log[start : start + self.batch_max]
            self.position[tp] = start + len(records)
            end_offset = len(log) if self.position[tp] == len(log) else -1
            batch.append(Fetched(tp, epoch, records, end_offset))
        return batch


class FakeWriter:
    """Appends to a cluster after 1 ms, unless told to fail."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.is_dead = False

    def write(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers,
        done: Callable[[NotWritten | None], None],
    ) -> None:  # fmt: skip
        def write() -> None:
            if self.is_dead:
                return
            faults = self.cluster.write_faults
            if fault := (faults.pop(0) if faults else self.cluster.write_faults_by_topic.get(topic)):
                done(fault)
                return
            self.cluster.append(topic, value, key=key, headers=headers)
            if self.cluster.lost_acks:
                self.cluster.lost_acks -= 1
                done(NotWritten("passing", "no acknowledgement"))
            else:
                done(None)

        asyncio.get_running_loop().call_later(0.001, write)

    async def close(self) -> None: ...


@dataclass
class FakeEndpoint:
    url: str


@dataclass
class Post:
    """One POST as an endpoint saw it."""

    url: str
    webhook_id: str
    body: bytes
    at_ms: int


Behaviour = Callable[[Post], tuple[float, Reply | Failure]]
"""What an endpoint does: after how many seconds, which answer."""


def replies(status: int, *, after_s: float = 0.001, **reply: Any) -> Behaviour:
    return lambda _: (after_s, Reply(status, **reply))


def hangs(_: Post) -> tuple[float, Reply | Failure]:
    return 1e9, Reply(200)


class FakeSender:
    """Answers as each URL's behaviour says, by the deadline at the latest."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.behaviour: defaultdict[str, Behaviour] = defaultdict(lambda: replies(200))
        self.posts: list[Post] = []
        self.accepted: list[Post] = []
        self.in_flight = 0
        self.in_flight_max = 0
        self.is_dead = False
        self.audit: Callable[[], None] = lambda: None
        self.watch: Callable[[Post, Any, float, Reply | Failure], None] = lambda *_: None

    def endpoint(self, url: str, *, headers: Sequence[tuple[str, str]], content_type: str) -> FakeEndpoint:
        return FakeEndpoint(url)

    def post(
        self, endpoint: Endpoint, headers: bytes, body: bytes, timeout_ms: int, context: Any,
        done: Callable[[Any, Reply | Failure], None],
    ) -> None:  # fmt: skip
        if self.is_dead:
            return
        webhook_id = dict(line.split(": ", 1) for line in headers.decode().splitlines())["webhook-id"]
        post = Post(endpoint.url, webhook_id, body, self.clock.now_ms())
        self.posts.append(post)
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        after_s, answer = self.behaviour[endpoint.url](post)
        if after_s * 1_000 >= timeout_ms:
            after_s, answer = timeout_ms / 1_000, Failure("timeout", f"no reply within {timeout_ms} ms")

        self.watch(post, context, after_s, answer)

        def answered() -> None:
            self.in_flight -= 1
            if isinstance(answer, Reply) and 200 <= answer.status < 300:
                self.accepted.append(post)
            if not self.is_dead:
                done(context, answer)
                self.audit()

        asyncio.get_running_loop().call_later(after_s, answered)

    def cancel_all(self) -> None: ...

    async def close(self) -> None: ...


class FakeDecoder:
    """The value is the event's data; its type is the topic's name. ``outcomes`` overrides by value,
    ``answers`` are given to fetches in turn (then: ready)."""

    def __init__(self) -> None:
        self.outcomes: dict[bytes | None, Decoded] = {}
        self.answers: list[SchemaAnswer] = []
        self.fetches = 0

    def decode(self, record: Record) -> Decoded:
        if (outcome := self.outcomes.get(record.value)) is not None:
            return outcome
        name = f"{record.topic}-{record.partition}-{record.offset}".replace(".", "_")
        return Event(record.topic, name, record.timestamp_ms * 1_000, 3, record.value or b"null")

    async def fetch(self, ref: Any) -> SchemaAnswer:
        self.fetches += 1
        await asyncio.sleep(0.01)
        answer = self.answers.pop(0) if self.answers else SchemaReady()
        if isinstance(answer, SchemaReady):
            self.outcomes.clear()
        return answer


def subscription(id_: str, **changes: Any) -> Subscription:
    """A subscription to every event, with a ladder of 5 s, 30 s and 5 min."""
    settings: dict[str, Any] = {
        "id": id_,
        "url": f"https://{id_}.example/hooks",
        "events": ("*",),
        "dialect": DIALECTS["webhooks-v1"],
        "secrets": Secrets(current="a-secret-of-enough-bytes"),
        "ladder_ms": (5_000, 30_000, 300_000),
        "timeout_ms": 20_000,
        "max_age_ms": 86_400_000,
        "in_flight_max": 8,
        "queue_max": 100,
        "body_bytes_max": 1_048_576,
    }
    return Subscription(**(settings | changes))


LIMITS = WorkerLimits(
    flow=FlowLimits(window_records_max=1_000, window_bytes_max=1_000_000),
    tier_flow=FlowLimits(window_records_max=1_000, window_bytes_max=1_000_000),
    dispatch=DispatchLimits(in_flight_max=200, in_hand_max=400, wait_max_ms=5_000),
    commit_interval_ms=1_000,
    settled_per_commit=5_000,
    poison_run_max=100,
    stop_budget_ms=35_000,
)


def limits(
    *, flow: dict[str, int] | None = None, tier_flow: dict[str, int] | None = None,
    dispatch: dict[str, int] | None = None, **changes: int,
) -> WorkerLimits:  # fmt: skip
    """:data:`LIMITS` with some of them changed."""
    return replace(
        LIMITS,
        flow=replace(LIMITS.flow, **flow or {}),
        tier_flow=replace(LIMITS.tier_flow, **tier_flow or {}),
        dispatch=replace(LIMITS.dispatch, **dispatch or {}),
        **changes,
    )


class World:
    """A worker on fakes. Build it, and any later worker on the same cluster, inside a running loop."""

    def __init__(
        self, cluster: Cluster, sender: FakeSender, *, limits: WorkerLimits = LIMITS,
        clock: Clock | None = None, decoder: Decoder | None = None,
    ) -> None:  # fmt: skip
        self.cluster = cluster
        self.clock = clock or cluster.clock
        self.sender = sender
        self.log = Log()
        self.decoder: Any = decoder or FakeDecoder()
        self.writer = FakeWriter(cluster)
        self.source = FakeSource(cluster, "g")
        self.tier_source = FakeSource(cluster, "g.retry")
        self.fatal: list[str] = []
        self.worker = Worker(
            prefix=PREFIX,
            source=self.source,
            tier_source=self.tier_source,
            writer=self.writer,
            sender=sender,
            decoder=self.decoder,
            compile_composer=lambda one: compile_composer(one.dialect, one.secrets),
            limits=limits,
            clock=self.clock,
            log=self.log,
            on_fatal=self.fatal.append,
        )
        self._answers = 0
        sender.audit = self._audit

    @classmethod
    def new(cls, **settings: Any) -> World:
        clock = VirtualClock()
        return cls(Cluster(clock), FakeSender(clock), **settings)

    def start(
        self, subscriptions: Sequence[Subscription], tps: Sequence[TopicPartition] = (POSTS,)
    ) -> None:
        """Start with these source partitions, and one partition of every tier that the ladders name."""
        tiers = sorted({delay for one in subscriptions for delay in one.ladder_ms}) or [30_000]
        self.worker.view(subscriptions, tiers)
        self.worker.start()
        self.source.assign(*tps)
        self.tier_source.assign(*(TopicPartition(tier_topic(PREFIX, tier), 0) for tier in tiers))

    def fill(self, count: int, topic: str = "post.created") -> None:
        """Append so many events, all alike."""
        for _ in range(count):
            self.cluster.append(topic, b"1")

    def accepted(self, id_: str) -> int:
        """How many POSTs this subscription's endpoint accepted."""
        return sum(post.url == f"https://{id_}.example/hooks" for post in self.sender.accepted)

    def behave(self, id_: str, behaviour: Behaviour) -> None:
        self.sender.behaviour[f"https://{id_}.example/hooks"] = behaviour

    def committed(self, tp: TopicPartition) -> int:
        """The source group's offset; -1 when it has none."""
        return self.cluster.committed.get(("g", tp), (-1, ""))[0]

    def next_worker(self, **settings: Any) -> World:
        """Another worker on the same cluster and endpoints."""
        sender = FakeSender(self.cluster.clock)
        sender.posts, sender.accepted = self.sender.posts, self.sender.accepted
        sender.behaviour = self.sender.behaviour
        return World(self.cluster, sender, **settings)

    def problems(self) -> list[str]:
        return self.worker.accounts.problems(self.worker.in_hand())

    def _audit(self) -> None:
        """The books add up after any answer; every seventh is enough to meet all kinds of moments."""
        self._answers += 1
        if self._answers % 7 == 0:
            assert self.problems() == []

    async def kill(self) -> None:
        """As kill -9 would: nothing this worker still has under way has any effect."""
        self.sender.is_dead = True
        self.writer.is_dead = True
        self.source.die()
        self.tier_source.die()
        await self.worker._tasks.close()
