"""Brokers killed and frozen under load: deliveries go on, nothing is lost, and nobody has to help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deploy.testbed import KafkaCluster
from deploy.testbed.kafka import KafkaNode
from tests.support.checker import Rule
from tests.support.connector_process import (
    SIGNATURE,
    ConnectorProcess,
    settings_for,
    subscription,
    write_subscriptions,
)
from tests.support.feeding import Feeder
from tests.support.judging import assert_nothing_lost
from tests.support.names import Names
from tests.support.receiver import Behaviour, Receiver
from tests.support.waiting import wait_until

RATE_PER_S = 300


def test_a_broker_killed_and_another_frozen_lose_nothing(
    kafka3: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    topic = names.topic()
    kafka3.create_topic(topic, partitions=3)
    feeder = Feeder(kafka3.bootstrap_servers, topic, rate_per_s=RATE_PER_S, records=100_000)
    with Receiver() as receiver, feeder:
        receiver.behave("/flaky", Behaviour(fails_first=1, fails_percent=10))
        for path in ("/sound", "/flaky"):
            receiver.check(path, replace(SIGNATURE, every=7))
        write_subscriptions(
            tmp_path,
            [
                subscription("sound", receiver.url("/sound")),
                subscription("flaky", receiver.url("/flaky"), ladder=["1s"]),
            ],
        )
        settings = settings_for(
            names,
            tmp_path,
            bootstrap_servers=kafka3.bootstrap_servers,
            topics=[{"name": topic, "format": "json", "id": {"field": "id"}}],
            delivery={"breaker": {"failures_to_open": 0}},  # each event fails once, and waits for no breaker
            own_topics={"partitions": 3},  # three replicas, two of them in sync: a cluster as it should be
        )
        with ConnectorProcess(settings, tmp_path) as connector:
            flows(receiver)

            killed, frozen, _ = kafka3.nodes
            killed.kill()
            leads_nothing(kafka3, killed, topic)
            flows(receiver)
            killed.start()
            kafka3.mend()  # returns when every replica has caught up
            flows(receiver)
            frozen.pause()
            leads_nothing(kafka3, frozen, topic)
            flows(receiver)
            frozen.resume()
            flows(receiver)

            fed = feeder.stop()
            for path in ("/sound", "/flaky"):
                arrives = f"all arrives at {path}"
                wait_until(lambda p=path: receiver.counts(p).accepted == fed, arrives)
            connector.await_ready()
            assert connector.stop() == 0

        verdict = assert_nothing_lost(
            kafka3.bootstrap_servers,
            names,
            receiver,
            topics=[topic],
            rules=[Rule.at("/sound"), Rule.at("/flaky")],
        )
        assert verdict.records == fed


def leads_nothing(kafka: KafkaCluster, node: KafkaNode, topic: str) -> None:
    """Wait until the others have taken over what the node led."""
    admin = kafka.admin()

    def has_moved() -> bool:
        partitions = admin.list_topics(topic, timeout=30).topics[topic].partitions
        return all(partition.leader not in (-1, node.number) for partition in partitions.values())

    wait_until(has_moved, f"the partitions of node {node.number} have another leader")


def flows(receiver: Receiver) -> None:
    """Wait until a second's worth of records has arrived from now on, at both endpoints."""
    for path in ("/sound", "/flaky"):
        before = receiver.counts(path).accepted
        wait_until(
            lambda p=path, b=before: receiver.counts(p).accepted >= b + RATE_PER_S,
            f"records arrive at {path}",
            timeout_s=60,
        )
