"""Endpoints that hang and flap between kills: the sound one is served, and nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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

RATE_PER_S = 300
PATHS = ("/sound", "/hanging", "/flapping")
LADDER = ["1s"] + ["2s"] * 14
"""Longer than an endpoint is out of order here, so that all is accepted in the end."""
KILLS = 2
PARTITIONS = 2
WINDOW_RECORDS_MAX = 500


def test_endpoints_hang_and_flap_between_kills_and_nothing_is_lost(
    kafka: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    topic = names.topic()
    kafka.create_topic(topic, partitions=PARTITIONS)
    feeder = Feeder(kafka.bootstrap_servers, topic, rate_per_s=RATE_PER_S, records=100_000)
    with Receiver() as receiver, feeder:
        for path in PATHS:
            receiver.check(path, replace(SIGNATURE, every=7))
        receiver.behave("/hanging", Behaviour(hangs=True))
        receiver.behave("/flapping", Behaviour(status=503))
        limits = {"in_flight": 8, "queue": 100, "timeout": "1s"}
        write_subscriptions(
            tmp_path,
            [subscription(path[1:], receiver.url(path), ladder=LADDER, limits=limits) for path in PATHS],
        )
        settings = settings_for(
            names,
            tmp_path,
            bootstrap_servers=kafka.bootstrap_servers,
            topics=[{"name": topic, "format": "json", "id": {"field": "id"}}],
            quick_to_notice=True,
            delivery={
                "window_records_max": WINDOW_RECORDS_MAX,
                "breaker": {"cool_down_ms": 500, "cool_down_max_ms": 2_000},
            },
        )
        already_done = 0.0
        committed: list[Committed] = []
        with ConnectorProcess(settings, tmp_path) as connector:
            flows(receiver)
            commits_some(connector)
            committed.append(with_a_done_set(kafka, names.group, topic))
            connector.kill()
            receiver.behave("/flapping", Behaviour(closes=True))
            connector.start()
            flows(receiver)
            already_done += connector.metric("records_already_done_total")
            receiver.behave("/flapping", Behaviour(delay_ms=300))
            flows(receiver)
            commits_some(connector)
            committed.append(with_a_done_set(kafka, names.group, topic))
            connector.kill()
            receiver.behave("/flapping", Behaviour(fails_first=2, fails_percent=30, retry_after="2"))
            connector.start()
            flows(receiver)
            already_done += connector.metric("records_already_done_total")

            # Well again: each of its 503 would have held the whole lane off for 2 s.
            receiver.behave("/flapping", Behaviour())
            receiver.behave("/hanging", Behaviour())
            fed = feeder.stop()
            for path in PATHS:
                everything = f"all arrives at {path}"
                wait_until(lambda p=path: receiver.counts(p).accepted == fed, everything)
            assert connector.stop() == 0

        judged = (kafka.bootstrap_servers, names, receiver)
        rules = [Rule.at(path) for path in PATHS]
        verdict = assert_nothing_lost(*judged, topics=[topic], rules=rules)
        assert (verdict.records, verdict.dead, verdict.waiting) == (fed, 0, 0)
        # A record that still waits for a bad endpoint is sent to the sound one again, and what was settled
        # since the last commit (a few seconds ago at most); the done-set keeps the rest from it.
        sound = receiver.counts("/sound")
        assert sound.requests - sound.ids <= KILLS * (PARTITIONS * WINDOW_RECORDS_MAX + 5 * RATE_PER_S)
        assert_not_sent_again(*judged, committed=committed, topic=topic, rules=rules)
        assert already_done > 0


def flows(receiver: Receiver) -> None:
    """Wait until two seconds' worth of records has arrived at the sound endpoint from now on."""
    before = receiver.counts("/sound").ids
    wait_until(lambda: receiver.counts("/sound").ids >= before + 2 * RATE_PER_S, "records arrive")


def commits_some(connector: ConnectorProcess) -> None:
    """Wait until records have passed the hanging endpoint by way of a tier, and that is committed."""
    wait_until(lambda: connector.metric("deliveries_diverted_total") > 0, "deliveries are diverted")
    wait_until(lambda: connector.metric("records_settled_total") > RATE_PER_S, "records are settled")
    commits = connector.metric("commits_total")
    wait_until(lambda: connector.metric("commits_total") > commits + 2 * PARTITIONS, "that is committed")


def with_a_done_set(kafka: KafkaCluster, group: str, topic: str) -> Committed:
    """What is committed as soon as there is a done-set: a record waits for an endpoint, and others do not."""
    looks: list[Committed] = []

    def has_one() -> bool:
        looks.append(Committed.now(kafka, group, topic))
        return looks[-1].done_count > 0

    wait_until(has_one, "a done-set is committed")
    return looks[-1]
