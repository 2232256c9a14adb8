"""Where the microseconds of a delivery go: each layer alone, with everything around it taken away.

Each figure is CPU time of one delivery in this process, the best of some repeats. Their sum lies near what
a whole connector takes by the kernel's count; what is missing there is caches that layers share.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Hashable, Sequence
from itertools import count
from time import process_time, thread_time
from typing import Any

import uvloop
from confluent_kafka import Consumer, Message
from confluent_kafka import TopicPartition as ClientPartition

from connector.avro.decoder import TopicDecoders
from connector.avro.topic_format import EventMapping, Field, TopicFormat
from connector.core.breaker import BreakerRules
from connector.core.composer import Composer, compile_composer
from connector.core.dialect import DIALECTS
from connector.core.disabling import DisableRules
from connector.core.event import Decoded, Event
from connector.core.outcome import Failure, Reply
from connector.core.record import Headers, Record
from connector.core.subscription import DIRECT, Egress, Secrets, Subscription, TlsIdentity
from connector.engine.clock import SystemClock
from connector.engine.dispatcher import DispatchLimits
from connector.engine.flow import FlowLimits
from connector.engine.ports import (
    Assignment,
    Commit,
    CommitResult,
    Endpoint,
    Fetched,
    NotWritten,
    Reading,
    SchemaAnswer,
    SchemaReady,
    TopicPartition,
)
from connector.engine.shared import Alone
from connector.engine.worker import Worker, WorkerLimits
from connector.kafka.access import Access, consumer_properties
from connector.kafka.holdings import Holding
from connector.kafka.sorting import sort
from connector.webhook.reply import KnownReply, ReplyReader
from tests.bench.receiver import Receiver
from tests.bench.sender_loop import send_prepared
from tests.bench.workload import PARTITIONS, SCHEMA_TEXT, SECRET, TYPE_FIELD, Records, subscriptions

REPEATS = 5
_BATCH = 500
_QUEUED_BYTES_MAX = 8 << 20
_HOSTS = 20
_REPLY = (
    b"HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 15 Jan 2026 12:30:00 GMT\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
)

Layers = dict[str, float]
"""Microseconds of CPU per delivery, by layer."""


def measure_layers(bootstrap_servers: str, topic: str, records: Records, receiver: Receiver) -> Layers:
    """All layers; ``topic`` holds a backlog of this workload."""
    layers = _reading(bootstrap_servers, topic)
    layers |= inner_layers(records)
    layers["send: write, read, parse, pool, deadline"] = uvloop.run(_sending(receiver))
    layers["  of which the reply's reading"] = _best(_parse_replies, 50_000)
    return layers


def inner_layers(records: Records) -> Layers:
    """The layers that need no server."""
    made = _records(records, 20_000)
    decoder = _decoder()
    events = [event for record in made if isinstance(event := decoder.decode(record), Event)]
    composer = _composer(_subscription())
    return {
        "decode: Avro, JSON, naming": _best(lambda: _each(decoder.decode, made), len(made)),
        "compose: envelope, signature, headers": _best(lambda: _compose(composer, events), len(events)),
        "engine: ledger, lanes, settlement": uvloop.run(_engine(made, events)),
    }


# ── reading ─────────────────────────────────────────────────────────────────────────────────────


def _reading(bootstrap_servers: str, topic: str) -> Layers:
    access = Access(bootstrap_servers=bootstrap_servers)
    properties = consumer_properties(access, group="bench-layers", queued_bytes_max=_QUEUED_BYTES_MAX)
    consumer = Consumer(properties)
    consumer.assign([ClientPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    _consume(consumer, _BATCH)
    begun_s, thread_begun_s = process_time(), thread_time()
    messages = _consume(consumer, 40_000)
    thread_s = thread_time() - thread_begun_s
    others_s = process_time() - begun_s - thread_s
    consumer.close()
    sorting_us = _best(lambda: _sort(messages, topic), len(messages))
    return {
        "read: librdkafka's threads": others_s / len(messages) * 1e6,
        "read: messages from the client": thread_s / len(messages) * 1e6,
        "read: messages into records": sorting_us,
    }


def _consume(consumer: Consumer, at_least: int) -> list[Message]:
    messages: list[Message] = []
    while len(messages) < at_least:
        messages += consumer.consume(_BATCH, 1.0)
    return messages


def _sort(messages: Sequence[Message], topic: str) -> None:
    held = {
        (topic, partition): Holding(TopicPartition(topic, partition), partition, 0)
        for partition in range(PARTITIONS)
    }
    for begin in range(0, len(messages), _BATCH):
        sort(messages[begin : begin + _BATCH], held)


# ── decoding and composing ──────────────────────────────────────────────────────────────────────


class _OneSchema:
    def schema(self, _: int, /) -> str:
        return SCHEMA_TEXT

    async def fetch(self, _: int, /) -> SchemaAnswer:
        return SchemaReady()


def _decoder() -> TopicDecoders:
    mapping = EventMapping(type=Field((TYPE_FIELD,)))
    formats = [TopicFormat(topic="t", mapping=mapping)]
    return TopicDecoders(formats, source_name="bench", registry=_OneSchema())


def _records(records: Records, how_many: int) -> list[Record]:
    values = [records.value(index) for index in range(1_000)]
    return [
        Record("t", index % PARTITIONS, index // PARTITIONS, 1_750_000_000_000, b"key", values[index % 1_000])
        for index in range(how_many)
    ]


def _each(work: Callable[[Any], object], things: Sequence[Any]) -> None:
    for thing in things:
        work(thing)


def _compose(composer: Composer, events: Sequence[Event]) -> None:
    for event in events:
        event.bodies.clear()
        composer.compose(event, 1_750_000_000)


def _subscription(**differences: Any) -> Subscription:
    return Subscription(
        **{
            "id": "s",
            "url": "http://127.0.0.1/hooks",
            "events": ("*",),
            "dialect": DIALECTS["standard-webhooks"],
            "secrets": Secrets(current=SECRET),
            "ladder_ms": (5_000,),
            "timeout_ms": 20_000,
            "max_age_ms": 86_400_000,
            "in_flight_max": 16,
            "queue_max": 200,
            "body_bytes_max": 1 << 20,
            **differences,
        }
    )


def _composer(subscription: Subscription) -> Composer:
    return compile_composer(subscription.dialect, subscription.secrets)


# ── the engine between ports that cost nothing ──────────────────────────────────────────────────


class _Known:
    """Knows every event beforehand."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events

    def decode(self, record: Record) -> Decoded:
        return self._events[record.offset * PARTITIONS + record.partition]

    async def fetch(self, _: Hashable) -> SchemaAnswer:
        return SchemaReady()


