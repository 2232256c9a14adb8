"""``webhook-connector run`` as operators meet it: signals, reloads, probes, refusals and exit codes."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from connector.core.start import Entry, encode_key, encode_value
from deploy.testbed import KafkaCluster
from tests.support.avro_records import framed
from tests.support.connector_process import (
    ConnectorProcess,
    settings_for,
    subscription,
    write_subscriptions,
)
from tests.support.names import Names
from tests.support.receiver import Behaviour, Receiver
from tests.support.waiting import wait_until

HOLDS = "subscriptions in doubt: reading holds"

Settings = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def shared_receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def receiver(shared_receiver: Receiver) -> Receiver:
    shared_receiver.forget()
    return shared_receiver


@pytest.fixture
def settings(kafka: KafkaCluster, names: Names, tmp_path: Path) -> Settings:
    """Settings for one topic of JSON events that have an id of their own; ``more`` replaces or adds."""

    def make(**more: Any) -> dict[str, Any]:
        topics = [{"name": names.topic(), "format": "json", "id": {"field": "id"}}]
        return settings_for(names, tmp_path, bootstrap_servers=kafka.bootstrap_servers, topics=topics) | more

    return make


def produce(kafka: KafkaCluster, topic: str, *ids: str) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 0})
    for id_ in ids:
        producer.produce(topic, json.dumps({"id": id_}).encode())
    assert producer.flush(20) == 0


def remember(kafka: KafkaCluster, sources: str, topic: str, *groups: str) -> None:
    """Entries of other groups in a sources topic."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 0})
    for group in groups:
        entry = Entry(group=group, topic=topic, topic_id="", partition=0, started=0, partitions=1)
        producer.produce(sources, key=encode_key(entry), value=encode_value(entry))
    assert producer.flush(20) == 0


def committed(kafka: KafkaCluster, names: Names) -> int:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": names.group})
    (found,) = consumer.committed([TopicPartition(names.topic(), 0)], timeout=10)
    consumer.close()
    return int(found.offset)


def accepted(receiver: Receiver, path: str) -> set[str]:
    return {id_ for id_, seen in receiver.seen(path).items() if seen.accepted}


# ── probes and signals ──────────────────────────────────────────────────────────────────────────


def test_it_is_alive_then_ready_and_counts_what_it_does(
    kafka: KafkaCluster, names: Names, receiver: Receiver, settings: Settings, tmp_path: Path
) -> None:
    kafka.create_topic(names.topic())
    write_subscriptions(tmp_path, [subscription("one", receiver.url("/sound"))])
    with ConnectorProcess(settings(), tmp_path) as connector:
        assert connector.get("/healthz") == (200, '{"alive":true}')
        connector.await_ready()
        produce(kafka, names.topic(), "e1", "e2", "e3")
        wait_until(lambda: accepted(receiver, "/sound") == {"e1", "e2", "e3"}, "three events arrive")

        status, metrics = connector.get("/metrics")

        assert status == 200
        assert "\nwebhook_connector_ready 1.0\n" in metrics
        assert connector.get("/nothing")[0] == 404


def test_a_stop_finishes_what_is_in_flight_and_commits_it(
    kafka: KafkaCluster, names: Names, receiver: Receiver, settings: Settings, tmp_path: Path
) -> None:
    kafka.create_topic(names.topic())
    receiver.behave("/slow", Behaviour(delay_ms=700))
    write_subscriptions(tmp_path, [subscription("one", receiver.url("/slow"))])
    with ConnectorProcess(settings(), tmp_path) as connector:
        connector.await_ready()
        produce(kafka, names.topic(), "e1", "e2", "e3")
        wait_until(lambda: receiver.counts("/slow").requests == 3, "three requests are under way")

        assert connector.stop() == 0

        assert connector.said("asked to stop: draining")
        assert connector.said("stopped")
    assert accepted(receiver, "/slow") == {"e1", "e2", "e3"}
    assert committed(kafka, names) == 3


