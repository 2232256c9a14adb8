"""Fills the domain topics and ends: for trying the connector itself out, on a real cluster.

Topics are made where they are missing. When one of them holds records already nothing is written, so that
it may be run again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection

from connector.app.adapters import access_of
from connector.avro.registry import SchemaRegistry
from connector.demo.cluster import DemoCluster
from connector.demo.feed import Feed
from connector.demo.records import Recorder
from connector.demo.scenario import Scenario
from connector.demo.setup import Progress, create_topics, register_schemas, topics_by_type
from connector.engine.ports import TopicPartition
from connector.kafka.cluster import Cluster
from connector.kafka.errors import KafkaTrouble
from connector.kafka.writer import KafkaWriter, WriterSettings

_LEADERS_WITHIN_S = 15.0
_LOOK_EVERY_S = 0.2


async def seed(
    cluster: DemoCluster,
    registry: SchemaRegistry,
    scenario: Scenario,
    *,
    name: str,
    progress: Progress,
    faulted: Callable[[str], None],
) -> int:
    """How many records were written: all of ``scenario``, or none because there are some already.

    Raises :class:`~connector.demo.failed.DemoFailed`, and what Kafka and the registry raise.
    """
    topics = topics_by_type(cluster.topic_prefix)
    await create_topics(cluster, list(topics.values()), progress)
    if await asyncio.to_thread(_count, cluster, topics.values()):
        return 0
    schema_ids = await register_schemas(registry, cluster.topic_prefix, progress)
    writer = KafkaWriter(access_of(cluster.kafka), WriterSettings(), faulted=faulted)
    try:
        feed = Feed(scenario, topics=topics, recorder=Recorder(schema_ids, run=name), writer=writer)
        await feed.run_at_once()
    finally:
        await writer.close()
    progress("writing records", feed.count, feed.count)
    return feed.count


def _count(cluster: DemoCluster, topics: Collection[str]) -> int:
    """The records in ``topics``, those that retention has taken included. It waits for the leaders of topics
    made just now: a broker may not know yet that it is one."""
    kafka = Cluster(access_of(cluster.kafka), cluster.capabilities)
    deadline_s = time.monotonic() + _LEADERS_WITHIN_S
    while True:
        try:
            looks = kafka.look(topics).values()
            tps = [TopicPartition(look.topic, number) for look in looks for number in range(look.partitions)]
            return sum(kafka.offsets(tps, "latest").values())
        except KafkaTrouble as trouble:
            if trouble.is_fatal or time.monotonic() > deadline_s:
                raise
        time.sleep(_LOOK_EVERY_S)
