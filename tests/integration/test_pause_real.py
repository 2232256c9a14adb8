"""Two workers, each with a subscriptions file of its own, learn of a pause and of a resume seconds apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Message, Producer

from deploy.testbed import KafkaCluster
from tests.support.checker import Rule, check
from tests.support.connector_process import (
    ConnectorProcess,
    settings_for,
    subscription,
    write_subscriptions,
)
from tests.support.names import Names
from tests.support.receiver import Behaviour, Receiver
from tests.support.waiting import wait_until

PARTITIONS = 4


class Events:
    """Events with ids of their own, spread over the topic's partitions."""

    def __init__(self, kafka: KafkaCluster, topic: str) -> None:
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 0})
        self._topic = topic
        self.produced = 0

    def produce(self, count: int) -> None:
        for _ in range(count):
            value = json.dumps({"id": f"e{self.produced}"}).encode()
            self._producer.produce(self._topic, value, partition=self.produced % PARTITIONS)
            self.produced += 1
        assert self._producer.flush(20) == 0


def accepted(receiver: Receiver, path: str) -> int:
    return receiver.counts(path).accepted


def event_id(record: Message) -> str:
    return str(json.loads(record.value() or b"")["id"])


def parking(connector: ConnectorProcess) -> float:
    return connector.metric("deliveries_parked_total")


def test_workers_that_learn_seconds_apart_leave_nothing_behind(
    kafka: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    topic = names.topic()
    kafka.create_topic(topic, partitions=PARTITIONS)
    events = Events(kafka, topic)
    with Receiver() as receiver:
        folders = [tmp_path / name for name in ("one", "two")]
        workers = []
        for folder in folders:
            folder.mkdir()
            settings = settings_for(
                names,
                folder,
                bootstrap_servers=kafka.bootstrap_servers,
                topics=[{"name": topic, "format": "json", "id": {"field": "id"}}],
            )
            workers.append(ConnectorProcess(settings, folder))

        def show(number: int, *, paused: bool) -> None:
            write_subscriptions(
                folders[number],
                [
                    subscription("acme", receiver.url("/acme"), paused=paused),
                    subscription("other", receiver.url("/other")),
                ],
            )
            if workers[number].is_running:
                workers[number].ask_to_reload()

        for number in (0, 1):
            show(number, paused=False)
        one, two = workers
        with one, two:
            for worker in workers:
                worker.await_ready()
            wait_until(
                lambda: all(worker.metric("partitions", group="source") == 2 for worker in workers),
                "the work is shared",
                timeout_s=60,
            )
            events.produce(200)
            wait_until(lambda: accepted(receiver, "/acme") == 200, "all arrive before the pause")

            def under_load(is_so: Callable[[], bool], what: str) -> None:
                def is_so_now() -> bool:
                    events.produce(8)
                    return is_so()

                wait_until(is_so_now, what)

            show(0, paused=True)
            under_load(lambda: parking(one) >= 100, "the first parks")
            before = accepted(receiver, "/acme")
            under_load(lambda: accepted(receiver, "/acme") >= before + 100, "the second still delivers")
            show(1, paused=True)
            under_load(lambda: parking(two) >= 100, "the second parks")
            before = accepted(receiver, "/acme")
            show(0, paused=False)
            under_load(lambda: accepted(receiver, "/acme") >= before + 100, "the first delivers again")
            assert [w.metric("parked_records_read_total") for w in workers] == [0, 0]
            show(1, paused=False)
            wait_until(
                lambda: accepted(receiver, "/acme") == events.produced, "every event arrives", timeout_s=60
            )
            wait_until(
                lambda: all(worker.metric("backlogs_open") == 0 for worker in workers), "the backlog is done"
            )
            read, parked = (
                sum(worker.metric(name) for worker in workers)
                for name in ("parked_records_read_total", "deliveries_parked_total")
            )
            assert read == parked >= 300
            wait_until(lambda: accepted(receiver, "/other") == events.produced, "and at the other")
            assert [worker.stop() for worker in workers] == [0, 0]

        verdict = check(
            bootstrap_servers=kafka.bootstrap_servers,
            source_topics=[topic],
            prefix=names.prefix,
            tiers_group=f"{names.group}.retry",
            rules=[Rule.at("/acme"), Rule.at("/other")],
            event_id=event_id,
            seen=receiver.all_seen(),
        )
        assert verdict.is_whole, verdict
        assert (verdict.accepted, verdict.parked, verdict.duplicates) == (2 * events.produced, 0, 0)


def test_disabled_by_itself_told_probed_enabled_and_the_backlog_delivered(
    kafka: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    topic = names.topic()
    kafka.create_topic(topic, partitions=PARTITIONS)
    events = Events(kafka, topic)
    rules = {"after_ms": 1_000, "attempts": 3, "probe_first_ms": 4_000}
    with Receiver() as receiver:
        receiver.behave("/acme", Behaviour(status=500))
        write_subscriptions(
            tmp_path,
            [
                subscription("acme", receiver.url("/acme"), ladder=["1s"] * 20),
                subscription("operator", receiver.url("/operator"), events=["connector.**"]),
                subscription("partner", receiver.url("/partner")),
            ],
        )
        settings: dict[str, Any] = settings_for(
            names,
            tmp_path,
            bootstrap_servers=kafka.bootstrap_servers,
            topics=[{"name": topic, "format": "json", "id": {"field": "id"}}],
            delivery={"breaker": {"failures_to_open": 0}, "disable": rules},
        )
        with ConnectorProcess(settings, tmp_path) as connector:
            connector.await_ready()
            events.produce(20)
            wait_until(lambda: connector.said("disabled") != [], "it is disabled")
            events.produce(20)
            wait_until(lambda: connector.metric("deliveries_parked_total") == 40, "all of it is parked")
            wait_until(lambda: accepted(receiver, "/operator") == 1, "the operator is told")

            receiver.behave("/acme", Behaviour())
            attempts = receiver.counts("/acme").requests

            def is_probed() -> bool:
                events.produce(1)
                return connector.said("enabled again") != []

            wait_until(is_probed, "a probe is accepted")
            wait_until(lambda: accepted(receiver, "/acme") == events.produced, "the backlog is delivered")
            wait_until(lambda: accepted(receiver, "/operator") == 2, "the operator is told of that, too")
            assert accepted(receiver, "/partner") == events.produced
            assert receiver.counts("/acme").requests - attempts == events.produced
            assert connector.metric("backlogs_open") == 0
            assert connector.stop() == 0
        (disabled,) = connector.said("disabled")
        assert "attempts in a row have failed" in disabled["why"]
