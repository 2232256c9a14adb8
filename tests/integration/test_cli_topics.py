"""``topics create`` and ``topics check`` against a real Kafka, which can do both."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from connector.cli.main import main
from deploy.testbed import KafkaCluster
from deploy.testbed.kafka import PASSWORD, USER
from tests.support.names import Names
from tests.support.waiting import wait_until

Topics = Callable[..., tuple[int, Any]]


@pytest.fixture
def topics(
    kafka: KafkaCluster,
    names: Names,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Topics:
    """Runs ``topics ACTION --json`` for a connector with one subscription; exit code and result."""
    monkeypatch.chdir(tmp_path)
    one = {
        "id": "partner",
        "url": "https://partner.example/hook",
        "events": ["*"],
        "dialect": "notify",
        "ladder": ["30s"],
        "secrets": {"current": "correct-horse"},
    }
    (tmp_path / "subscriptions.yaml").write_text(json.dumps({"subscriptions": [one]}))
    kafka.create_topic(names.topic(), partitions=3)

    def run(action: str, *words: str) -> tuple[int, Any]:
        where = ("--bootstrap-servers", kafka.bootstrap_servers, "--prefix", names.prefix)
        code = main(["topics", action, "--json", *where, "--topic", names.topic(), *words])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_create_makes_what_is_missing_and_check_is_then_content(topics: Topics, names: Names) -> None:
    assert topics("create", "--allow-single-replica") == (
        0,
        {
            "created": [
                f"{names.prefix}.retry.30s",
                f"{names.prefix}.dead-letters",
                f"{names.prefix}.parked",
                f"{names.prefix}.operator-events",
                f"{names.prefix}.sources",
                f"{names.prefix}.shared",
            ],
            "problems": [],
            "tool_login": "",
        },
    )
    nothing = {"problems": [], "tool_login": ""}
    assert topics("create", "--allow-single-replica") == (0, {"created": [], **nothing})
    assert topics("check", "--allow-single-replica") == (0, nothing)

    code, found = topics("list")

    assert code == 0
    (source,) = found["sources"]
    assert (source["partitions"], source["format"], source["absence"]) == (3, "confluent", "")
    assert len(source["id"]) == 22
    assert {each["name"]: each["partitions"] for each in found["own"]} == {
        f"{names.prefix}.retry.30s": 6,
        f"{names.prefix}.dead-letters": 6,
        f"{names.prefix}.parked": 6,
        f"{names.prefix}.operator-events": 1,
        f"{names.prefix}.sources": 1,
        f"{names.prefix}.shared": 1,
    }


def test_what_the_settings_say_of_own_topics_is_what_they_are_created_with(
    topics: Topics, kafka: KafkaCluster, names: Names
) -> None:
    own = (
        "max_message_bytes=3000000",
        "tier_retention_min_ms=700000000",
        "dead_letters_retention_ms=90000000",
    )
    flags = [word for each in own for word in ("--set", f"own_topics.{each}")]
    few = ("--allow-single-replica", "--set", "own_topics.partitions=2")

    assert topics("create", *few, *flags)[0] == 0

    tier = kafka.topic_settings(f"{names.prefix}.retry.30s")
    dead_letters = kafka.topic_settings(f"{names.prefix}.dead-letters")
    assert (tier["retention.ms"], tier["max.message.bytes"]) == ("700000000", "3000000")
    assert tier["message.timestamp.type"] == "LogAppendTime"
    assert dead_letters["retention.ms"] == "90000000"
    assert topics("check", *few, *flags) == (0, {"problems": [], "tool_login": ""})


def test_one_broker_needs_as_many_replicas_as_are_set(topics: Topics) -> None:
    code, result = topics("create", "--set", "own_topics.replication_factor=5")

    assert code == 1
    what = result["problems"][0]["what"]
    assert what == "it does not exist, it needs 5 replicas, and the cluster has 1 broker(s)"


def test_one_broker_is_too_few_unless_told_that_loss_may_be(topics: Topics) -> None:
    code, result = topics("create")

    assert code == 1
    assert result["created"] == []
    assert [problem["what"] for problem in result["problems"]] == [
        "it does not exist, it needs 3 replicas, and the cluster has 1 broker(s)"
    ] * 6
    assert "--allow-single-replica" in result["problems"][0]["cure"]


def test_a_name_that_the_cluster_will_not_have_is_a_problem_and_not_an_outage(
    topics: Topics, kafka: KafkaCluster, names: Names
) -> None:
    kafka.create_topic(f"{names.prefix}_parked")  # Kafka takes '.' and '_' for the same in metrics

    code, result = topics("create", "--allow-single-replica")

    assert code == 1
    assert len(result["created"]) == 5
    (problem,) = result["problems"]
    assert "collides with" in problem["what"]
    assert "another prefix" in problem["cure"]


def test_check_names_each_wrong_setting_with_the_command_that_mends_it(
    topics: Topics, kafka: KafkaCluster, names: Names
) -> None:
    topics("create", "--allow-single-replica")
    tier = f"{names.prefix}.retry.30s"
    _configure(kafka, tier, {"cleanup.policy": "compact", "retention.ms": "60000"})
    gone = {f"{names.prefix}.parked", names.topic()}
    for topic in gone:
        kafka.delete_topic(topic)
    wait_until(
        lambda: gone.isdisjoint(kafka.admin().list_topics(timeout=10).topics), "the topics are gone for all"
    )

    code, result = topics("check", "--allow-single-replica")

    assert code == 1
    cures = {
        (problem["topic"], problem["what"].split(" ")[0]): problem["cure"] for problem in result["problems"]
    }
    assert cures.keys() == {
        (names.topic(), "it"),
        (tier, "cleanup.policy"),
        (tier, "retention.ms"),
        (f"{names.prefix}.parked", "it"),
    }
    assert cures[tier, "retention.ms"] == (
        f"kafka-configs.sh --bootstrap-server {kafka.bootstrap_servers} --alter --entity-type topics "
        f"--entity-name {tier} --add-config retention.ms=604800000"
    )


@pytest.mark.parametrize("command", ["topics check", "doctor"])
def test_where_a_cluster_asks_for_a_login_the_commands_name_a_file_and_it_is_said_once_what_it_holds(
    topics: Topics, kafka: KafkaCluster, names: Names, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    login = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": USER,
        "sasl.password": PASSWORD,
    }
    where = ["--bootstrap-servers", kafka.user_bootstrap_servers, "--prefix", names.prefix]
    what = ["--topic", names.topic(), "--set", "own_topics.create=false"]
    how = [word for name, value in login.items() for word in ("--set", f"kafka.properties.{name}={value}")]

    code = main([*command.split(), *where, *what, *how])
    said = capsys.readouterr().out

    assert code == 1
    commands = re.findall(r"kafka-[a-z]+\.sh (--bootstrap-server \S+ --command-config \S+)", said)
    reach = f"--bootstrap-server {kafka.user_bootstrap_servers} --command-config client.properties"
    assert set(commands) == {reach}
    assert said.count("client.properties lets a user who may do this in at") == 1
    assert said.count("  sasl.mechanism=PLAIN\n") == 1
    assert USER not in said
    assert PASSWORD not in said


def _configure(kafka: KafkaCluster, topic: str, settings: dict[str, str]) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    wanted = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=wanted)
    admin.incremental_alter_configs([resource])[resource].result(10)
