"""What ``<prefix>.sources`` says before a group joins: whose the prefix is, which topics were never begun.

Asked at the start and by the doctor, so that what is wrong is said once, and before anything is read.
"""

from __future__ import annotations

from collections.abc import Collection

from connector.app.adapters import access_of, retry_group
from connector.core.start import begin, other_groups
from connector.core.topic_names import sources_topic
from connector.engine.ports import Capabilities, TopicPartition
from connector.kafka.cluster import Cluster, TopicLook
from connector.kafka.sources_store import Entries, SourcesStore
from connector.settings import Settings


def owners_beside(settings: Settings, capabilities: Capabilities) -> list[str]:
    """Other groups whose connector uses this prefix already, without the groups of their tiers. Blocks;
    writes nothing; raises :class:`~connector.kafka.errors.KafkaTrouble` when the cluster does not answer."""
    entries = _entries(settings, capabilities)
    others = other_groups(entries.values(), (settings.group, retry_group(settings.group)))
    tiers = {retry_group(each) for each in others}
    return [each for each in others if each not in tiers]


def shared_prefix(settings: Settings, others: Collection[str]) -> tuple[str, str]:
    """What is wrong when :func:`owners_beside` found ``others``, and the cure."""
    what = (
        f"prefix {settings.prefix} belongs to another connector, of group {', '.join(others)}: two would "
        "read each other's retries"
    )
    cure = f"set a prefix of its own for group {settings.group}, or, for one more worker there, its group"
    return what, cure


def never_begun(settings: Settings, looks: Collection[TopicLook], capabilities: Capabilities) -> list[str]:
    """Of ``looks``, the topics that need the ``start`` setting: their group has neither committed offsets
    nor entries in the sources topic. Blocks; writes nothing; raises
    :class:`~connector.kafka.errors.KafkaTrouble` when a cluster does not answer."""
    cluster = Cluster(access_of(settings.kafka), capabilities)
    entries = _entries(settings, capabilities)
    fresh = []
    for look in looks:
        tps = [TopicPartition(look.topic, partition) for partition in range(look.partitions)]
        committed = cluster.committed(settings.group, tps)
        beginning = begin(
            entries,
            group=settings.group,
            topic=look.topic,
            topic_id=look.id,
            partitions=look.partitions,
            committed={tp.partition: offset for tp, offset in committed.items()},
        )
        if beginning.by_rule:
            fresh.append(look.topic)
    return fresh


def _entries(settings: Settings, capabilities: Capabilities) -> Entries:
    """None where the topic does not exist, or may not be seen: both are told with the connector's topics."""
    topic = sources_topic(settings.prefix)
    own = Cluster(access_of(settings.own_cluster), capabilities)
    if own.look([topic])[topic].absence:
        return {}
    store = SourcesStore(own, topic)
    try:
        return store.read()
    finally:
        store.close()
