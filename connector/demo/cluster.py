"""Where the demo's topics are: the cluster built into the Kafka client, or a real one.

The two differ in what they can do (:class:`~connector.engine.ports.Capabilities`), in how a topic comes to
be there, and in what has to be left behind. Nothing else in the demo asks which it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from connector.app.adapters import access_of
from connector.core.topic_check import replication
from connector.engine.ports import Capabilities
from connector.kafka.cluster import APACHE_KAFKA, Cluster
from connector.kafka.mock_cluster import CAPABILITIES, MockCluster
from connector.settings.kafka import KafkaSettings

PARTITIONS = 2
"""Of each topic: enough to see that there are several, few enough to make quickly."""


class DemoCluster(Protocol):
    """``kafka`` is how to reach it, ``what`` tells people what it is; ``topic_prefix`` begins the names of
    all topics of this run. Calls block."""

    kafka: KafkaSettings
    capabilities: Capabilities
    what: str
    topic_prefix: str

    def create_topic(self, name: str, *, partitions: int) -> None:
        """Raises :class:`~connector.kafka.errors.KafkaTrouble` when the cluster does not do it."""

    def close(self, *, groups: Sequence[str]) -> None:
        """Leave nothing behind, unless asked to. ``groups`` are those the run has used."""


class BuiltInCluster:
    """librdkafka's own small brokers, inside this process. Raises
    :class:`~connector.kafka.mock_cluster.MockUnavailable` when the client comes without them."""

    def __init__(self) -> None:
        self._brokers = MockCluster()
        access = self._brokers.access
        self.kafka = KafkaSettings.model_validate(
            {"bootstrap_servers": access.bootstrap_servers, "properties": access.properties}
        )
        self.capabilities = CAPABILITIES
        self.what = "the Kafka client's built-in cluster, inside this process: no real Kafka"
        self.topic_prefix = ""

    def create_topic(self, name: str, *, partitions: int) -> None:
        self._brokers.create_topic(name, partitions)

    def close(self, *, groups: Sequence[str]) -> None:
        del groups
        self._brokers.close()


class RealCluster:
    """A Kafka that is there for others too: names begin with ``topic_prefix``, and what was made is removed
    unless the topics are to be kept."""

    def __init__(self, kafka: KafkaSettings, *, topic_prefix: str, keep_topics: bool) -> None:
        self.kafka = kafka
        self.capabilities = APACHE_KAFKA
        self.what = f"Kafka at {kafka.bootstrap_servers}; all names begin with {topic_prefix}"
        self.topic_prefix = topic_prefix
        self._keep_topics = keep_topics
        self._cluster = Cluster(access_of(kafka), APACHE_KAFKA)
        self._has_made_any = False

    def create_topic(self, name: str, *, partitions: int) -> None:
        replicas = replication(len(self._cluster.brokers()), allow_single_replica=True)
        self._cluster.create(name, partitions=partitions, replicas=replicas, settings={})
        self._has_made_any = True

    def close(self, *, groups: Sequence[str]) -> None:
        if self._keep_topics or not self._has_made_any:
            return
        own = [name for name in self._cluster.names() if name.startswith(self.topic_prefix)]
        self._cluster.delete_topics(own)
        self._cluster.delete_groups(groups)
