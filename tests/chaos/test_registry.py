"""The schema registry goes away or talks nonsense: records wait for it, and none dies of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from confluent_kafka import Message, Producer

import schemas
from deploy.testbed import KafkaCluster, Registry
from tests.support.avro_records import avro_bytes, framed, register
from tests.support.checker import Rule
from tests.support.connector_process import (
    SIGNATURE,
    ConnectorProcess,
    settings_for,
    subscription,
    write_subscriptions,
)
from tests.support.fake_registry import Behaviour as RegistryBehaviour
from tests.support.fake_registry import FakeRegistry
from tests.support.judging import assert_nothing_lost
from tests.support.names import Names
from tests.support.receiver import Behaviour, Receiver
from tests.support.waiting import wait_until

EVENT_TYPE = "post.created"
SCHEMA = schemas.schema_text(EVENT_TYPE)


def test_while_the_registry_is_down_events_and_retries_wait(
    kafka: KafkaCluster, registry: Registry, names: Names, tmp_path: Path
) -> None:
    topic = names.topic(EVENT_TYPE)
    kafka.create_topic(topic, partitions=2)
    schema_id = register(registry.url, topic, SCHEMA)
    produce(kafka, topic, schema_id, range(100))
    with Receiver() as receiver:
        receiver.behave("/flaky", Behaviour(fails_first=1))
        for path in ("/sound", "/flaky"):
            receiver.check(path, SIGNATURE)
        write_subscriptions(
            tmp_path,
            [
                subscription("sound", receiver.url("/sound")),
                subscription("flaky", receiver.url("/flaky"), ladder=["4s"]),
            ],
        )
        connector = ConnectorProcess(
            settings(kafka, names, tmp_path, topic=topic, registry_url=registry.url), tmp_path
        )
        with connector:
            wait_until(lambda: connector.metric("deliveries_to_tier_total") == 100, "retries wait in a tier")
            connector.kill()
            registry.kill()
            produce(kafka, topic, schema_id, range(100, 200))

            connector.start()
            wait_until(lambda: connector.metric("schema_waits") >= 100, "events wait for their schema")
            wait_until(
                lambda: connector.metric("deliveries_diverted_total", why="registry unreachable") >= 100,
                "retries that are due wait on",
            )
            connector.await_ready()  # holding is no reason to stop a roll-out
            assert connector.metric("registry_unreachable") == 1
            assert connector.said("registry unreachable: records wait")
            assert connector.metric("deliveries_dead_total") == connector.metric("records_poison_total") == 0
            assert receiver.counts("/sound").ids == 100

            registry.start()
            for path in ("/sound", "/flaky"):
                wait_until(lambda p=path: receiver.counts(p).accepted == 200, f"all arrives at {path}")
            assert connector.metric("registry_unreachable") == connector.metric("schema_waits") == 0
            assert connector.stop() == 0

        verdict = assert_nothing_lost(
            kafka.bootstrap_servers,
            names,
            receiver,
            topics=[topic],
            rules=[Rule.at("/sound"), Rule.at("/flaky")],
            event_id=event_id,
        )
        assert (verdict.records, verdict.accepted, verdict.dead) == (200, 400, 0)


async def test_a_registry_that_talks_nonsense_kills_no_record(
    kafka: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    topic = names.topic(EVENT_TYPE)
    kafka.create_topic(topic)
    async with FakeRegistry() as registry:
        produce(kafka, topic, registry.add(f"{topic}-value", SCHEMA), range(50))

        def misbehave(behaviour: RegistryBehaviour) -> None:
            """From now on, and until somebody has met with it."""
            registry.behaviour = behaviour
            before = len(registry.requests)
            wait_until(lambda: len(registry.requests) > before, f"the registry was asked: {behaviour}")

        def run() -> None:
            with Receiver() as receiver:
                receiver.check("/", SIGNATURE)
                write_subscriptions(tmp_path, [subscription("sound", receiver.url("/"))])
                with ConnectorProcess(
                    settings(kafka, names, tmp_path, topic=topic, registry_url=registry.url), tmp_path
                ) as connector:
                    misbehave("wrong-shape")
                    misbehave("html")
                    misbehave("plain-404")
                    misbehave("401")
                    wait_until(lambda: connector.metric("schema_waits") == 50, "all wait")
                    assert connector.metric("registry_unreachable") == 1
                    assert connector.metric("records_poison_total") == receiver.requests() == 0

                    registry.behaviour = "ok"
                    wait_until(lambda: receiver.counts("/").accepted == 50, "all arrives")
                    assert connector.stop() == 0
                verdict = assert_nothing_lost(
                    kafka.bootstrap_servers,
                    names,
                    receiver,
                    topics=[topic],
                    rules=[Rule(subscription="sound", path="/")],
                    event_id=event_id,
                )
                assert (verdict.accepted, verdict.duplicates) == (50, 0)

        registry.behaviour = "wrong-shape"
        await asyncio.to_thread(run)


def event_id(record: Message) -> str:
    """The event's id is the record's key, too."""
    key = record.key()
    assert isinstance(key, bytes)
    return key.decode()


def produce(kafka: KafkaCluster, topic: str, schema_id: int, numbers: range) -> None:
    """An event of each number, in Confluent's framing."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for number in numbers:
        value = {**schemas.sample(EVENT_TYPE).value, "id": f"post_{number}"}
        producer.produce(topic, framed(schema_id, avro_bytes(SCHEMA, value)), key=f"post_{number}")
    assert producer.flush(30) == 0


def settings(
    kafka: KafkaCluster, names: Names, folder: Path, *, topic: str, registry_url: str
) -> dict[str, Any]:
    return settings_for(
        names,
        folder,
        bootstrap_servers=kafka.bootstrap_servers,
        topics=[{"name": topic, "id": {"field": "id"}}],
        quick_to_notice=True,
        registry={"urls": [registry_url], "timeout_ms": 1_000},
        delivery={"breaker": {"failures_to_open": 0}},  # each event fails once, and waits for no breaker
    )