class _Constant:
    """Composes the same thing for every event."""

    content_type = "application/json"

    def compose(self, _event: Event, _now_s: int) -> tuple[bytes, bytes]:
        return b"", b"{}"


class _Memory:
    """A source that has all records at hand, in batches as the real one makes them."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._batches = (records[begin : begin + _BATCH] for begin in count(0, _BATCH))
        self._tps = [TopicPartition("t", partition) for partition in range(PARTITIONS)]

    def start(self, reading: Reading) -> None:
        self._reading = reading
        reading.assigned([Assignment(tp=tp, epoch=tp.partition, position=0) for tp in self._tps])

    def grant(self) -> None:
        asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        batch = next(self._batches)
        if batch:
            parts = [[one for one in batch if one.partition == tp.partition] for tp in self._tps]
            self._reading.fetched(
                [Fetched(tp, tp.partition, part, -1, 0) for tp, part in zip(self._tps, parts, strict=True)]
            )

    def subscribe(self, _: Sequence[str]) -> None: ...
    def pause(self, _: TopicPartition) -> None: ...
    def resume(self, _: TopicPartition) -> None: ...

    def commit(self, commits: Sequence[Commit]) -> None:
        self._reading.committed([CommitResult(commit=commit) for commit in commits])

    async def close(self) -> None: ...


class _Nowhere:
    """A writer to whom nothing is written here."""

    def write(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        done: Callable[[NotWritten | None], None],
    ) -> None:
        raise AssertionError("every delivery is accepted")

    def hurry(self) -> None: ...

    async def close(self) -> None: ...


class _Accepting:
    """A sender whose endpoints accept everything at the loop's next turn."""

    def __init__(self) -> None:
        self._answers: list[tuple[Callable[[Any, Reply | Failure], None], Any]] = []
        self._accepted = Reply(200)

    def endpoint(
        self,
        url: str,
        *,
        headers: Sequence[tuple[str, str]],
        content_type: str,
        tls: TlsIdentity | None = None,
        egress: Egress = DIRECT,
    ) -> Endpoint:
        return _Target(url)

    def post(
        self,
        endpoint: Endpoint,
        headers: bytes,
        body: bytes,
        timeout_ms: int,
        context: Any,
        done: Callable[[Any, Reply | Failure], None],
    ) -> None:
        if not self._answers:
            asyncio.get_running_loop().call_soon(self._answer)
        self._answers.append((done, context))

    def _answer(self) -> None:
        answers, self._answers = self._answers, []
        for done, context in answers:
            done(context, self._accepted)

    async def reach(self, endpoint: Endpoint, timeout_ms: int) -> Failure | None:
        return None

    def cancel_all(self) -> None: ...
    async def close(self) -> None: ...


