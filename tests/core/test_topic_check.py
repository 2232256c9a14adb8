"""What our own topics must be like, and the commands that mend them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.core.topic_check import (
    Problem,
    TopicFound,
    TopicSpec,
    check,
    missing,
    replication,
    settings,
)

TIER = TopicSpec(
    name="hooks.retry.30s", role="tier", partitions=2, message_bytes_max=2_000_000, delay_ms=30_000
)
DEAD = replace(TIER, name="hooks.dead-letters", role="dead-letters", delay_ms=0)
PARKED = replace(TIER, name="hooks.parked", role="parked", delay_ms=0)
STATE = replace(TIER, name="hooks.sources", role="state", partitions=1, delay_ms=0)

CONFIGS = "kafka-configs.sh --bootstrap-server b:9092 --alter --entity-type topics --entity-name "


def found(spec: TopicSpec, **changes: str) -> TopicFound:
    changed = {name.replace("_", "."): value for name, value in changes.items()}
    return TopicFound(
        replicas={p: [1, 2, 3] for p in range(spec.partitions)},
        brokers=[1, 2, 3],
        settings=settings(spec, replicas=3) | changed,
    )


def problems(spec: TopicSpec, topic: TopicFound, *, allow_single_replica: bool = False) -> list[Problem]:
    reach = "--bootstrap-server b:9092"
    return check(spec, topic, tool_options=reach, allow_single_replica=allow_single_replica)


@pytest.mark.parametrize("spec", [TIER, DEAD, PARKED, STATE])
def test_a_topic_as_we_create_it_is_right(spec: TopicSpec) -> None:
    assert problems(spec, found(spec)) == []


@pytest.mark.parametrize(
    ("spec", "setting", "value", "mended"),
    [
        (TIER, "cleanup_policy", "compact", "cleanup.policy=delete"),
        (TIER, "cleanup_policy", "compact,delete", "cleanup.policy=delete"),
        (STATE, "cleanup_policy", "delete", "cleanup.policy=compact"),
        (TIER, "message_timestamp_type", "CreateTime", "message.timestamp.type=LogAppendTime"),
        (TIER, "retention_ms", "604799999", "retention.ms=604800000"),
        (DEAD, "retention_ms", "604800000", "retention.ms=2592000000"),
        (PARKED, "retention_ms", "2592000000", "retention.ms=-1"),
        (TIER, "retention_bytes", "1000000", "retention.bytes=-1"),
        (TIER, "max_message_bytes", "1048588", "max.message.bytes=2000000"),
        (TIER, "min_insync_replicas", "1", "min.insync.replicas=2"),
        (TIER, "unclean_leader_election_enable", "true", "unclean.leader.election.enable=false"),
    ],
)
def test_each_wrong_setting_is_named_with_the_command_that_mends_it(
    spec: TopicSpec, setting: str, value: str, mended: str
) -> None:
    (problem,) = problems(spec, found(spec, **{setting: value}))

    assert value in problem.what or setting.startswith("unclean")
    assert problem.cure == f"{CONFIGS}{spec.name} --add-config {mended}"


def test_a_long_tier_keeps_four_times_its_delay() -> None:
    weeks = replace(TIER, delay_ms=14 * 86_400_000)

    assert settings(weeks, replicas=3)["retention.ms"] == str(56 * 86_400_000)


@pytest.mark.parametrize("spec", [TIER, DEAD])
def test_what_is_kept_for_ever_is_kept_long_enough(spec: TopicSpec) -> None:
    assert problems(spec, found(spec, retention_ms="-1")) == []


def test_too_few_partitions_are_added() -> None:
    few = replace(found(TIER), replicas={0: [1, 2, 3]})

    (problem,) = problems(TIER, few)

    assert problem.cure == (
        "kafka-topics.sh --bootstrap-server b:9092 --alter --topic hooks.retry.30s --partitions 2"
    )


def test_too_few_replicas_are_spread_over_the_brokers_there_are() -> None:
    topic = replace(found(TIER), replicas={0: [2], 1: [3]}, brokers=[1, 2, 3, 4])

    (problem,) = problems(TIER, topic)

    assert '{"topic":"hooks.retry.30s","partition":0,"replicas":[2,1,3]}' in problem.cure
    assert '{"topic":"hooks.retry.30s","partition":1,"replicas":[3,2,4]}' in problem.cure
    assert "kafka-reassign-partitions.sh" in problem.cure


def test_a_cluster_too_small_for_replicas_is_told_so() -> None:
    (problem,) = problems(TIER, replace(found(TIER), replicas={0: [1], 1: [1]}, brokers=[1]))

    assert "--allow-single-replica" in problem.cure


def test_one_replica_may_be_allowed() -> None:
    topic = replace(found(TIER, min_insync_replicas="1"), replicas={0: [1], 1: [1]}, brokers=[1])

    assert problems(TIER, topic, allow_single_replica=True) == []


@pytest.mark.parametrize(
    ("brokers", "allow_single_replica", "replicas"),
    [(1, True, 1), (5, True, 3), (1, False, 3), (5, False, 3)],
)
def test_replicas_of_a_new_topic(brokers: int, allow_single_replica: bool, replicas: int) -> None:
    assert replication(brokers, allow_single_replica=allow_single_replica) == replicas


def test_a_missing_topic_comes_with_the_whole_command_that_creates_it() -> None:
    problem = missing(TIER, tool_options="--bootstrap-server b:9092", replicas=3)

    assert str(problem) == (
        "topic hooks.retry.30s: it does not exist. Mend it with: kafka-topics.sh --bootstrap-server b:9092 "
        "--create --topic hooks.retry.30s --partitions 2 --replication-factor 3 "
        "--config cleanup.policy=delete --config max.message.bytes=2000000 --config min.insync.replicas=2 "
        "--config unclean.leader.election.enable=false --config retention.ms=604800000 "
        "--config retention.bytes=-1 --config message.timestamp.type=LogAppendTime"
    )
