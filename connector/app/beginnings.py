"""Which topics a group has never begun: asked before it joins, so that a missing setting is said at once."""

from __future__ import annotations

from collections.abc import Collection

from connector.app.adapters import access_of
from connector.core.start import begin
from connector.core.topic_names import sources_topic
from connector.engine.ports import Capabilities, TopicPartition
from connector.kafka.cluster import Cluster, TopicLook
from connector.kafka.sources_store import Entries, SourcesStore
from connector.settings import Settings


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
    topic = sources_topic(settings.prefix)
    own = Cluster(access_of(settings.own_cluster), capabilities)
    if own.look([topic])[topic].absence:
        return {}
    store = SourcesStore(own, topic)
    try:
        return store.read()
    finally:
        store.close()
