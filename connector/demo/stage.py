"""The demo's stage: topics, schemas, receivers, the connector and whoever watches them, set up and put away.

The connector is started as ``webhook-connector run`` starts it. What it cannot do for itself (create its
own topics on a cluster that creates none on request) is done beforehand.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from connector.app.adapters import access_of, registry_of, retry_group, writer_settings_of
from connector.app.service import Service
from connector.core.topic_names import tier_topic
from connector.core.units import format_duration_ms
from connector.demo.camera import Camera
from connector.demo.cluster import PARTITIONS, DemoCluster
from connector.demo.failed import DemoFailed
from connector.demo.feed import Feed
from connector.demo.letters import Letterbox
from connector.demo.receiver import Receiver
from connector.demo.receivers import ReceiverApp
from connector.demo.records import Recorder
from connector.demo.registry import registry_app
from connector.demo.scenario import Scenario
from connector.demo.serving import LoopbackServer
from connector.demo.setup import (
    Progress,
    create_topics,
    own_topics,
    register_schemas,
    settings_for,
    subscriptions_text,
    topics_by_type,
)
from connector.engine.ports import Log, TopicPartition
from connector.engine.worker import Worker
from connector.kafka.cluster import Cluster
from connector.kafka.peek import PeekSource
from connector.kafka.writer import KafkaWriter
from connector.settings import Settings
from connector.settings.registry import RegistrySettings

READY_WITHIN_S = 60
"""A group on a real cluster takes some seconds to form; this is for a slow one."""
LOOK_EVERY_S = 0.05
SUBJECT_PREFIX = "webhook-connector-demo."
"""Of the schemas' subjects: the same for every run, since nobody removes what a registry holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the demo: where, what, under which ``name``, and the ``folder`` for its files. Without a
    ``registry`` the demo brings its own."""

    name: str
    cluster: DemoCluster
    registry: RegistrySettings | None
    scenario: Scenario
    folder: Path

    @property
    def group(self) -> str:
        return f"{self.name}.connector"

    @property
    def groups(self) -> list[str]:
        """Every consumer group of this run."""
        return [self.group, retry_group(self.group)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """All is ready and nothing is written yet. ``sources`` are the partitions that the connector reads,
    ``tiers`` those it retries from."""

    run: Run
    service: Service
    worker: Worker
    feed: Feed
    receivers: Mapping[str, Receiver]
    letterbox: Letterbox
    camera: Camera
    kafka: Cluster
    sources: list[TopicPartition]
    tiers: list[TopicPartition]


@asynccontextmanager
async def stage(run: Run, *, progress: Progress, log: Log) -> AsyncIterator[Stage]:
    """Set up; put away at the end, whatever happened.

    Raises :class:`~connector.demo.failed.DemoFailed`, and what Kafka, the registry and the service raise.
    """
    async with AsyncExitStack() as stack:
        scenario, cluster = run.scenario, run.cluster
        topics = topics_by_type(cluster.topic_prefix)
        settings = settings_for(
            cluster,
            registry=run.registry or await _own_registry(stack),
            subscriptions_file=run.folder / "subscriptions.yaml",
            group=run.group,
        )
        own = own_topics(settings.prefix, scenario)
        is_left_to_us = not cluster.capabilities.can_create_topics
        await create_topics(cluster, [*topics.values(), *(own.all if is_left_to_us else ())], progress)
        schema_ids = await _schema_ids(stack, settings, progress)
        receivers, url = await _receivers(stack, scenario)
        settings.subscriptions_file.write_text(subscriptions_text(scenario, url), "utf-8")
        service = await _service(stack, run, settings, log)
        worker = service.worker
        assert worker is not None  # it has been started

        def faulted(what: str) -> None:
            log.warning("the demo's own client has something to say", why=what)

        peek = PeekSource(
            access_of(settings.own_cluster), start="earliest", capabilities=cluster.capabilities
        )
        letterbox = Letterbox(peek, prefix=settings.prefix, faulted=faulted)
        letterbox.open(own.with_letters)
        stack.push_async_callback(letterbox.close)
        writer = KafkaWriter(access_of(settings.kafka), writer_settings_of(settings), faulted=faulted)
        stack.push_async_callback(writer.close)
        feed = Feed(scenario, topics=topics, recorder=Recorder(schema_ids, run=run.name), writer=writer)
        await _ready(service, progress)
        yield Stage(
            run=run,
            service=service,
            worker=worker,
            feed=feed,
            receivers=receivers,
            letterbox=letterbox,
            camera=Camera(
                scenario,
                cluster=cluster.what,
                terms=_terms(scenario),
                topics=topics,
                feed=feed,
                worker=worker,
                receivers=receivers,
                letterbox=letterbox,
            ),
            kafka=Cluster(access_of(settings.kafka), cluster.capabilities),
            sources=_partitions(topics.values()),
            tiers=_partitions(tier_topic(settings.prefix, delay_ms) for delay_ms in scenario.ladder_ms),
        )


# ── its parts ───────────────────────────────────────────────────────────────────────────────────


async def _own_registry(stack: AsyncExitStack) -> RegistrySettings:
    server = LoopbackServer(registry_app())
    url = await server.start()
    stack.push_async_callback(server.stop)
    return RegistrySettings(urls=(url,))


async def _schema_ids(stack: AsyncExitStack, settings: Settings, progress: Progress) -> dict[str, int]:
    registry = registry_of(settings)
    assert registry is not None  # settings_for was given one
    stack.push_async_callback(registry.close)
    return await register_schemas(registry, SUBJECT_PREFIX, progress)


async def _receivers(stack: AsyncExitStack, scenario: Scenario) -> tuple[dict[str, Receiver], str]:
    receivers = {
        partner.id: Receiver(
            guide=partner.guide,
            secret=partner.told_secret or partner.secret,
            behaviour=partner.behaviour,
        )
        for partner in scenario.partners
    }
    server = LoopbackServer(ReceiverApp({f"/{id_}": receiver for id_, receiver in receivers.items()}))
    url = await server.start()
    stack.push_async_callback(server.stop)
    return receivers, url


async def _service(stack: AsyncExitStack, run: Run, settings: Settings, log: Log) -> Service:
    service = Service(settings, log=log, capabilities=run.cluster.capabilities)
    stack.push_async_callback(service.stop)
    await service.start()
    return service


async def _ready(service: Service, progress: Progress) -> None:
    deadline_s = time.monotonic() + READY_WITHIN_S
    progress("joining the consumer groups", 0, 1)
    while reasons := service.unready():
        if time.monotonic() > deadline_s:
            raise DemoFailed(f"the connector is not ready after {READY_WITHIN_S} s: {'; '.join(reasons)}")
        await asyncio.sleep(LOOK_EVERY_S)
    progress("joining the consumer groups", 1, 1)


def _partitions(topics: Iterable[str]) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]


def _terms(scenario: Scenario) -> str:
    ladder = ", ".join(format_duration_ms(delay_ms) for delay_ms in scenario.ladder_ms)
    timeout = format_duration_ms(scenario.timeout_ms)
    return f"shortened to be watched: retries after {ladder}, timeouts of {timeout}, no breaker"
