"""Killed with SIGKILL at random moments under load: nothing is lost, and little is sent twice."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from connector.app.adapters import SETTLED_PER_COMMIT
from deploy.testbed import KafkaCluster
from tests.support.checker import Rule, check
from tests.support.connector_process import ConnectorProcess, settings_for, write_subscriptions
from tests.support.feeding import Feeder, event_id
from tests.support.names import Names
from tests.support.receiver import Behaviour, Receiver, Signature
from tests.support.waiting import wait_until

SECRET = "a-secret-of-sixteen-bytes"
KILLS = 6
RECORDS = 12_000
RATE_PER_S = 1_500
IN_FLIGHT_MAX = 16


def subscription(id_: str, url: str, **more: object) -> dict[str, object]:
    return {
        "id": id_,
        "url": url,
        "events": ["*"],
        "dialect": "webhooks-v1",
        "secrets": {"current": SECRET},
        "ladder": ["1s", "2s"],
        "limits": {"in_flight": IN_FLIGHT_MAX},
        **more,
    }


@pytest.mark.timeout(240)
def test_killed_at_random_moments_nothing_is_lost(kafka: KafkaCluster, names: Names, tmp_path: Path) -> None:
    chance = random.Random(20260613)
    topic = names.topic()
    kafka.create_topic(topic, partitions=4)
    feeder = Feeder(kafka.bootstrap_servers, topic, rate_per_s=RATE_PER_S, records=RECORDS)
    with Receiver() as receiver, feeder:
        signature = Signature(secret=SECRET, scheme="body-hex", header="x-webhook-signature", every=7)
        receiver.check("/sound", signature)
        receiver.behave("/flaky", Behaviour(fails_first=1, fails_percent=5, delay_ms=5))
        write_subscriptions(
            tmp_path,
            [subscription("sound", receiver.url("/sound")), subscription("flaky", receiver.url("/flaky"))],
        )
        settings = settings_for(
            names,
            tmp_path,
            bootstrap_servers=kafka.bootstrap_servers,
            topics=[{"name": topic, "format": "json", "id": {"field": "id"}}],
            quick_to_notice=True,
        )
        connector = ConnectorProcess(settings, tmp_path)
        with connector:
            for _ in range(KILLS):
                before = receiver.requests()
                wait_until(lambda b=before: receiver.requests() > b + 200, "deliveries flow", timeout_s=60)
                time.sleep(chance.uniform(0, 0.7))  # the moment of a kill is what is random here
                connector.kill()
                connector.start()
            feeder.join()
            for path in ("/sound", "/flaky"):
                await_all_accepted(receiver, path)
            assert connector.stop() == 0

        verdict = check(
            bootstrap_servers=kafka.bootstrap_servers,
            source_topics=[topic],
            prefix=names.prefix,
            tiers_group=f"{names.group}.retry",
            rules=[Rule(subscription="sound", path="/sound"), Rule(subscription="flaky", path="/flaky")],
            event_id=event_id,
            seen=receiver.all_seen(),
        )
        assert verdict.lost == []
        assert verdict.is_whole
        assert receiver.bad_signatures() == 0
        # What was in flight, and what was settled since the last commit, comes again: twice the number of
        # records after which a commit is asked for, since the next one may pass while it is under way.
        repeated_max = KILLS * 2 * (IN_FLIGHT_MAX + 2 * SETTLED_PER_COMMIT)
        assert verdict.duplicates <= repeated_max


@pytest.mark.timeout(120)
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
            commits = connector.metric("commits_total")
            wait_until(lambda: connector.metric("commits_total") >= commits + 1, "the done-set is committed")
            connector.kill()
            connector.start()
            wait_until(lambda: receiver.counts("/slow").requests == 2, "the slow one is sent again")
            wait_until(
                lambda: connector.metric("records_already_done_total") == 999,
                "what the done-set holds is passed over",
            )
            connector.kill()

        assert receiver.counts("/quick").requests == 999


def await_all_accepted(receiver: Receiver, path: str) -> None:
    wait_until(
        lambda: sum(one.accepted > 0 for one in receiver.seen(path).values()) == RECORDS,
        f"every record is accepted at {path}",
        timeout_s=90,
    )
