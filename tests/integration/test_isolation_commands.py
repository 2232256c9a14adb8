"""What an operator sees of an endpoint in trouble, and does about it, on a real Kafka."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from connector.cli.main import main
from deploy.testbed import KafkaCluster
from tests.support.connector_process import (
    ConnectorProcess,
    settings_for,
    subscription,
    write_subscriptions,
)
from tests.support.names import Names
from tests.support.receiver import Behaviour, Receiver
from tests.support.waiting import wait_until

COOL_DOWN_MS = 600_000
"""Far longer than a test: what is sent earlier is sent because of the reset."""

Command = Callable[..., tuple[int, Any]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def connector(
    kafka: KafkaCluster, names: Names, receiver: Receiver, tmp_path: Path
) -> Iterator[ConnectorProcess]:
    """Two subscriptions, of which ``bad`` is opened by three failures in a row for ten minutes."""
    kafka.create_topic(names.topic())
    ladder = {"ladder": ["1h"]}
    write_subscriptions(
        tmp_path,
        [subscription(id_, receiver.url(f"/{id_}"), **ladder) for id_ in ("bad", "good")],
    )
    settings = settings_for(
        names,
        tmp_path,
        bootstrap_servers=kafka.bootstrap_servers,
        topics=[{"name": names.topic(), "format": "json", "id": {"field": "id"}}],
        delivery={
            "breaker": {
                "failures_to_open": 3,
                "cool_down_ms": COOL_DOWN_MS,
                "cool_down_max_ms": COOL_DOWN_MS,
            }
        },
    )
    with ConnectorProcess(settings, tmp_path) as running:
        running.await_ready()
        yield running
        assert running.stop() == 0


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs ``subscriptions ACTION``; exit code and what it printed, read as JSON when asked for."""

    def run(*words: str) -> tuple[int, Any]:
        code = main(["subscriptions", *words, "--config", str(tmp_path / "connector.yaml")])
        said = capsys.readouterr().out
        return code, json.loads(said) if "--json" in words else said

    return run


def produce(kafka: KafkaCluster, names: Names, *ids: str) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 0})
    for id_ in ids:
        producer.produce(names.topic(), json.dumps({"id": id_}).encode())
    assert producer.flush(20) == 0


def state_of(command: Command, id_: str) -> str:
    _, found = command("status", id_, "--json")
    (one,) = found["subscriptions"]
    return str(one["state"])


def test_an_open_breaker_is_shown_and_after_a_reset_the_endpoint_is_tried_at_once(
    kafka: KafkaCluster, names: Names, receiver: Receiver, connector: ConnectorProcess, command: Command
) -> None:
    assert command("status", "--json")[0] == 0
    receiver.behave("/bad", Behaviour(status=503))
    produce(kafka, names, *(f"e{number}" for number in range(5)))
    wait_until(lambda: state_of(command, "bad") == "open", "the breaker is open")
    wait_until(lambda: connector.metric("lanes", breaker="open") == 1, "a gauge says so")
    receiver.behave("/bad", Behaviour())

    # It is seen for what it is, and alone.
    code, found = command("status", "--json")
    bad, good = found["subscriptions"]
    assert code == 1
    assert (bad["id"], bad["breaker"]["why"], good["state"]) == ("bad", "http-503", "well")
    rest_ms = bad["breaker"]["until_ms"] - time.time_ns() // 1_000_000
    assert COOL_DOWN_MS - 60_000 < rest_ms <= COOL_DOWN_MS
    assert [worker["id"] for worker in found["workers"]] == [bad["told_by"]]
    code, said = command("status")
    assert code == 1
    assert "bad  open" in said
    assert "Nothing is known against the other 1 subscription(s)." in said
    assert "webhook-connector subscriptions reset bad --config " in said
    assert connector.is_ready

    # While it is open nothing is sent there.
    requests = receiver.counts("/bad").requests
    produce(kafka, names, "meanwhile")
    wait_until(lambda: "meanwhile" in receiver.seen("/good"), "the other one has it")
    assert receiver.counts("/bad").requests == requests
    assert connector.metric("deliveries_diverted_total", why="breaker open") > 0

    code, said = command("reset", "bad")
    reset_at = time.monotonic()
    assert code == 0
    assert "bad    open  http-503" in said
    assert "Deliveries are sent again within a second." in said
    wait_until(lambda: connector.metric("lanes", breaker="closed") == 2, "the worker has heard of it")
    assert time.monotonic() - reset_at < 5
    produce(kafka, names, "afterwards")
    wait_until(lambda: "afterwards" in receiver.seen("/bad"), "what comes is delivered at once")

    assert command("status", "--json")[0] == 0
    assert connector.scrape().sum("news_unreadable_total") == 0


def test_a_retry_after_of_an_hour_is_shown_and_kept_until_a_reset(
    kafka: KafkaCluster, names: Names, receiver: Receiver, connector: ConnectorProcess, command: Command
) -> None:
    receiver.behave("/bad", Behaviour(status=503, retry_after="3600"))
    produce(kafka, names, "first")
    wait_until(lambda: state_of(command, "bad") == "held off", "it is held off")
    receiver.behave("/bad", Behaviour())
    produce(kafka, names, "second")
    wait_until(lambda: connector.metric("deliveries_diverted_total", why="retry-after") == 1, "it is kept")
    assert connector.metric("lanes", breaker="held-off") == 1
    assert receiver.counts("/bad").requests == 1

    code, found = command("reset", "--all", "--json")

    assert code == 0
    assert found["reset"] == [
        {"id": "bad", "was": "held off", "why": "it said so itself, by Retry-After"}
    ]
    wait_until(lambda: connector.metric("lanes", breaker="closed") == 2, "the worker has heard of it")
    produce(kafka, names, "third")
    wait_until(lambda: "third" in receiver.seen("/bad"), "what comes is delivered at once")
    assert command("reset", "--all", "--json")[1]["reset"] == []


def test_workers_that_have_gone_are_not_taken_for_alive(
    kafka: KafkaCluster, names: Names, receiver: Receiver, connector: ConnectorProcess, command: Command
) -> None:
    wait_until(lambda: len(command("status", "--json")[1]["workers"]) == 1, "it tells that it is there")
    assert connector.stop() == 0

    code, said = command("status")

    assert code == 1
    assert said.startswith("No worker is alive.\nNothing is delivered until one runs;")


def test_without_the_topic_there_is_nothing_to_read_and_the_reason_is_said(
    kafka: KafkaCluster, names: Names, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    write_subscriptions(tmp_path, [subscription("one", "http://127.0.0.1:9/")])
    settings = settings_for(names, tmp_path, bootstrap_servers=kafka.bootstrap_servers, topics=["t"])  # type: ignore[list-item]  # a plain name
    (tmp_path / "connector.yaml").write_text(json.dumps(settings))
    config = ("--config", str(tmp_path / "connector.yaml"))

    for action in (["status"], ["reset", "one"]):
        assert main(["subscriptions", *action, *config]) == 1
        assert f"topic {names.prefix}.shared, where workers share what they learn, does not exist" in (
            capsys.readouterr().err
        )
