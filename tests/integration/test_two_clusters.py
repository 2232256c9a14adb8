"""The source topics on one cluster, the connector's own topics on another."""

from __future__ import annotations

from pathlib import Path

from deploy.testbed import KafkaCluster
from tests.support.checker import topics_under
from tests.support.connector_process import ConnectorProcess, settings_for, write_subscriptions
from tests.support.feeding import Feeder
from tests.support.names import Names
from tests.support.receiver import Behaviour, Receiver
from tests.support.waiting import wait_until


def test_own_topics_live_on_a_cluster_of_their_own(kafka: KafkaCluster, names: Names, tmp_path: Path) -> None:
    topic = names.topic()
    kafka.create_topic(topic, partitions=2)
    feeder = Feeder(kafka.bootstrap_servers, topic, rate_per_s=1_000, records=200)
    with KafkaCluster() as own, Receiver() as receiver, feeder:
        receiver.behave("/flaky", Behaviour(fails_first=1, fails_percent=20))
        write_subscriptions(
            tmp_path,
            [
                {
                    "id": "flaky",
                    "url": receiver.url("/flaky"),
                    "events": ["*"],
                    "dialect": "bellamy",
                    "secrets": {"current": "a-secret-of-sixteen-bytes"},
                    "ladder": ["1s"],
                }
            ],
        )
        settings = settings_for(
            names,
            tmp_path,
            bootstrap_servers=kafka.bootstrap_servers,
            topics=[{"name": topic, "format": "json", "id": {"field": "id"}}],
            own_kafka={"bootstrap_servers": own.bootstrap_servers},
            delivery={"breaker": {"failures_to_open": 0}},  # each event fails once, and waits for no breaker
        )
        with ConnectorProcess(settings, tmp_path) as connector:
            wait_until(
                lambda: sum(one.accepted > 0 for one in receiver.seen("/flaky").values()) == 200,
                "all are delivered, those that failed by way of a tier",
            )
            assert connector.stop() == 0

        assert topics_under(kafka.bootstrap_servers, names.prefix) == []
        assert topics_under(own.bootstrap_servers, names.prefix) == [
            f"{names.prefix}.{rest}"
            for rest in ("dead-letters", "operator-events", "parked", "retry.1s", "shared", "sources")
        ]
