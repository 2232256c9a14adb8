"""A dry run beside a live worker: it shows every delivery, and nobody but its reader notices it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from connector.core.dialect import WEBHOOKS_V1
from connector.core.verify import verify
from connector.engine.ports import TopicPartition as Partition
from connector.kafka.access import Access
from connector.kafka.cluster import APACHE_KAFKA, Cluster
from deploy.testbed import KafkaCluster
from tests.support.connector_process import (
    SECRET,
    ConnectorProcess,
    settings_for,
    subscription,
    write_subscriptions,
)
from tests.support.feeding import Feeder
from tests.support.names import Names
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until

EVENTS = 300
PARTITIONS = 3


class DryRun:
    """A dry run whose standard output is kept."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self._process = process
        self._output = output

    @property
    def lines(self) -> list[str]:
        """What it has said; a line still being written is left out."""
        return self._output.read_text().rpartition("\n")[0].splitlines()

    def shown(self, would: str) -> list[dict[str, Any]]:
        """What it has said it would do, as JSON."""
        lines = (json.loads(line) for line in self.lines)
        return [line for line in lines if line["would"] == would]

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)


@contextmanager
def dry_run(settings: dict[str, Any], folder: Path, *flags: str) -> Iterator[DryRun]:
    config, output = folder / "dry.json", folder / "dry.out"
    config.write_text(json.dumps(settings))
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "connector", "run", "--dry-run", *flags, "--config", str(config)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=out,
            env={name: value for name, value in os.environ.items() if not name.startswith("WEBHOOK_")},
        )
    try:
        yield DryRun(process, output)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def records_written(kafka: KafkaCluster, prefix: str) -> dict[str, int]:
    """Records ever appended to each of the connector's own topics."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "unused"})
    topics = consumer.list_topics(timeout=10).topics
    written = {
        name: sum(consumer.get_watermark_offsets(TopicPartition(name, p))[1] for p in topics[name].partitions)
        for name in topics
        if name.startswith(prefix)
    }
    consumer.close()
    return written


def committed(kafka: KafkaCluster, group: str, topic: str) -> int:
    access = Access(bootstrap_servers=kafka.bootstrap_servers)
    tps = [Partition(topic, number) for number in range(PARTITIONS)]
    return sum(Cluster(access, APACHE_KAFKA).committed(group, tps).values())


def groups(kafka: KafkaCluster) -> set[str]:
    admin = kafka.admin()
    listed = admin.list_consumer_groups(request_timeout=10).result()
    assert listed.errors == []
    return {group.group_id for group in listed.valid}


def test_beside_a_live_worker_it_takes_nothing_and_leaves_nothing(
    kafka: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    topic = names.topic()
    kafka.create_topic(topic, partitions=PARTITIONS)
    with Receiver() as receiver:
        write_subscriptions(
            tmp_path,
            [
                subscription("one", receiver.url("/one")),
                subscription("parked", receiver.url("/parked"), paused=True),
            ],
        )
        settings = settings_for(
            names,
            tmp_path,
            bootstrap_servers=kafka.bootstrap_servers,
            topics=[{"name": topic, "format": "json", "id": {"field": "id"}}],
        )
        groups_before = groups(kafka)
        with ConnectorProcess(settings, tmp_path) as live:
            live.await_ready()
            with (
                dry_run(settings, tmp_path, "--json") as dry,
                Feeder(kafka.bootstrap_servers, topic, rate_per_s=300, records=EVENTS) as feeder,
            ):
                feeder.join()
                shows_all = "the dry run shows every delivery and every letter"
                wait_until(lambda: len(dry.shown("send")) == len(dry.shown("write")) == EVENTS, shows_all)
                wait_until(lambda: receiver.counts("/one").ids == EVENTS, "the live worker delivers all")
                code = dry.stop()
                sends, writes = dry.shown("send"), dry.shown("write")

            wait_until(lambda: committed(kafka, names.group, topic) == EVENTS, "the live worker commits all")
            # The first may have gone by way of a tier: nothing is parked before all know of it.
            parks_all = "the live worker parks all"
            wait_until(lambda: live.metric("deliveries_parked_total") == EVENTS, parks_all)
            written_on = ("deliveries_to_tier_total", "tier_records_hopped_total")
            to_tiers = sum(live.metric(name) for name in written_on)
            assert live.stop() == 0

        # The live worker missed nothing and sent nothing twice.
        assert receiver.requests() == EVENTS
        assert {id_: seen.accepted for id_, seen in receiver.seen("/one").items()} == {
            f"e{number}": 1 for number in range(EVENTS)
        }

    # The dry run showed each delivery as it would have gone out, and sent none.
    assert code == 0
    assert {each["headers"]["webhook-id"] for each in sends} == {f"e{number}" for number in range(EVENTS)}
    assert {each["url"] for each in sends} == {receiver.url("/one")}
    first = sends[0]
    assert verify(WEBHOOKS_V1, SECRET, first["headers"], first["body"].encode(), 0).is_valid
    assert {each["topic"] for each in writes} == {f"{names.prefix}.parked"}
    for shown, subscription_id in ((sends, "one"), (writes, "parked")):
        assert {each["subscription"] for each in shown} == {subscription_id}
        assert {each["record"]["topic"] for each in shown} == {topic}
        assert len({(each["record"]["partition"], each["record"]["offset"]) for each in shown}) == EVENTS

    # It joined no group, committed nothing, and of what was written all is the live worker's.
    assert groups(kafka) - groups_before == {names.group, f"{names.group}.retry"}
    written = records_written(kafka, names.prefix)
    for state in ("sources", "shared"):  # where the live worker keeps its watermarks, and tells of itself
        del written[f"{names.prefix}.{state}"]
    tiers = [written.pop(f"{names.prefix}.retry.{delay}") for delay in ("1s", "2s")]
    assert sum(tiers) == to_tiers
    assert written == {
        f"{names.prefix}.parked": EVENTS,
        f"{names.prefix}.dead-letters": 0,
        f"{names.prefix}.operator-events": 0,
    }


def test_alone_it_needs_no_topics_of_its_own_and_makes_none(
    kafka: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    topic = names.topic()
    kafka.create_topic(topic)
    write_subscriptions(tmp_path, [subscription("one", "http://127.0.0.1:1/hook")])
    settings = settings_for(
        names, tmp_path, bootstrap_servers=kafka.bootstrap_servers, topics=[{"name": topic, "format": "json"}]
    )
    groups_before = groups(kafka)

    with (
        dry_run(settings, tmp_path, "--json") as dry,
        Feeder(kafka.bootstrap_servers, topic, rate_per_s=300, records=3) as feeder,
    ):
        feeder.join()
        wait_until(lambda: len(dry.shown("send")) == 3, "three deliveries are shown")
        assert dry.stop() == 0

    assert records_written(kafka, names.prefix) == {}
    assert groups(kafka) - groups_before == set()  # empty ones of others are forgotten now and then


def test_for_people_each_delivery_begins_with_its_record_and_subscription(
    kafka: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    topic = names.topic()
    kafka.create_topic(topic)
    url = "http://127.0.0.1:1/hook"
    write_subscriptions(
        tmp_path, [subscription("one", url), subscription("parked", "http://127.0.0.1:1/", paused=True)]
    )
    settings = settings_for(
        names, tmp_path, bootstrap_servers=kafka.bootstrap_servers, topics=[{"name": topic, "format": "json"}]
    )
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for value in (b'{"id": "a"}', b"no JSON"):
        producer.produce(topic, value)
    assert producer.flush(20) == 0

    with dry_run(settings, tmp_path) as dry:
        wait_until(lambda: len([line for line in dry.lines if "would" in line]) == 3, "all three are shown")
        wait_until(lambda: "  webhook.reason: poison" in dry.lines, "the letter is shown whole")
        assert dry.stop() == 0

    assert sorted(line for line in dry.lines if not line.startswith("  ")) == [
        f"{topic}[0]@0 for one: would send to {url}",
        f"{topic}[0]@0 for parked: would write a letter to {names.prefix}.parked",
        f"{topic}[0]@1: would write a letter to {names.prefix}.dead-letters",
    ]
    assert any(line.lower().startswith("  x-webhook-signature: ") for line in dry.lines)