class _Target:
    def __init__(self, url: str) -> None:
        self.url = self.place = url
        self.way = ""


class _Silence:
    def info(self, event: str, **facts: Any) -> None: ...
    def warning(self, event: str, **facts: Any) -> None:
        raise AssertionError(f"{event}: {facts}")

    error = warning


async def _engine(records: Sequence[Record], events: Sequence[Event]) -> float:
    return min([await _engine_us(records, events) for _ in range(REPEATS)])


async def _engine_us(records: Sequence[Record], events: Sequence[Event]) -> float:
    flow = FlowLimits(window_records_max=2_000, window_bytes_max=16 << 20)
    worker = Worker(
        board=Alone(),
        worker_id="bench",
        prefix="bench",
        source=_Memory(records),
        tier_source=None,
        letters=None,
        writer=_Nowhere(),
        sender=_Accepting(),
        decoder=_Known(events),
        compile_composer=lambda _: _Constant(),  # type: ignore[arg-type, return-value]  # a composer by shape
        limits=WorkerLimits(
            flow=flow,
            tier_flow=flow,
            dispatch=DispatchLimits(
                in_flight_max=2_048, host_in_flight_max=256, in_hand_max=20_000, wait_max_ms=5_000
            ),
            breaker=BreakerRules(),
            disable=DisableRules(),
            commit_interval_ms=1_000,
            settled_per_commit=5_000,
            poison_run_max=1_000,
            stop_budget_ms=1_000,
        ),
        clock=SystemClock(),
        log=_Silence(),
        on_fatal=_fail,
    )
    declared = subscriptions([f"http://127.0.0.1/{host}" for host in range(_HOSTS)])
    worker.hearing.start()
    worker.view([_subscription(id=one["id"], events=tuple(one["events"])) for one in declared], [5_000])
    gc.collect()
    begun_s = process_time()
    worker.start()
    while worker.accounts.records_settled < len(records):  # noqa: ASYNC110  the engine tells nobody
        await asyncio.sleep(0)
    spent_s = process_time() - begun_s
    await worker.stop()
    return spent_s / len(records) * 1e6


def _fail(why: str) -> None:
    raise AssertionError(why)


# ── sending ─────────────────────────────────────────────────────────────────────────────────────


async def _sending(receiver: Receiver) -> float:
    receiver.reset()
    urls = receiver.urls(_HOSTS)
    return min([await send_prepared(urls, 30_000) for _ in range(REPEATS)]) / 30_000 * 1e6


def _parse_replies() -> None:
    reader = ReplyReader(KnownReply())
    for _ in range(50_000):
        reader.feed(_REPLY)
        reader.restart()
    reader.close()


# ── measuring ───────────────────────────────────────────────────────────────────────────────────


def _best(work: Callable[[], object], how_many: int) -> float:
    """Microseconds of CPU for one of ``how_many``, the best of some repeats."""
    found = []
    for _ in range(REPEATS):
        gc.collect()
        begun_s = thread_time()
        work()
        found.append(thread_time() - begun_s)
    return min(found) / how_many * 1e6
