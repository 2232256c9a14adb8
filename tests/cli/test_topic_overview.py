"""The topics of a cluster that can neither create nor describe any: Kafka's built-in one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connector.app.topic_overview import OwnTopic, SourceTopic, TopicOverview
from connector.cli.main import main
from connector.core.topic_check import TopicRole
from connector.kafka.errors import KafkaTrouble
from connector.kafka.mock_cluster import CAPABILITIES, MockCluster
from connector.settings import Flag, Settings, load_settings
from connector.settings.subscription_rules import subscription_rules
from connector.subscriptions.file import Loaded, load_subscriptions
from tests.support.mock_kafka import mock_kafka

__all__ = ["mock_kafka"]

PARTNER = {
    "id": "partner",
    "url": "https://partner.example/hook",
    "events": ["*"],
    "dialect": "webhooks-v1",
    "ladder": ["30s", "5m"],
    "secrets": {"current": "correct-horse"},
}


def settings_of(servers: str, topics: list[object]) -> Settings:
    return load_settings(
        [
            Flag(name="test", path="kafka.bootstrap_servers", value=servers),
            Flag(name="test", path="topics", value=json.dumps(topics)),
            Flag(name="test", path="own_topics.allow_single_replica", value=True),
        ]
    )


def overview_of(folder: Path, settings: Settings) -> TopicOverview:
    (folder / "subscriptions.yaml").write_text(json.dumps({"subscriptions": [PARTNER]}))
    loaded = load_subscriptions(folder / "subscriptions.yaml", subscription_rules(settings))
    assert isinstance(loaded, Loaded)
    return TopicOverview(settings, loaded.subscriptions, CAPABILITIES)


async def test_sources_are_those_named_and_those_a_pattern_matches(
    mock_kafka: MockCluster, tmp_path: Path
) -> None:
    mock_kafka.create_topic("post.created", 3)
    mock_kafka.create_topic("post.deleted")
    mock_kafka.create_topic("user.created")
    settings = settings_of(
        mock_kafka.bootstrap_servers, [{"pattern": r"post\..*", "format": "json"}, "payment.failed"]
    )

    sources = await overview_of(tmp_path, settings).sources()

    assert sources == [
        SourceTopic(name="payment.failed", format="confluent", partitions=0, id="", absence="missing"),
        SourceTopic(name="post.created", format="json", partitions=3, id="", absence=""),
        SourceTopic(name="post.deleted", format="json", partitions=1, id="", absence=""),
    ]


async def test_own_topics_are_those_needed_and_tiers_that_were(
    mock_kafka: MockCluster, tmp_path: Path
) -> None:
    mock_kafka.create_topic("webhooks.retry.30s", 2)
    mock_kafka.create_topic("webhooks.retry.2h", 2)
    settings = settings_of(mock_kafka.bootstrap_servers, ["post.created"])

    own = await overview_of(tmp_path, settings).own()

    def topic(name: str, role: TopicRole, *, delay_ms: int = 0, partitions: int = 0) -> OwnTopic:
        return OwnTopic(
            name=f"webhooks.{name}",
            role=role,
            delay_ms=delay_ms,
            partitions=partitions,
            absence="" if partitions else "missing",
            is_needed=name != "retry.2h",
        )

    assert own == [
        topic("dead-letters", "dead-letters"),
        topic("operator-events", "operator-events"),
        topic("parked", "parked"),
        topic("shared", "state"),
        topic("sources", "state"),
        topic("retry.5s", "tier", delay_ms=5_000),
        topic("retry.30s", "tier", delay_ms=30_000, partitions=2),
        topic("retry.2m", "tier", delay_ms=120_000),
        topic("retry.5m", "tier", delay_ms=300_000),
        topic("retry.2h", "tier", delay_ms=7_200_000, partitions=2),
    ]


async def test_each_missing_topic_is_a_problem_with_the_command_that_makes_it(
    mock_kafka: MockCluster, tmp_path: Path
) -> None:
    tiers = ("retry.5s", "retry.30s", "retry.2m", "retry.5m")
    for own in (*tiers, "dead-letters", "sources", "shared", "operator-events"):
        mock_kafka.create_topic(f"webhooks.{own}")
    settings = settings_of(mock_kafka.bootstrap_servers, ["post.created"])

    problems = await overview_of(tmp_path, settings).problems()

    servers = mock_kafka.bootstrap_servers
    assert [(problem.topic, problem.what) for problem in problems] == [
        ("post.created", "it is to be read and does not exist"),
        ("webhooks.parked", "it does not exist"),
    ]
    assert problems[0].cure.startswith(
        f"kafka-topics.sh --bootstrap-server {servers} --create --topic post.created"
    )
    assert "--config retention.ms=-1" in problems[1].cure


async def test_a_cluster_that_cannot_create_makes_nothing_and_says_what_is_missing(
    mock_kafka: MockCluster, tmp_path: Path
) -> None:
    settings = settings_of(mock_kafka.bootstrap_servers, ["post.created"])

    created = await overview_of(tmp_path, settings).create()

    assert created.made == ()
    assert len(created.problems) == 9


async def test_a_pattern_that_matches_nothing_is_a_problem(mock_kafka: MockCluster, tmp_path: Path) -> None:
    settings = settings_of(mock_kafka.bootstrap_servers, [{"pattern": r"post\..*"}])

    problems = await overview_of(tmp_path, settings).source_problems()

    assert [(problem.topic, problem.what) for problem in problems] == [(r"post\..*", "no topic matches")]


async def test_a_topic_that_may_not_be_seen_is_a_problem_with_the_acl_it_needs(
    mock_kafka: MockCluster, tmp_path: Path
) -> None:
    mock_kafka.create_topic("post.created")
    mock_kafka.fail_topic("post.created", 29)  # TOPIC_AUTHORIZATION_FAILED
    settings = settings_of(mock_kafka.bootstrap_servers, ["post.created"])

    (problem,) = await overview_of(tmp_path, settings).source_problems()

    assert problem.what == "it is to be read and this user may not see it"
    assert "--operation Read --operation Describe --topic post.created" in problem.cure


# ── the commands around it ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("action", ["list", "create", "check"])
def test_a_cluster_that_does_not_answer_ends_with_3(
    action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("connector.kafka.cluster.CALL_TIMEOUT_S", 0.2)
    (tmp_path / "subscriptions.yaml").write_text(json.dumps({"subscriptions": [PARTNER]}))

    code = main(["topics", action, "--bootstrap-servers", "127.0.0.1:1", "--topic", "post.created"])

    assert code == 3
    assert "the cluster does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "kafka.bootstrap_servers: is missing"),
        (("--bootstrap-servers", "k:9092"), 2, "topics: is missing"),
        (
            ("--bootstrap-servers", "k:9092", "--topic", "a", "--set", "kafka.properties.nonsense=1"),
            2,
            "flag --set kafka.properties.nonsense: kafka.properties.nonsense: librdkafka has no such",
        ),
        (
            ("--bootstrap-servers", "k:9092", "--topic", "a", "--set", "kafka.properties.partitioner=random"),
            2,
            "partitioner is set by the connector",
        ),
        (("--bootstrap-servers", "k:9092", "--topic", "a", "--subscriptions", "none"), 1, "none"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "subscriptions.yaml").write_text(json.dumps({"subscriptions": [PARTNER]}))

    assert main(["topics", "check", *words]) == code

    assert message in capsys.readouterr().err


def test_help_shows_examples_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("list", "create", "check"):
        assert main(["topics", action, "--help"]) == 0
        out = capsys.readouterr().out
        assert "examples:" in out
        assert "exit codes:" in out


async def test_trouble_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.kafka.cluster.CALL_TIMEOUT_S", 0.2)

    with pytest.raises(KafkaTrouble, match="the cluster does not answer"):
        await overview_of(tmp_path, settings_of("127.0.0.1:1", ["a"])).sources()


async def test_a_topic_that_this_cluster_has_too_few_brokers_for_comes_with_no_command_that_must_fail(
    mock_kafka: MockCluster, tmp_path: Path
) -> None:
    flags = [
        Flag(name="test", path="kafka.bootstrap_servers", value=mock_kafka.bootstrap_servers),
        Flag(name="test", path="topics", value='["post.created"]'),
    ]

    problems = await overview_of(tmp_path, load_settings(flags)).problems()

    assert {problem.cure for problem in problems if problem.topic.startswith("webhooks.")} == {
        "more brokers, or --allow-single-replica where loss may be"
    }