def test_a_second_signal_ends_a_drain_that_waits_for_a_hanging_endpoint(
    kafka: KafkaCluster, names: Names, receiver: Receiver, settings: Settings, tmp_path: Path
) -> None:
    kafka.create_topic(names.topic())
    receiver.behave("/hangs", Behaviour(hangs=True))
    write_subscriptions(tmp_path, [subscription("one", receiver.url("/hangs"))])
    with ConnectorProcess(settings(), tmp_path) as connector:
        connector.await_ready()
        produce(kafka, names.topic(), "e1")
        wait_until(lambda: receiver.counts("/hangs").requests == 1, "the request is under way")
        connector.ask_to_stop()
        wait_until(lambda: bool(connector.said("asked to stop: draining")), "it drains")
        assert connector.get("/readyz")[0] in (503, 0)

        connector.ask_to_stop()
        hurried_at = time.monotonic()

        assert connector.wait(20) == 0
        assert time.monotonic() - hurried_at < 10
        assert connector.said("asked to stop again: hurrying")

    # Nothing is lost: it waits in a tier, or its offset is not committed.
    receiver.behave("/hangs", Behaviour())
    with ConnectorProcess(settings(), tmp_path):
        wait_until(lambda: accepted(receiver, "/hangs") == {"e1"}, "the event arrives after a restart")


# ── the subscriptions file ──────────────────────────────────────────────────────────────────────


def test_sighup_reads_the_subscriptions_at_once(
    kafka: KafkaCluster, names: Names, receiver: Receiver, settings: Settings, tmp_path: Path
) -> None:
    kafka.create_topic(names.topic())
    write_subscriptions(tmp_path, [subscription("one", receiver.url("/one"))])
    with ConnectorProcess(settings(), tmp_path) as connector:
        connector.await_ready()

        connector.ask_to_reload()

        wait_until(lambda: bool(connector.said("subscriptions read")), "it has read the file again")
        assert connector.said("subscriptions read")[0]["changes"] == "0 added, 0 changed, 0 removed"


def test_the_swap_of_a_config_maps_link_brings_its_subscriptions_into_force(
    kafka: KafkaCluster, names: Names, receiver: Receiver, settings: Settings, tmp_path: Path
) -> None:
    kafka.create_topic(names.topic())
    mounted = tmp_path / "mounted"
    for version, ids in (("..1", ["one"]), ("..2", ["one", "two"])):
        (mounted / version).mkdir(parents=True)
        write_subscriptions(mounted / version, [subscription(id_, receiver.url(f"/{id_}")) for id_ in ids])
    (mounted / "..data").symlink_to("..1")
    (mounted / "subscriptions.yaml").symlink_to("..data/subscriptions.yaml")
    made = settings(subscriptions_file=str(mounted / "subscriptions.yaml"))
    with ConnectorProcess(made, tmp_path) as connector:
        connector.await_ready()

        (mounted / "..data_tmp").symlink_to("..2")
        os.replace(mounted / "..data_tmp", mounted / "..data")

        wait_until(lambda: bool(connector.said("subscriptions read")), "it has read the new version")
        assert connector.said("subscriptions read")[0]["changes"] == "1 added, 0 changed, 0 removed"

        # It is in force when the followers have looked: what is read from then on goes to both.
        def one_more_arrives() -> bool:
            produce(kafka, names.topic(), f"e{time.monotonic_ns()}")
            return bool(accepted(receiver, "/two"))

        wait_until(one_more_arrives, "the new subscription gets events")


def test_a_broken_file_holds_reading_and_what_was_in_force_stays(
    kafka: KafkaCluster, names: Names, receiver: Receiver, settings: Settings, tmp_path: Path
) -> None:
    kafka.create_topic(names.topic())
    one, two = (subscription(id_, receiver.url(f"/{id_}")) for id_ in ("one", "two"))
    write_subscriptions(tmp_path, [one])
    with ConnectorProcess(settings(), tmp_path) as connector:
        connector.await_ready()
        produce(kafka, names.topic(), "before")
        wait_until(lambda: accepted(receiver, "/one") == {"before"}, "events arrive")

        (tmp_path / "subscriptions.yaml").write_text("subscriptions:\n- id: one\n  url: [nonsense\n")
        wait_until(lambda: bool(connector.said(HOLDS)), "it says that it holds")
        produce(kafka, names.topic(), "during")
        (said,) = connector.said(HOLDS)
        assert f"{tmp_path}/subscriptions.yaml:" in said["why"]
        assert "stay in force" in said["why"]
        assert connector.is_ready  # a roll-out with the cure must not be stopped
        write_subscriptions(tmp_path, [one, two])

        # What came while the file was in doubt waited for the mended one, so the new subscription has it.
        wait_until(lambda: accepted(receiver, "/two") == {"during"}, "what was held goes to the new view")
        wait_until(lambda: accepted(receiver, "/one") == {"before", "during"}, "and to the old one")
        assert connector.stop() == 0


