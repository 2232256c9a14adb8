"""A whole world in memory for the engine: a worker on a Kafka in memory, endpoints that misbehave."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connector.core.breaker import BreakerRules
from connector.core.composer import compile_composer
from connector.core.dialect import DIALECTS
from connector.core.disabling import DisableRules
from connector.core.event import Decoded, Event
from connector.core.outcome import Failure, Reply
from connector.core.record import Record
from connector.core.subscription import DIRECT, Egress, Secrets, Subscription, TlsIdentity
from connector.core.topic_names import tier_topic
from connector.engine.dispatcher import DispatchLimits
from connector.engine.flow import FlowLimits
from connector.engine.ports import (
    Clock,
    Decoder,
    Endpoint,
    SchemaAnswer,
    SchemaReady,
    TopicPartition,
)
from connector.engine.shared import Alone, Board
from connector.engine.worker import Worker, WorkerLimits
from tests.support.fake_board import FakeBoard
from tests.support.fake_kafka import PREFIX, Cluster, FakeSource, FakeWriter
from tests.support.fake_letter_log import FakeLetterLog
from tests.support.virtual_time import VirtualClock

POSTS = TopicPartition("post.created", 0)


def partitions_of(topic: str, count: int) -> list[TopicPartition]:
    """All of a topic that has so many."""
    return [TopicPartition(topic, number) for number in range(count)]


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


@dataclass
class FakeEndpoint:
    url: str
    way: str = ""

    def __post_init__(self) -> None:
        self.place = self.url.partition("://")[2].partition("/")[0]


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
        self.reached: list[Post] = []
        self.accepted: list[Post] = []
        self.in_flight = 0
        self.in_flight_max = 0
        self.is_dead = False
        self.audit: Callable[[], None] = lambda: None
        self.watch: Callable[[Post, Any, float, Reply | Failure], None] = lambda *_: None

    def endpoint(
        self,
        url: str,
        *,
        headers: Sequence[tuple[str, str]],
        content_type: str,
        tls: TlsIdentity | None = None,
        egress: Egress = DIRECT,
    ) -> FakeEndpoint:
        return FakeEndpoint(url, egress.proxy)

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

    async def reach(self, endpoint: Endpoint, timeout_ms: int) -> Failure | None:
        """As the endpoint's behaviour says: who would answer anything can be reached."""
        post = Post(endpoint.url, "", b"", self.clock.now_ms())
        self.reached.append(post)
        after_s, answer = self.behaviour[endpoint.url](post)
        is_connected = isinstance(answer, Reply) or answer.kind in ("timeout", "reset", "protocol")
        if is_connected and not (isinstance(answer, Failure) and answer.is_unconnected):
            await asyncio.sleep(0.001)
            return None
        await asyncio.sleep(min(after_s, timeout_ms / 1_000))
        assert isinstance(answer, Failure)
        return answer

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
    dispatch=DispatchLimits(in_flight_max=200, host_in_flight_max=100, in_hand_max=400, wait_max_ms=5_000),
    breaker=BreakerRules(failures_to_open=0),
    disable=DisableRules(),
    commit_interval_ms=1_000,
    settled_per_commit=5_000,
    poison_run_max=100,
    stop_budget_ms=35_000,
)


def limits(
    *, flow: dict[str, int] | None = None, tier_flow: dict[str, int] | None = None,
    dispatch: dict[str, int] | None = None, **changes: Any,
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
        clock: Clock | None = None, decoder: Decoder | None = None, board: Board | None = None,
        worker_id: str = "w1",
    ) -> None:  # fmt: skip
        self.cluster = cluster
        self.clock = clock or cluster.clock
        self.sender = sender
        self.log = Log()
        self.decoder: Any = decoder or FakeDecoder()
        self.writer = FakeWriter(cluster)
        self.source = FakeSource(cluster, "g")
        self.tier_source = FakeSource(cluster, "g.retry")
        self.letters = FakeLetterLog(cluster)
        self.fatal: list[str] = []
        self.board = board or Alone()
        self.worker = Worker(
            prefix=PREFIX,
            source=self.source,
            tier_source=self.tier_source,
            letters=self.letters,
            writer=self.writer,
            sender=sender,
            board=self.board,
            worker_id=worker_id,
            decoder=self.decoder,
            compile_composer=lambda one: compile_composer(one.dialect, one.secrets),
            limits=limits,
            clock=self.clock,
            log=self.log,
            on_fatal=self.fatal.append,
        )
        self.worker.hearing.start()
        self._answers = 0
        sender.audit = self._audit

    @classmethod
    def new(cls, **settings: Any) -> World:
        clock = VirtualClock()
        return cls(Cluster(clock), FakeSender(clock), **settings)

    def start(
        self,
        subscriptions: Sequence[Subscription],
        tps: Sequence[TopicPartition] = (POSTS,),
        *,
        tiers: Sequence[int] = (),
        tier_partitions: int = 1,
    ) -> None:
        """Start with these source partitions, and so many of each of these tiers, by default of every one
        that the ladders name."""
        tiers = tiers or sorted({delay for one in subscriptions for delay in one.ladder_ms}) or [30_000]
        self.worker.view(subscriptions, tiers)
        self.worker.start()
        self.source.assign(*tps)
        for tier in tiers:
            self.tier_source.assign(*partitions_of(tier_topic(PREFIX, tier), tier_partitions))

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
        if isinstance(self.board, FakeBoard):
            self.board.kill()
        await self.worker._tasks.close()
