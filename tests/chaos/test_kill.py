"""Killed with SIGKILL at random moments under load: nothing is lost, and nothing that was committed is sent
twice."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from pathlib import Path

from confluent_kafka import Producer

from deploy.testbed import KafkaCluster
from tests.support.checker import Rule
from tests.support.committed import Committed
from tests.support.connector_process import (
    SIGNATURE,
    ConnectorProcess,
    settings_for,
    subscription,
    write_subscriptions,
)
from tests.support.feeding import Feeder
from tests.support.judging import assert_not_sent_again, assert_nothing_lost
from tests.support.names import Names
from tests.support.receiver import Behaviour, Receiver
from tests.support.waiting import wait_until

RATE_PER_S = 600
LIVES = ["commits", "is cut short"] * 3


def test_killed_at_random_moments_nothing_is_lost(kafka: KafkaCluster, names: Names, tmp_path: Path) -> None:
    chance = random.Random(20260613)
    topic = names.topic()
    kafka.create_topic(topic, partitions=4)
    feeder = Feeder(kafka.bootstrap_servers, topic, rate_per_s=RATE_PER_S, records=100_000)
    with Receiver() as receiver, feeder:
        for path in ("/sound", "/flaky"):
            receiver.check(path, replace(SIGNATURE, every=7))
        receiver.behave("/flaky", Behaviour(fails_first=1, fails_percent=5, delay_ms=5))
        # Room for all that lies there after a kill: what goes by a tier shows less.
        limits = {"in_flight": 16, "queue": 10_000}
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
        committed: list[Committed] = []
        connector = ConnectorProcess(settings, tmp_path)
        with connector:
            for life in LIVES:
                before = receiver.requests()
                wait_until(lambda b=before: receiver.requests() > b + 200, "deliveries flow")
                if life == "commits":
                    count = receiver.counts("/sound").accepted
                    wait_until(
                        lambda c=count: Committed.now(kafka, names.group, topic).count >= c,
                        "what was delivered is committed",
                    )
                time.sleep(chance.uniform(0, 0.7))  # the moment of a kill is what is random here
                committed.append(Committed.now(kafka, names.group, topic))
                connector.kill()
                connector.start()
            fed = feeder.stop()
            for path in ("/sound", "/flaky"):
                everything = f"every record is accepted at {path}"
                wait_until(lambda p=path: receiver.counts(p).accepted == fed, everything, timeout_s=90)
            assert connector.stop() == 0

        judged = (kafka.bootstrap_servers, names, receiver)
        rules = [Rule.at("/sound"), Rule.at("/flaky")]
        assert_nothing_lost(*judged, topics=[topic], rules=rules)
        assert_not_sent_again(*judged, committed=committed, topic=topic, rules=rules)


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
                # All come at once; one without room would go by a tier, whose commits nobody waits for here.
                subscription("quick", receiver.url("/quick"), events=["quick"], limits={"queue": 1_000}),
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
                lambda: Committed.now(kafka, names.group, topic).done_count == 999,
                "the done-set is committed, all of it",
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
