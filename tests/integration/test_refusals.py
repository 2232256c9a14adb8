"""What an operator got wrong: refused at the start with line and cure, or held while it runs. Never guessed.

| mistake | fate |
| --- | --- |
| subscriptions file with a typo, or empty, at the start | refused, exit 2, with line and cure |
| the same, or more than half of it gone, while running | the old view stays, reading holds, a gauge says so; on when mended |
| own topics with settings that lose deliveries, missing where they may not be created, or with too few replicas | refused, exit 2, with the command that mends it |
| a source topic that does not exist | told at every look, and a gauge says so; read when it appears (test_topics_change.py) |
| no permission | at own topics: refused, exit 2; else told, held, and on when granted (test_users.py) |
| a prefix that another consumer group uses | refused, exit 2, before any topic is made under it (test_run_process.py) |
| framed Avro, and no registry configured | refused, exit 2, with the topics |
| a librdkafka property that there is none of, or a value it does not take | refused, exit 2, with its line (test_run_process.py) |
"""  # noqa: E501 - the rows of a table

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from connector.cli.exits import Exit
from deploy.testbed import KafkaCluster
from tests.support.checker import Rule
from tests.support.connector_process import (
    SIGNATURE,
    ConnectorProcess,
    settings_for,
    subscription,
    write_subscriptions,
)
from tests.support.judging import assert_nothing_lost
from tests.support.names import Names
from tests.support.receiver import Behaviour, Receiver
from tests.support.waiting import wait_until

NOWHERE = "http://127.0.0.1:9/"
TYPO = """\
subscriptions:
  - id: partner
    url: http://127.0.0.1:9/
    event: ["*"]
    dialect: webhooks-v1
    secrets: {current: a-secret-of-sixteen-bytes}
"""


def refused(settings: dict[str, Any], folder: Path, *flags: str) -> str:
    """What a connector says that refuses to start."""
    with ConnectorProcess(settings, folder, *flags) as connector:
        assert connector.wait(30) == Exit.USAGE
        return connector.log()


@pytest.mark.parametrize(
    ("file", "where", "cure"),
    [
        (TYPO, "subscriptions.yaml:4:5", "event: there is no such key; did you mean events?"),
        ("", "subscriptions.yaml", "no subscriptions, so every event would be passed over; add one"),
    ],
    ids=["typo", "empty"],
)
def test_a_subscriptions_file_that_is_wrong_refuses_the_start(
    kafka: KafkaCluster, names: Names, tmp_path: Path, file: str, where: str, cure: str
) -> None:
    (tmp_path / "subscriptions.yaml").write_text(file)
    topics = [{"name": names.topic(), "format": "json"}]

    said = refused(
        settings_for(names, tmp_path, bootstrap_servers=kafka.bootstrap_servers, topics=topics), tmp_path
    )
    assert where in said
    assert cure in said


def test_own_topics_that_would_lose_deliveries_refuse_the_start(
    kafka: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    write_subscriptions(tmp_path, [subscription("partner", NOWHERE, ladder=["1s"])])
    tier = f"{names.prefix}.retry.1s"
    topics = [{"name": names.topic(), "format": "json"}]

    def settings(**own: object) -> dict[str, Any]:
        return settings_for(
            names, tmp_path, bootstrap_servers=kafka.bootstrap_servers, topics=topics, own_topics=own
        )

    said = refused(settings(allow_single_replica=True, create=False), tmp_path)
    assert f"topic {tier}: it does not exist. Mend it with: kafka-topics.sh" in said

    said = refused(settings(), tmp_path)
    assert "3 replicas, and the cluster has 1 broker(s). Mend it with: more brokers, or --allow" in said

    kafka.create_topic(tier, max_message_bytes=1_000_000, cleanup_policy="compact", retention_ms=3_600_000)
    said = refused(settings(allow_single_replica=True), tmp_path)
    for setting in (
        "cleanup.policy=delete",
        "message.timestamp.type=LogAppendTime",
        "retention.ms=604800000",
        "max.message.bytes=2097152",
    ):
        assert f"--entity-name {tier} --add-config {setting}" in said


def test_a_subscriptions_file_in_doubt_holds_reading_and_loses_nothing(
    kafka: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    topic = names.topic()
    kafka.create_topic(topic)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    produced = 0

    def produce() -> None:
        nonlocal produced
        for _ in range(10):
            producer.produce(topic, json.dumps({"id": f"e{produced}"}))
            produced += 1
        assert producer.flush(30) == 0

    with Receiver() as receiver:
        paths = ("/sound", "/flaky", "/third")
        receiver.behave("/flaky", Behaviour(fails_first=1))
        for path in paths:
            receiver.check(path, SIGNATURE)
        sound = [subscription(path[1:], receiver.url(path)) for path in paths]
        write_subscriptions(tmp_path, sound)
        settings = settings_for(
            names,
            tmp_path,
            bootstrap_servers=kafka.bootstrap_servers,
            topics=[{"name": topic, "format": "json", "id": {"field": "id"}}],
            delivery={"breaker": {"failures_to_open": 0}},  # each event fails once, and waits for no breaker
        )

        def all_arrives() -> None:
            for path in paths:
                wait_until(lambda p=path: receiver.counts(p).accepted == produced, f"all arrives at {path}")

        with ConnectorProcess(settings, tmp_path) as connector:
            connector.await_ready()
            for text, cure in (
                (TYPO, "subscriptions.yaml:4"),
                ("", "3 of 3 subscriptions would be removed; put them back"),
                (json.dumps({"subscriptions": sound[:1]}), "confirm by restarting with --allow-shrink"),
            ):
                produce()
                wait_until(lambda: receiver.counts("/flaky").ids == produced, "retries wait in a tier")
                (tmp_path / "subscriptions.yaml").write_text(text)
                connector.ask_to_reload()
                wait_until(lambda: connector.metric("subscriptions_in_doubt") == 1, "the file is in doubt")
                assert cure in connector.said("subscriptions in doubt: reading holds")[-1]["why"]
                assert connector.metric("subscriptions") == 3
                assert connector.is_ready
                before = produced
                produce()
                wait_until(lambda b=before: receiver.counts("/flaky").accepted == b, "retries go on")
                assert receiver.counts("/sound").ids == before

                write_subscriptions(tmp_path, sound)
                connector.ask_to_reload()
                all_arrives()
                assert connector.metric("subscriptions_in_doubt") == 0
            assert connector.stop() == 0

        verdict = assert_nothing_lost(
            kafka.bootstrap_servers,
            names,
            receiver,
            topics=[topic],
            rules=[Rule.at(path) for path in paths],
        )
        assert (verdict.accepted, verdict.duplicates) == (3 * produced, 0)


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_without_a_registry_framed_topics_refuse_the_start(
    kafka: KafkaCluster, names: Names, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    topics = [{"name": names.topic()}, {"pattern": "user[.].*"}, {"name": names.topic("a"), "format": "json"}]
    write_subscriptions(tmp_path, [subscription("partner", NOWHERE)])

    said = refused(
        settings_for(names, tmp_path, bootstrap_servers=kafka.bootstrap_servers, topics=topics),
        tmp_path,
        *flags,
    )
    assert f"schema registry, and none is set for {names.topic()}, user[.].*: set registry.urls" in said
    assert "Traceback" not in said