# ── refusals ────────────────────────────────────────────────────────────────────────────────────


def refused(connector: ConnectorProcess) -> tuple[int, str]:
    with connector:
        return connector.wait(30), connector.log()


def test_a_port_in_use_is_refused(receiver: Receiver, settings: Settings, tmp_path: Path) -> None:
    write_subscriptions(tmp_path, [subscription("one", receiver.url("/"))])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        made = settings(http={"host": "127.0.0.1", "port": port})

        code, log = refused(ConnectorProcess(made, tmp_path))

    assert code == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use; free the port" in log


def test_a_topic_never_begun_without_a_start_setting_is_refused(
    kafka: KafkaCluster, names: Names, receiver: Receiver, settings: Settings, tmp_path: Path
) -> None:
    kafka.create_topic(names.topic())
    write_subscriptions(tmp_path, [subscription("one", receiver.url("/"))])
    made = settings()
    del made["start"]

    code, log = refused(ConnectorProcess(made, tmp_path))

    assert code == 2
    assert f"group {names.group} has never read {names.topic()}. Say where to begin with start:" in log
    assert "Traceback" not in log


def test_a_prefix_that_another_group_uses_is_refused_once_and_nothing_is_made_under_it(
    kafka: KafkaCluster, names: Names, receiver: Receiver, settings: Settings, tmp_path: Path
) -> None:
    sources = f"{names.prefix}.sources"
    kafka.create_topic(names.topic())
    kafka.create_topic(sources, cleanup_policy="compact")
    remember(kafka, sources, names.topic(), "theirs", "theirs.retry")
    write_subscriptions(tmp_path, [subscription("one", receiver.url("/"))])

    code, log = refused(ConnectorProcess(settings(), tmp_path))

    assert code == 2
    assert log.count("another connector") == 1
    assert f"prefix {names.prefix} belongs to another connector, of group theirs: two" in log
    assert f"set a prefix of its own for group {names.group}, or, for one more worker there, its group" in log
    topics = kafka.admin().list_topics(timeout=10).topics
    assert [name for name in topics if name.startswith(names.prefix)] == [sources]


def test_missing_own_topics_that_may_not_be_created_are_refused_with_the_commands(
    names: Names, receiver: Receiver, settings: Settings, tmp_path: Path
) -> None:
    write_subscriptions(tmp_path, [subscription("one", receiver.url("/"), ladder=["30s"])])
    made = settings(own_topics={"create": False, "allow_single_replica": True})

    code, log = refused(ConnectorProcess(made, tmp_path))

    assert code == 2
    for name in ("retry.30s", "dead-letters", "parked", "sources", "shared", "operator-events"):
        topic = f"{names.prefix}.{name}"
        assert f"topic {topic}: it does not exist. Mend it with: kafka-topics.sh" in log
        assert f"--create --topic {topic} " in log


def test_one_broker_without_a_word_that_loss_may_be_is_refused(
    receiver: Receiver, settings: Settings, tmp_path: Path
) -> None:
    write_subscriptions(tmp_path, [subscription("one", receiver.url("/"))])

    code, log = refused(ConnectorProcess(settings(own_topics={}), tmp_path))

    assert code == 2
    assert "it needs 3 replicas, and the cluster has 1 broker(s)" in log
    assert "--allow-single-replica" in log


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"sasl.usernme": "1"}, "properties.sasl.usernme: librdkafka has no such property; did you mean"),
        ({"security.protocol": "sasl"}, 'properties.security.protocol: Invalid value "sasl" for'),
        ({"partitioner": "random"}, "Kafka property partitioner is set by the connector"),
        ({"security.protocol": "ssl", "ssl.ca.location": "/none.pem"}, "ssl.ca.location"),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_client_properties_that_cannot_be_used_are_refused_in_words(
    receiver: Receiver,
    settings: Settings,
    tmp_path: Path,
    properties: dict[str, str],
    message: str,
    flags: tuple[str, ...],
) -> None:
    write_subscriptions(tmp_path, [subscription("one", receiver.url("/"))])
    made = settings(kafka={"bootstrap_servers": "127.0.0.1:1", "properties": properties})

    code, log = refused(ConnectorProcess(made, tmp_path, *flags))

    assert code == 2
    assert message in log
    assert "Traceback" not in log


