"""Killed with SIGKILL at random moments under load: nothing is lost, and little is sent twice."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicCollection, TopicPartition

from connector.app.adapters import SETTLED_PER_COMMIT
from connector.core.doneset import decode
from deploy.testbed import KafkaCluster
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

KILLS = 6
RECORDS = 12_000
RATE_PER_S = 1_500
IN_FLIGHT_MAX = 16


def test_killed_at_random_moments_nothing_is_lost(kafka: KafkaCluster, names: Names, tmp_path: Path) -> None:
    chance = random.Random(20260613)
    topic = names.topic()
    kafka.create_topic(topic, partitions=4)
    feeder = Feeder(kafka.bootstrap_servers, topic, rate_per_s=RATE_PER_S, records=RECORDS)
    with Receiver() as receiver, feeder:
        for path in ("/sound", "/flaky"):
            receiver.check(path, replace(SIGNATURE, every=7))
        receiver.behave("/flaky", Behaviour(fails_first=1, fails_percent=5, delay_ms=5))
        limits = {"in_flight": IN_FLIGHT_MAX}
        write_subscriptions(
            tmp_path,
            [
                subscription("sound", receiver.url("/sound"), limits=limits),
                subscription("flaky", receiver.url("/flaky"), limits=limits),
            ],
        )
        settings = settings_for(
            names,
            tmp_path,
            bootstrap_servers=kafka.bootstrap_servers,
            topics=[{"name": topic, "format": "json", "id": {"field": "id"}}],
            quick_to_notice=True,
            delivery={"breaker": {"failures_to_open": 0}},  # each event fails once, and waits for no breaker
        )
        connector = ConnectorProcess(settings, tmp_path)
        with connector:
            for _ in range(KILLS):
                before = receiver.requests()
                wait_until(lambda b=before: receiver.requests() > b + 200, "deliveries flow")
                time.sleep(chance.uniform(0, 0.7))  # the moment of a kill is what is random here
                connector.kill()
                connector.start()
            feeder.join()
            for path in ("/sound", "/flaky"):
                everything = f"every record is accepted at {path}"
                wait_until(
                    lambda p=path: receiver.counts(p).accepted == RECORDS, everything, timeout_s=90
                )
            assert connector.stop() == 0

        verdict = assert_nothing_lost(
            kafka.bootstrap_servers,
            names,
            receiver,
            topics=[topic],
            rules=[Rule.at("/sound"), Rule.at("/flaky")],
        )
        # What was in flight, and what was settled since the last commit, comes again: twice the number of
        # records after which a commit is asked for, since the next one may pass while it is under way.
        repeated_max = KILLS * 2 * (IN_FLIGHT_MAX + 2 * SETTLED_PER_COMMIT)
        assert verdict.duplicates <= repeated_max


def test_the_done_set_keeps_what_was_delivered_above_a_slow_record_from_being_sent_again(
    kafka: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    topic = names.topic()
    kafka.create_topic(topic, partitions=1)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for number in range(1_000):
        kind = "slow" if number == 0 else "quick"
        producer.produce(topic, json.dumps({"id": f"e{number}", "kind": kind}).encode())
    assert producer.flush(30) == 0
    with Receiver() as receiver:
        receiver.behave("/slow", Behaviour(hangs=True))
        write_subscriptions(
            tmp_path,
            [
                subscription("slow", receiver.url("/slow"), events=["slow"]),
                subscription("quick", receiver.url("/quick"), events=["quick"]),
            ],
        )
        settings = settings_for(
            names,
            tmp_path,
            bootstrap_servers=kafka.bootstrap_servers,
            topics=[{"name": topic, "format": "json", "id": {"field": "id"}, "type": {"field": "kind"}}],
            quick_to_notice=True,
        )
        connector = ConnectorProcess(settings, tmp_path)
        with connector:
            wait_until(lambda: receiver.counts("/quick").ids == 999, "all quick ones are delivered")
            wait_until(
                lambda: committed_as_done(kafka, names, topic) == 999, "the done-set is committed, all of it"
            )
            connector.kill()
            connector.start()
            wait_until(lambda: receiver.counts("/slow").requests == 2, "the slow one is sent again")
            wait_until(
                lambda: connector.metric("records_already_done_total") == 999,
                "what the done-set holds is passed over",
            )
            connector.kill()

        assert receiver.counts("/quick").requests == 999


def committed_as_done(kafka: KafkaCluster, names: Names, topic: str) -> int:
    """How many offsets the group's commit for the topic's one partition holds as settled above it."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": names.group})
    try:
        [committed] = consumer.committed([TopicPartition(topic, 0)], timeout=10)
    finally:
        consumer.close()
    admin = kafka.admin()
    described = admin.describe_topics(TopicCollection([topic]))[topic].result()
    done = decode(committed.metadata or "", topic_id=str(described.topic_id))
    return 0 if done is None else len(done.above(-1))
