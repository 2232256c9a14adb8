"""Creating and checking the connector's own topics on a real Apache Kafka."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.core.start import StartAtTime
from connector.core.topic_check import TopicSpec
from connector.engine.ports import TopicPartition
from connector.kafka.access import Access
from connector.kafka.cluster import APACHE_KAFKA, Cluster
from connector.kafka.topics import Topics
from deploy.testbed import KafkaCluster
from tests.support.kafka_beds import ApacheBed
from tests.support.names import Names


def specs(names: Names) -> list[TopicSpec]:
    tier = TopicSpec(
        name=f"{names.prefix}.retry.30s",
        role="tier",
        partitions=2,
        message_bytes_max=2_000_000,
        delay_ms=30_000,
    )
    return [
        tier,
        replace(tier, name=f"{names.prefix}.dead-letters", role="dead-letters", delay_ms=0),
        replace(tier, name=f"{names.prefix}.parked", role="parked", delay_ms=0),
        replace(tier, name=f"{names.prefix}.sources", role="state", partitions=1, delay_ms=0),
    ]


@pytest.fixture
def topics(kafka: KafkaCluster) -> Topics:
    return Topics(Access(bootstrap_servers=kafka.bootstrap_servers), APACHE_KAFKA)


async def test_what_is_missing_is_created_as_it_must_be_and_then_found_right(
    kafka: KafkaCluster, topics: Topics, names: Names
) -> None:
    created = await topics.ensure(specs(names), may_create=True, allow_single_replica=True)
    again = await topics.ensure(specs(names), may_create=True, allow_single_replica=True)

    assert (created, again) == ([], [])
    assert kafka.topic_settings(f"{names.prefix}.retry.30s")["message.timestamp.type"] == "LogAppendTime"
    assert kafka.topic_settings(f"{names.prefix}.sources")["cleanup.policy"] == "compact"


async def test_what_is_missing_and_may_not_be_created_is_a_problem_with_its_command(
    topics: Topics, names: Names
) -> None:
    problems = await topics.ensure(specs(names), may_create=False, allow_single_replica=True)

    assert [problem.what for problem in problems] == ["it does not exist"] * 4
    assert all("kafka-topics.sh" in problem.cure for problem in problems)


async def test_what_exists_and_is_wrong_is_named_setting_by_setting(
    kafka: KafkaCluster, topics: Topics, names: Names
) -> None:
    kafka.create_topic(f"{names.prefix}.retry.30s", retention_ms=1_000, cleanup_policy="compact")

    problems = await topics.ensure(specs(names)[:1], may_create=True, allow_single_replica=False)

    cures = " ".join(problem.cure for problem in problems)
    for setting in (
        "cleanup.policy=delete",
        "message.timestamp.type=LogAppendTime",
        "retention.ms=604800000",
        "max.message.bytes=2000000",
        "--partitions 2",
        "min.insync.replicas=2",
        "--allow-single-replica",
    ):
        assert setting in cures


async def test_a_topic_is_shown_with_its_id_and_what_one_may_do(
    kafka: KafkaCluster, topics: Topics, names: Names
) -> None:
    kafka.create_topic(names.topic(), partitions=3)

    look = (await topics.look([names.topic()], with_operations=True))[names.topic()]

    assert look.partitions == 3
    assert len(look.id) == 22
    assert {"READ", "WRITE"} <= look.operations


def test_a_time_is_the_first_record_at_or_after_it_and_the_end_when_there_is_none(
    kafka: KafkaCluster, names: Names
) -> None:
    bed = ApacheBed(kafka, names)
    bed.create_topic(names.topic())
    bed.produce(names.topic(), [b"1", b"2"])
    cluster = Cluster(bed.access, APACHE_KAFKA)
    tp = TopicPartition(names.topic(), 0)

    assert cluster.offsets([tp], StartAtTime(1)) == {tp: 0}
    assert cluster.offsets([tp], StartAtTime(4_000_000_000_000)) == {tp: 2}
    assert cluster.log_range(tp) == (0, 2)
