"""A cluster that asks who is there: properties pass through, and a right that is missing is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AclOperation, ResourceType

from connector.cli.exits import Exit
from deploy.testbed import KafkaCluster
from deploy.testbed.kafka import PASSWORD, USER
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

EVENTS = 20
REFUSED = "Authentication failed: Invalid username or password"
TOPIC = ResourceType.TOPIC
DESCRIBE, READ, WRITE = AclOperation.DESCRIBE, AclOperation.READ, AclOperation.WRITE


def test_each_right_that_is_missing_is_named_and_nothing_is_lost_until_it_is_there(
    kafka: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    topic = names.topic()
    kafka.create_topic(topic)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for number in range(EVENTS):
        producer.produce(topic, json.dumps({"id": f"e{number}"}))
    assert producer.flush(30) == 0
    own = f"{names.prefix}."
    with Receiver() as receiver:
        receiver.behave("/", Behaviour(fails_first=1))
        receiver.check("/", SIGNATURE)
        write_subscriptions(tmp_path, [subscription("flaky", receiver.url("/"), ladder=["1s"])])
        connector = ConnectorProcess(settings(kafka, names, tmp_path), tmp_path)

        def says(what: str) -> None:
            wait_until(lambda: what in connector.log(), f"it says: {what}")

        # Its own topics cannot even be looked at: no start.
        with connector:
            assert connector.wait(30) == Exit.USAGE
        reach = f"--bootstrap-server {kafka.user_bootstrap_servers} --command-config client.properties"
        for name in ("retry.1s", "dead-letters", "parked", "sources", "shared", "operator-events"):
            says(f"topic {own}{name}: this user may not see it. Mend it with: kafka-acls.sh {reach} --add")
        assert connector.log().count("security.protocol=SASL_PLAINTEXT") == 1
        assert PASSWORD not in connector.log()

        # They can be made, but not written; events cannot be read, the group cannot be joined: it waits.
        kafka.allow(DESCRIBE, AclOperation.DESCRIBE_CONFIGS, AclOperation.CREATE, READ, on=TOPIC, prefix=own)
        with connector:
            says(f"topic {topic} may not be read by this user: grant READ and DESCRIBE on it")
            says(f"group {names.group}.retry may not be joined by this user: grant READ on it")
            says("Grant this user WRITE on the connector's own topics")
            kafka.allow(READ, on=ResourceType.GROUP, prefix=names.group)
            says(f"topic {own}sources: Broker: Topic authorization failed")
            assert not connector.is_ready

            # Events can be read, but retries cannot be written: reading stops.
            kafka.allow(READ, on=TOPIC, prefix=topic)
            kafka.allow(WRITE, on=TOPIC, prefix=f"{own}sources")
            wait_until(lambda: connector.metric("own_topics_blocked") == 1, "it cannot write")
            assert "cannot write its own topics" in connector.get("/readyz")[1]
            assert connector.metric("records_settled_total") == 0

            kafka.allow(WRITE, on=TOPIC, prefix=own)
            wait_until(lambda: receiver.counts("/").accepted == EVENTS, "all arrives")
            connector.await_ready()
            assert connector.metric("own_topics_blocked") == 0
            assert connector.stop() == 0

        verdict = assert_nothing_lost(
            kafka.bootstrap_servers,
            names,
            receiver,
            topics=[topic],
            rules=[Rule(subscription="flaky", path="/")],
        )
        assert (verdict.accepted, verdict.duplicates) == (EVENTS, 0)


def test_a_wrong_password_is_said_and_never_shown(kafka: KafkaCluster, names: Names, tmp_path: Path) -> None:
    write_subscriptions(tmp_path, [subscription("one", "http://127.0.0.1:9/")])
    wrong = settings(kafka, names, tmp_path, password="the-wrong-one")
    with ConnectorProcess(wrong, tmp_path) as connector:
        wait_until(lambda: REFUSED in connector.get("/readyz")[1], "the reason is there")

        assert connector.get("/readyz")[0] == 503
        assert REFUSED in connector.log()
        assert "the-wrong-one" not in connector.log()
        assert connector.stop() == 0


def settings(kafka: KafkaCluster, names: Names, folder: Path, *, password: str = PASSWORD) -> dict[str, Any]:
    found = settings_for(
        names,
        folder,
        bootstrap_servers=kafka.user_bootstrap_servers,
        topics=[{"name": names.topic(), "format": "json", "id": {"field": "id"}}],
        delivery={"breaker": {"failures_to_open": 0}},  # each event fails once, and waits for no breaker
    )
    found["kafka"]["properties"] = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": USER,
        "sasl.password": password,
    }
    return found
