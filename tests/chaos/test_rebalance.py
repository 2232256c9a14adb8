"""Workers come, leave and die under load: nothing is lost, and a leave costs almost nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

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

RATE_PER_S = 400
PARTITIONS = 4
IN_FLIGHT_MAX = 16


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_workers_join_leave_and_die_and_nothing_is_lost(
    kafka: KafkaCluster, names: Names, tmp_path: Path, protocol: Literal["classic", "consumer"]
) -> None:
    topic = names.topic()
    kafka.create_topic(topic, partitions=PARTITIONS)
    feeder = Feeder(kafka.bootstrap_servers, topic, rate_per_s=RATE_PER_S, records=100_000)
    limits = {"in_flight": IN_FLIGHT_MAX}
    with Receiver() as receiver, feeder:
        receiver.behave("/sound", Behaviour(delay_ms=15))  # so that something is in flight at any moment
        receiver.behave("/flaky", Behaviour(fails_first=1, fails_percent=5))
        for path in ("/sound", "/flaky"):
            receiver.check(path, replace(SIGNATURE, every=7))
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
            # With the newer protocol the broker says how soon a member is given up.
            quick_to_notice=protocol == "classic",
            group_protocol=protocol,
            delivery={"breaker": {"failures_to_open": 0}},  # each event fails once, and waits for no breaker
        )
        first = ConnectorProcess(settings, tmp_path, name="first")
        second = ConnectorProcess(settings, tmp_path, name="second")
        with first, second:
            wait_until(lambda: holds(first) + holds(second) == PARTITIONS, "all is read")
            wait_until(lambda: holds(first) == holds(second) == PARTITIONS // 2, "the work is shared")
            flows(receiver)

            assert first.stop() == 0
            wait_until(lambda: holds(second) == PARTITIONS, "one does the work of both")
            flows(receiver)
            first.start()
            wait_until(lambda: holds(first) == holds(second) == PARTITIONS // 2, "the work is shared again")
            flows(receiver)
            counts = receiver.counts("/sound")
            assert second.metric("deliveries_accepted_total") > 0
            # Joined twice and left once: what was in flight at such a moment may be sent twice.
            assert counts.requests - counts.ids <= 3 * IN_FLIGHT_MAX

            wait_until(
                lambda: Committed.now(kafka, names.group, topic).count >= counts.accepted,
                "what was delivered is committed",
            )
            committed = Committed.now(kafka, names.group, topic)
            second.kill()
            wait_until(lambda: holds(first) == PARTITIONS, "the dead one's work is taken over")
            second.start()
            wait_until(lambda: holds(first) == holds(second) == PARTITIONS // 2, "the work is shared at last")
            fed = feeder.stop()
            for path in ("/sound", "/flaky"):
                wait_until(lambda p=path: receiver.counts(p).accepted == fed, f"all arrives at {path}")
            assert first.stop() == second.stop() == 0

        judged = (kafka.bootstrap_servers, names, receiver)
        rules = [Rule.at("/sound"), Rule.at("/flaky")]
        assert assert_nothing_lost(*judged, topics=[topic], rules=rules).records == fed
        assert_not_sent_again(*judged, committed=[committed], topic=topic, rules=rules)


def holds(worker: ConnectorProcess) -> int:
    """Partitions of the source that this worker has."""
    return int(worker.metric("partitions", group="source"))


def flows(receiver: Receiver) -> None:
    """Wait until a second's worth of records has arrived from now on."""
    before = receiver.counts("/sound").ids
    wait_until(lambda: receiver.counts("/sound").ids >= before + RATE_PER_S, "records arrive")
