"""The connector's own topics: which are needed, that they are as they must be, and which tiers exist."""

from __future__ import annotations

from collections.abc import Sequence

from connector.core.ladder import tiers_of
from connector.core.subscription import Subscription
from connector.core.topic_check import Problem, TopicRole, TopicSpec
from connector.core.topic_names import (
    dead_letters_topic,
    operator_events_topic,
    parked_topic,
    shared_topic,
    sources_topic,
    tier_delay_ms,
    tier_topic,
)
from connector.kafka.topics import Topics
from connector.settings import Settings


class OwnTopics:
    """Keeps the topics under one prefix. Every call raises
    :class:`~connector.kafka.errors.KafkaTrouble` when the cluster does not answer."""

    def __init__(self, settings: Settings, topics: Topics) -> None:
        self._prefix = settings.prefix
        self._own = settings.own_topics
        self._topics = topics

    def specs(self, subscriptions: Sequence[Subscription]) -> list[TopicSpec]:
        """Every topic that these subscriptions need."""
        tiers = [self._spec_of_tier(delay_ms) for delay_ms in tiers_of(subscriptions)]
        return [
            *tiers,
            self._spec(
                dead_letters_topic(self._prefix),
                "dead-letters",
                retention_min_ms=self._own.dead_letters_retention_ms,
            ),
            self._spec(parked_topic(self._prefix), "parked"),
            self._spec(operator_events_topic(self._prefix), "operator-events"),
            self._spec(sources_topic(self._prefix), "state"),
            self._spec(shared_topic(self._prefix), "state"),
        ]

    async def ensure(
        self, subscriptions: Sequence[Subscription], *, may_create: bool | None = None
    ) -> list[Problem]:
        """Create what is missing (as the settings say, unless ``may_create`` does), check the rest."""
        return await self._topics.ensure(
            self.specs(subscriptions),
            may_create=self._own.create if may_create is None else may_create,
            allow_single_replica=self._own.allow_single_replica,
            replicas=self._own.replication_factor,
        )

    async def tiers(self) -> dict[int, str]:
        """The tiers that exist, delay to topic, shortest first, whether a ladder still uses them or not."""
        found = {
            delay_ms: name
            for name in await self._topics.names()
            if (delay_ms := tier_delay_ms(self._prefix, name)) is not None
        }
        return dict(sorted(found.items()))

    def _spec_of_tier(self, delay_ms: int) -> TopicSpec:
        return self._spec(
            tier_topic(self._prefix, delay_ms),
            "tier",
            delay_ms=delay_ms,
            retention_min_ms=self._own.tier_retention_min_ms,
        )

    def _spec(self, name: str, role: TopicRole, *, delay_ms: int = 0, retention_min_ms: int = 0) -> TopicSpec:
        return TopicSpec(
            name=name,
            role=role,
            partitions=1 if role in ("state", "operator-events") else self._own.partitions,
            message_bytes_max=self._own.max_message_bytes,
            delay_ms=delay_ms,
            retention_min_ms=retention_min_ms,
        )