def test_a_subscriptions_file_that_is_not_sound_is_refused_with_its_lines(
    settings: Settings, tmp_path: Path
) -> None:
    write_subscriptions(tmp_path, [subscription("one", "ftp://127.0.0.1/")])

    code, log = refused(ConnectorProcess(settings(), tmp_path))

    assert code == 2
    assert "subscriptions.yaml:" in log
    assert "the URL's scheme is 'ftp'" in log


# ── what is out of reach, and what ends it ──────────────────────────────────────────────────────


def test_without_kafka_it_is_alive_not_ready_says_why_and_stops_when_asked(
    receiver: Receiver, settings: Settings, tmp_path: Path
) -> None:
    write_subscriptions(tmp_path, [subscription("one", receiver.url("/"))])
    made = settings(kafka={"bootstrap_servers": "127.0.0.1:1"})
    with ConnectorProcess(made, tmp_path) as connector:
        wait_until(lambda: bool(connector.said("Kafka cannot be reached; trying again")), "it says so")

        assert connector.get("/healthz")[0] == 200
        status, body = connector.get("/readyz")
        assert status == 503
        assert "waiting for Kafka" in body
        assert connector.stop() == 0


def test_without_a_registry_records_are_held_and_not_lost(
    kafka: KafkaCluster, names: Names, receiver: Receiver, settings: Settings, tmp_path: Path
) -> None:
    kafka.create_topic(names.topic())
    write_subscriptions(tmp_path, [subscription("one", receiver.url("/framed"))])
    made = settings(topics=[names.topic()], registry={"urls": ["http://127.0.0.1:1"], "timeout_ms": 200})
    with ConnectorProcess(made, tmp_path) as connector:
        connector.await_ready()
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
        producer.produce(names.topic(), framed(7, b"\x06abc"))
        assert producer.flush(20) == 0

        said = "registry unreachable: records wait"
        wait_until(lambda: bool(connector.said(said)), "it says that the registry is out of reach")

        assert connector.is_ready
        assert connector.stop() == 0
    assert receiver.counts("/framed").requests == 0
    assert committed(kafka, names) in (0, -1001)  # never past the record
    ends = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": names.stem})
    letters = [ends.get_watermark_offsets(TopicPartition(f"{names.prefix}.dead-letters", p)) for p in (0, 1)]
    ends.close()
    assert letters == [(0, 0), (0, 0)]


def test_a_fatal_error_of_the_client_ends_it_with_a_reason_and_not_with_0(
    kafka: KafkaCluster, names: Names, receiver: Receiver, settings: Settings, tmp_path: Path
) -> None:
    kafka.create_topic(names.topic())
    write_subscriptions(tmp_path, [subscription("one", receiver.url("/"))])
    static = {"group.instance.id": "worker-0"}
    made = settings(kafka={"bootstrap_servers": kafka.bootstrap_servers, "properties": static})
    with ConnectorProcess(made, tmp_path) as connector:
        connector.await_ready()

        usurper = Consumer(
            {
                "bootstrap.servers": kafka.bootstrap_servers,
                "group.id": names.group,
                "partition.assignment.strategy": "cooperative-sticky",
                **static,
            }
        )
        usurper.subscribe([names.topic()])
        wait_until(lambda: usurper.poll(0.1) is not None or not connector.is_running, "it is fenced")

        assert connector.wait(30) == 3
        assert "stopped because it cannot go on" in connector.log()
        assert "fenced" in connector.log().lower()  # the client has two ways to say it
        usurper.close()
