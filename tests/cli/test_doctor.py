"""The doctor over Kafka's built-in cluster, a registry of our own, and nothing at all."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from connector.app.doctor.examine import Examination, examine
from connector.app.doctor.finding import Finding
from connector.app.doctor.process import file_limit, poll_settings
from connector.app.doctor.registry import clock
from connector.app.doctor.rounds import Rounds
from connector.cli.commands.doctor import exit_code
from connector.cli.main import main
from connector.core.start import Entry, encode_key, encode_value
from connector.kafka.mock_cluster import CAPABILITIES, MockCluster
from connector.settings import Settings, load_settings
from tests.support.fake_registry import FakeRegistry
from tests.support.mock_kafka import mock_kafka

__all__ = ["mock_kafka"]

OWN = tuple(
    f"webhooks.{own}"
    for own in ("retry.30s", "dead-letters", "parked", "sources", "shared", "operator-events")
)

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Settings for one JSON topic and one subscription with a tier of 30 s."""

    def settings(servers: str, *, url: str = "https://partner.example/hook", **more: Any) -> Settings:
        one = {
            "id": "partner",
            "url": url,
            "events": ["post.*"],
            "dialect": "notify",
            "ladder": ["30s"],
            "secrets": {"current": "correct-horse"},
        }
        file = tmp_path / "subscriptions.yaml"
        file.write_text(json.dumps({"subscriptions": [one]}))
        given = {
            "kafka": {"bootstrap_servers": servers},
            "topics": [{"name": "post.created", "format": "json"}],
            "subscriptions_file": str(file),
            **more,
        }
        config = tmp_path / "settings.yaml"
        config.write_text(json.dumps(given))
        return load_settings(config_file=config)

    return settings


async def examined(settings: Settings, *, with_endpoints: bool = False) -> dict[str, list[Finding]]:
    rounds = Rounds(settings, with_endpoints=with_endpoints, capabilities=CAPABILITIES)
    found: dict[str, list[Finding]] = {}
    async for finding in examine(rounds.examinations()):
        found.setdefault(finding.subject, []).append(finding)
    return found


def verdicts(found: dict[str, list[Finding]]) -> dict[str, list[str]]:
    return {subject: [finding.verdict for finding in findings] for subject, findings in found.items()}


# ── what it looks at ────────────────────────────────────────────────────────────────────────────


async def test_a_sound_connector_has_nothing_to_mend(mock_kafka: MockCluster, load: Load) -> None:
    for name in ("post.created", *OWN):
        mock_kafka.create_topic(name, 2)

    found = await examined(load(mock_kafka.bootstrap_servers, start="latest"))

    assert verdicts(found) == {
        "open files": ["ok"],
        "group timing": ["ok"],
        "subscriptions": ["ok"],
        "Kafka": ["ok"],
        "source topics": ["ok"],
        "own topics": ["ok"],
        "prefix": ["ok"],
        "group": ["unknown"],  # the built-in cluster cannot describe groups
        "start": ["ok"],
        "schema registry": ["ok"],
        "clock": ["unknown"],
    }


async def test_missing_topics_are_told_apart_by_who_has_to_make_them(
    mock_kafka: MockCluster, load: Load
) -> None:
    mock_kafka.create_topic("webhooks.parked")

    one_broker = {"allow_single_replica": True}

    may_create = await examined(load(mock_kafka.bootstrap_servers, own_topics=one_broker))
    may_not = await examined(load(mock_kafka.bootstrap_servers, own_topics={"create": False, **one_broker}))

    assert verdicts(may_create)["own topics"] == ["ok", *["warning"] * 5]
    assert verdicts(may_not)["own topics"] == ["ok", *["problem"] * 5]
    assert "kafka-topics.sh --bootstrap-server" in may_not["own topics"][1].cure
    assert [finding.text for finding in may_not["source topics"]] == [
        "post.created: it is to be read and does not exist"
    ]


async def test_a_topic_never_begun_needs_a_start_setting(mock_kafka: MockCluster, load: Load) -> None:
    for name in ("post.created", "webhooks.sources"):
        mock_kafka.create_topic(name)

    found = await examined(load(mock_kafka.bootstrap_servers))

    (finding,) = found["start"]
    assert finding.verdict == "problem"
    assert finding.text == "group webhook-connector has never read post.created, and start is not set"
    assert "set start: latest" in finding.cure


async def test_a_prefix_that_another_group_uses_is_a_problem(mock_kafka: MockCluster, load: Load) -> None:
    mock_kafka.create_topic("webhooks.sources")
    producer = Producer({"bootstrap.servers": mock_kafka.bootstrap_servers})
    for group in ("webhook-connector", "webhook-connector.retry", "theirs", "theirs.retry"):
        entry = Entry(group=group, topic="post.created", topic_id="", partition=0, started=0, partitions=1)
        producer.produce("webhooks.sources", key=encode_key(entry), value=encode_value(entry))
    assert producer.flush(20) == 0

    found = await examined(load(mock_kafka.bootstrap_servers))

    (finding,) = found["prefix"]
    assert finding.verdict == "problem"
    assert finding.text.startswith("prefix webhooks belongs to another connector, of group theirs: two")
    assert finding.cure.startswith("set a prefix of its own for group webhook-connector")


