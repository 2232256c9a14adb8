"""The test bed itself: what it starts serves, survives what tests do to it, and ends with its owner."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from deploy.testbed import KafkaCluster, Registry, TestbedError
from tests.support.names import Names
from tests.support.waiting import wait_until

_ROOT = Path(__file__).parents[2]


def test_a_node_killed_and_started_again_still_has_its_records(kafka3: KafkaCluster, names: Names) -> None:
    topic = names.topic()
    kafka3.create_topic(topic, partitions=3)
    producer = Producer({"bootstrap.servers": kafka3.bootstrap_servers, "acks": "all"})
    for number in range(30):
        producer.produce(topic, f"{number}".encode(), partition=number % 3)
    assert producer.flush(30) == 0

    for node in kafka3.nodes:
        node.kill()
    for node in kafka3.nodes:
        node.launch()
    kafka3.mend()

    assert _values(kafka3, topic, count=30) == {f"{number}".encode() for number in range(30)}


def test_a_frozen_node_thaws_and_a_mended_cluster_has_all_nodes(kafka3: KafkaCluster) -> None:
    kafka3.nodes[0].pause()
    kafka3.nodes[1].kill()

    kafka3.mend()

    assert [node.is_running for node in kafka3.nodes] == [True, True, True]
    assert len(kafka3.admin().list_topics(timeout=10).brokers) == 3


def test_a_topic_is_created_once_with_its_settings(kafka: KafkaCluster, names: Names) -> None:
    topic = names.topic()
    kafka.create_topic(topic, partitions=4, retention_ms=1000)

    with pytest.raises(TestbedError, match="already exists"):
        kafka.create_topic(topic)

    assert len(kafka.admin().list_topics(topic, timeout=10).topics[topic].partitions) == 4
    assert kafka.topic_settings(topic)["retention.ms"] == "1000"


def test_the_registry_keeps_its_ids_over_a_kill(registry: Registry) -> None:
    schema = json.dumps({"type": "record", "name": "Kept", "fields": []})
    id_before = _call(registry, "/subjects/kept-value/versions", {"schema": schema})["id"]

    registry.kill()
    registry.start()

    assert json.loads(_call(registry, f"/schemas/ids/{id_before}")["schema"])["name"] == "Kept"


def test_the_registry_says_that_an_id_does_not_exist_as_confluents_does(registry: Registry) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        _call(registry, "/schemas/ids/987654")

    with refusal.value as answer:
        assert answer.code == 404
        assert json.load(answer)["error_code"] == 40403


@pytest.mark.kafka
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_owner_of_a_cluster(number: signal.Signals, tmp_path: Path) -> None:
    with _up(tmp_path) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline().startswith("bootstrap: 127.0.0.1:")
        (folder,) = tmp_path.glob("testbed-kafka-*")
        assert _running_from(folder)

        os.kill(owner.pid, number)
        owner.wait(20)

    wait_until(lambda: not folder.exists(), "the folder is removed")
    wait_until(lambda: not _running_from(folder), "the node has ended")


@pytest.mark.kafka
def test_run_gives_the_command_its_addresses_and_returns_its_code() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.testbed", "run", "--", "bash", "-c", "echo {bootstrap}; exit 7"],
        cwd=_ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 7
    assert done.stdout.startswith("127.0.0.1:")


def test_without_maven_the_message_names_the_package(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.testbed", "fetch"],
        cwd=_ROOT, capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": str(tmp_path), "TESTBED_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip

    assert done.returncode == 1
    assert "apt-get install maven" in done.stderr


def _up(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.testbed", "up"],
        cwd=_ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(folder)},
    )  # fmt: skip


def _running_from(folder: Path) -> list[str]:
    """Processes whose command line names the folder. One that ended has no command line any more."""
    found = []
    for command_line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in command_line.read_bytes():
                found.append(command_line.parent.name)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _values(cluster: KafkaCluster, topic: str, *, count: int) -> set[bytes]:
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "group.id": f"{topic}.check",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.subscribe([topic])
        return {message.value() for message in consumer.consume(count, timeout=30)}
    finally:
        consumer.close()


def _call(registry: Registry, path: str, body: dict[str, str] | None = None) -> dict[str, object]:
    request = urllib.request.Request(
        registry.url + path,
        data=json.dumps(body).encode() if body else None,
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        answer: dict[str, object] = json.load(reply)
    return answer
