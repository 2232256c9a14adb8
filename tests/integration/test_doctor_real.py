"""The doctor at a real Kafka: what only a real one can say (permissions, groups, retention)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AclOperation, ResourceType

from connector.cli.main import main
from deploy.testbed import KafkaCluster, Registry
from deploy.testbed.kafka import PASSWORD, USER
from tests.support.names import Names

Doctor = Callable[..., tuple[int, dict[str, list[dict[str, str]]]]]


@pytest.fixture
def doctor(kafka: KafkaCluster, names: Names, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Runs ``doctor --json`` for a connector with one subscription; exit code, and findings by subject."""
    one = {
        "id": "partner",
        "url": "https://partner.example/hook",
        "events": ["*"],
        "dialect": "notify",
        "ladder": ["30s"],
        "secrets": {"current": "correct-horse"},
    }
    (tmp_path / "subscriptions.yaml").write_text(json.dumps({"subscriptions": [one]}))

    def run(command: str = "doctor --json", **more: Any) -> tuple[int, dict[str, list[dict[str, str]]]]:
        settings = {
            "kafka": {"bootstrap_servers": kafka.bootstrap_servers},
            "group": names.group,
            "prefix": names.prefix,
            "topics": [{"name": names.topic(), "format": "json"}],
            "subscriptions_file": str(tmp_path / "subscriptions.yaml"),
            "own_topics": {"allow_single_replica": True},
            **more,
        }
        (tmp_path / "settings.yaml").write_text(json.dumps(settings))
        code = main([*command.split(), "--config", str(tmp_path / "settings.yaml")])
        found: dict[str, list[dict[str, str]]] = {}
        out = capsys.readouterr().out
        for finding in json.loads(out).get("findings", ()):
            found.setdefault(finding.pop("subject"), []).append(finding)
        return code, found

    return run


def test_a_connector_ready_to_start_has_nothing_to_mend(
    doctor: Doctor, kafka: KafkaCluster, registry: Registry, names: Names
) -> None:
    kafka.create_topic(names.topic(), partitions=3)
    assert doctor("topics create --json")[0] == 0

    code, found = doctor(start="latest", registry={"urls": [registry.url]})

    assert found["group"][0]["text"] == f"{names.group} does not exist yet"

    assert code == 0
    assert {
        subject: [each["verdict"] for each in found[subject]] for subject in found if subject != "clock"
    } == {
        "open files": ["ok"],
        "group timing": ["ok"],
        "subscriptions": ["ok"],
        "Kafka": ["ok"],
        "source topics": ["ok"],
        "own topics": ["ok"],
        "prefix": ["ok"],
        "group": ["ok"],
        "start": ["ok"],
        "schema registry": ["ok"],
    }
    assert found["own topics"][0]["text"] == "6 of 6 exist"


def test_it_creates_and_joins_nothing(doctor: Doctor, kafka: KafkaCluster, names: Names) -> None:
    kafka.create_topic(names.topic())

    code, found = doctor()

    assert code == 1
    assert [each["verdict"] for each in found["own topics"]] == ["warning"] * 6
    admin = kafka.admin()
    assert [name for name in admin.list_topics(timeout=10).topics if name.startswith(names.prefix)] == []
    groups = admin.list_consumer_groups(request_timeout=10).result().valid
    assert [group.group_id for group in groups if group.group_id.startswith(names.stem)] == []


def test_a_group_that_has_begun_every_topic_needs_no_start(
    doctor: Doctor, kafka: KafkaCluster, names: Names
) -> None:
    kafka.create_topic(names.topic(), partitions=2)
    assert doctor()[1]["start"][0]["verdict"] == "problem"
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": names.group})
    consumer.commit(
        offsets=[TopicPartition(names.topic(), 0, 0), TopicPartition(names.topic(), 1, 0)], asynchronous=False
    )
    consumer.close()

    _, found = doctor()

    assert found["start"][0]["text"] == "not set, and not needed: every topic has been begun"
    assert found["group"][0]["text"] == f"{names.group} is empty, 0 member(s)"


def test_records_deleted_within_a_day_are_warned_of(
    doctor: Doctor, kafka: KafkaCluster, names: Names
) -> None:
    kafka.create_topic(names.topic(), retention_ms=3_600_000)

    _, found = doctor(start="latest")

    assert [each["verdict"] for each in found["source topics"]] == ["ok", "warning"]
    assert f"{names.topic()} (3600000 ms)" in found["source topics"][1]["text"]


def test_what_this_user_may_not_do_is_named_with_the_acl_that_allows_it(
    doctor: Doctor, kafka: KafkaCluster, names: Names
) -> None:
    kafka.create_topic(names.topic())
    assert doctor("topics create --json")[0] == 0
    topic, group = ResourceType.TOPIC, ResourceType.GROUP
    kafka.allow(AclOperation.DESCRIBE, on=topic, prefix=names.stem)
    kafka.allow(AclOperation.DESCRIBE_CONFIGS, AclOperation.READ, on=topic, prefix=names.prefix)
    kafka.allow(AclOperation.DESCRIBE, on=group, prefix=names.group)
    login = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": USER,
        "sasl.password": PASSWORD,
    }

    code, found = doctor(
        start="latest", kafka={"bootstrap_servers": kafka.user_bootstrap_servers, "properties": login}
    )

    assert code == 1
    denied = {each["text"]: each["cure"] for each in found["permissions"]}
    assert denied.keys() == {
        f"{names.topic()}: this user may not read it",
        f"{names.prefix}.retry.30s: this user may not write it",
        f"{names.prefix}.dead-letters: this user may not write it",
        f"{names.prefix}.parked: this user may not write it",
        f"{names.prefix}.operator-events: this user may not write it",
        f"{names.prefix}.sources: this user may not write it",
        f"{names.prefix}.shared: this user may not write it",
    }
    assert denied[f"{names.topic()}: this user may not read it"] == (
        f"kafka-acls.sh --bootstrap-server {kafka.user_bootstrap_servers} --command-config client.properties "
        f"--add --allow-principal User:<user> --operation Read --topic {names.topic()}"
    )