async def test_the_registry_is_asked_and_its_clock_compared(mock_kafka: MockCluster, load: Load) -> None:
    async with FakeRegistry(date=formatdate(time.time() - 600, usegmt=True)) as registry:
        registry.add("post.created-value", '"string"')
        settings = load(mock_kafka.bootstrap_servers, registry={"urls": [registry.url]})

        found = await examined(settings)

    (answer,) = found["schema registry"]
    assert answer.verdict == "ok"
    assert "shows 1 subjects" in answer.text
    (skew,) = found["clock"]
    assert skew.verdict == "problem"
    assert "s ahead of the registry's" in skew.text


async def test_a_registry_that_refuses_is_unreachable_and_what_it_said_is_told(
    mock_kafka: MockCluster, load: Load
) -> None:
    async with FakeRegistry(behaviour="401") as registry:
        found = await examined(load(mock_kafka.bootstrap_servers, registry={"urls": [registry.url]}))

    (finding,) = found["schema registry"]
    assert finding.verdict == "unreachable"
    assert "401" in finding.text


async def test_a_topic_that_needs_a_registry_and_has_none_is_a_problem(
    mock_kafka: MockCluster, load: Load
) -> None:
    found = await examined(load(mock_kafka.bootstrap_servers, topics=["post.created"]))

    (finding,) = found["schema registry"]
    assert finding.verdict == "problem"
    assert finding.text == (
        "none is set, and post.created, of format confluent, cannot be read without one"
    )
    assert finding.cure == "set registry.urls, or another format under topics"


async def test_every_mistake_in_the_subscriptions_file_is_a_finding(
    mock_kafka: MockCluster, load: Load
) -> None:
    found = await examined(load(mock_kafka.bootstrap_servers, url="http://partner.example/"))

    (finding,) = found["subscriptions"]
    assert finding.verdict == "problem"
    assert "plain http" in finding.text
    assert [each.text for each in found["own topics"]] == [
        "not checked: the subscriptions say which are needed"
    ]


# ── endpoints ───────────────────────────────────────────────────────────────────────────────────


async def test_endpoints_are_connected_to_and_sent_nothing(mock_kafka: MockCluster, load: Load) -> None:
    guard = {"allow_http": True, "allow_networks": ["127.0.0.0/8"]}
    accepted: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        settings = load(mock_kafka.bootstrap_servers, url=f"http://127.0.0.1:{port}/hook", guard=guard)
        found = await examined(settings, with_endpoints=True)

    assert [finding.text for finding in found["endpoints"]] == ["1 of 1 hosts take connections"]
    assert b"".join(accepted) == b""


async def test_an_endpoint_out_of_reach_is_named_with_its_subscription_and_reason(
    mock_kafka: MockCluster, load: Load
) -> None:
    guard = {"allow_http": True, "allow_networks": ["127.0.0.0/8"]}

    settings = load(mock_kafka.bootstrap_servers, url="http://127.0.0.1:1/", guard=guard)
    found = await examined(settings, with_endpoints=True)

    count, failure = found["endpoints"]
    assert count.text == "0 of 1 hosts take connections"
    assert failure.verdict == "problem"
    assert failure.text.startswith("http://127.0.0.1:1 (partner): no connection to")


async def test_what_is_wrong_with_all_alike_is_told_of_the_first_twenty(
    mock_kafka: MockCluster, load: Load, tmp_path: Path
) -> None:
    guard = {"allow_http": True, "allow_networks": ["127.0.0.0/8"]}
    settings = load(mock_kafka.bootstrap_servers, guard=guard)
    secret = {"current": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    many = [
        {"id": f"p{n}", "url": f"http://127.0.0.{n}:1/", "events": ["*"], "secrets": secret}
        for n in range(1, 24)
    ]
    (tmp_path / "subscriptions.yaml").write_text(json.dumps({"subscriptions": many}))

    found = await examined(settings, with_endpoints=True)

    assert len(found["endpoints"]) == 22
    assert found["endpoints"][-1] == Finding("endpoints", "problem", "and 3 more like these")


async def test_without_sound_subscriptions_no_endpoint_is_looked_at(
    mock_kafka: MockCluster, load: Load
) -> None:
    settings = load(mock_kafka.bootstrap_servers, url="ftp://partner.example/")

    found = await examined(settings, with_endpoints=True)

    assert verdicts(found)["endpoints"] == ["unknown"]


async def test_endpoints_that_hang_are_given_up_in_time(
    mock_kafka: MockCluster, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.app.doctor.subscribers.REACH_BUDGET_S", 0.1)
    silent = socket.create_server(("127.0.0.1", 0))  # accepts, and never speaks TLS
    url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
    settings = load(mock_kafka.bootstrap_servers, url=url, guard={"allow_networks": ["127.0.0.0/8"]})

    found = await examined(settings, with_endpoints=True)

    silent.close()
    assert found["endpoints"][1] == Finding("endpoints", "unknown", "1 hosts were not tried in time")


# ── one fact at a time ──────────────────────────────────────────────────────────────────────────


def test_too_few_open_files_for_what_may_be_in_flight_are_warned_of(load: Load) -> None:
    settings = load("k:9092")

    assert file_limit(settings, hard_limit=2_810)[0].verdict == "ok"
    (finding,) = file_limit(settings, hard_limit=2_809)
    assert finding.verdict == "warning"
    assert finding.cure == "raise the hard limit (ulimit -Hn 2810), or lower delivery.in_flight_max"


def test_a_drain_longer_than_a_third_of_the_poll_interval_is_warned_of(load: Load) -> None:
    servers = {"bootstrap_servers": "k:9092", "properties": {"max.poll.interval.ms": 29_999}}

    assert poll_settings(load("k:9092"))[0].verdict == "ok"
    (finding,) = poll_settings(load("k:9092", kafka=servers))
    assert finding.verdict == "warning"
    assert "more than a third of max.poll.interval.ms (29999 ms)" in finding.text


@pytest.mark.parametrize(
    ("other_s", "verdict", "words"),
    [
        (996, "ok", "agrees"),
        (995, "warning", "5 s ahead of"),
        (1_005, "warning", "5 s behind"),
        (1_120, "problem", "120 s behind"),
        (None, "unknown", "not checked"),
    ],
)
def test_clocks_are_compared_as_far_as_a_date_can_tell(other_s: int | None, verdict: str, words: str) -> None:
    finding = clock(other_s, now_s=1_000)

    assert finding.verdict == verdict
    assert words in finding.text


def test_who_does_not_answer_decides_the_exit_code_before_what_is_wrong() -> None:
    fine, wrong = Finding("a", "warning", "b"), Finding("a", "problem", "b")

    assert exit_code([fine]) == 0
    assert exit_code([fine, wrong]) == 1
    assert exit_code([wrong, Finding("a", "unreachable", "b")]) == 3


# ── time ────────────────────────────────────────────────────────────────────────────────────────


async def test_what_hangs_is_given_up_and_hides_nothing_else() -> None:
    async def hang() -> list[Finding]:
        await asyncio.Event().wait()
        return []

    async def answer() -> list[Finding]:
        return [Finding("quick", "ok", "here")]

    examinations = [Examination("slow", hang), Examination("quick", answer)]
    found = [finding async for finding in examine(examinations, budget_s=0.05)]

    assert found == [
        Finding("slow", "unreachable", "no answer in time"),
        Finding("quick", "ok", "here"),
    ]


def test_brokers_and_a_registry_that_swallow_everything_end_with_3_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], load: Load
) -> None:
    monkeypatch.setattr("connector.kafka.cluster.CALL_TIMEOUT_S", 0.5)
    silent = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    kafka, registry = (f"127.0.0.1:{each.getsockname()[1]}" for each in silent)
    load(kafka, registry={"urls": [f"http://{registry}"], "timeout_ms": 500})
    started = time.monotonic()

    code = main(["doctor", "--config", str(tmp_path / "settings.yaml")])

    took_s = time.monotonic() - started
    for each in silent:
        each.close()
    out = capsys.readouterr().out
    assert code == 3
    assert took_s < 10
    assert "✓ subscriptions: 1 in " in out
    assert "✗ Kafka: the cluster does not answer" in out
    assert "    → check kafka.bootstrap_servers" in out
    assert "- own topics: not checked: Kafka does not answer" in out
    assert "✗ schema registry: " in out
    assert out.rstrip().endswith("2 to be mended, 0 to be looked at.")


def test_the_findings_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], load: Load
) -> None:
    monkeypatch.setattr("connector.kafka.cluster.CALL_TIMEOUT_S", 0.2)
    load("127.0.0.1:1")

    code = main(["doctor", "--json", "--config", str(tmp_path / "settings.yaml")])

    findings = json.loads(capsys.readouterr().out)["findings"]
    assert code == 3
    assert {
        "subject": "start",
        "verdict": "unknown",
        "text": "not checked: Kafka does not answer",
        "cure": "",
    } in (findings)


def test_a_property_that_cannot_be_used_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], load: Load
) -> None:
    load("k:9092")
    given = {"kafka": {"bootstrap_servers": "k:9092", "properties": {"security.protocl": "ssl"}}}
    (tmp_path / "settings.yaml").write_text(json.dumps(given))

    code = main(["doctor", "--config", str(tmp_path / "settings.yaml")])

    assert code == 2
    told = "settings.yaml:1:58: kafka.properties.security.protocl: librdkafka has no such property; did you "
    assert told in capsys.readouterr().err


def test_help_explains_the_marks_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--help"]) == 0

    out = capsys.readouterr().out
    assert "works, and may bite" in out
    assert "exit codes:" in out
