"""The topics of a cluster, for the loop: which exist, and whether our own are as they must be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence

from connector.core.topic_check import Problem, TopicSpec, check, missing, replication, settings
from connector.engine.ports import Capabilities
from connector.kafka.access import Access
from connector.kafka.cluster import APACHE_KAFKA, CALL_TIMEOUT_S, Cluster, TopicLook
from connector.kafka.errors import KafkaTrouble
from connector.kafka.tools import tool_options

_LOOK_EVERY_S = 0.02


class Topics:
    """Every call is bounded and raises :class:`~connector.kafka.errors.KafkaTrouble` when the cluster
    does not answer. Cancelling a call lets the request run out by itself."""

    def __init__(self, access: Access, capabilities: Capabilities = APACHE_KAFKA) -> None:
        self._cluster = Cluster(access, capabilities)

    @property
    def capabilities(self) -> Capabilities:
        return self._cluster.capabilities

    async def brokers(self) -> list[int]:
        """Ids of the brokers."""
        return await asyncio.to_thread(self._cluster.brokers)

    async def names(self) -> list[str]:
        """Every topic this user may see, sorted."""
        return await asyncio.to_thread(self._cluster.names)

    async def look(self, topics: Collection[str], *, with_operations: bool = False) -> dict[str, TopicLook]:
        """Partitions and id of each topic, or why it cannot be seen; what this user may do with it
        when asked for (empty where the cluster does not say)."""
        return await asyncio.to_thread(self._cluster.look, topics, with_operations=with_operations)

    async def ensure(
        self,
        specs: Sequence[TopicSpec],
        *,
        may_create: bool,
        allow_single_replica: bool,
        replicas: int = 3,
    ) -> list[Problem]:
        """Create what is missing, if allowed and possible; check what exists, where the cluster can
        describe it. ``replicas`` are those of a topic created; fewer are allowed only where the cluster
        has fewer brokers and one may do. Returns what is wrong and how to mend it; empty when all is well."""
        return await asyncio.to_thread(
            self._ensure,
            specs,
            may_create=may_create,
            allow_single_replica=allow_single_replica,
            replicas=replicas,
        )

    def _ensure(
        self, specs: Sequence[TopicSpec], *, may_create: bool, allow_single_replica: bool, replicas: int
    ) -> list[Problem]:
        cluster = self._cluster
        brokers = cluster.brokers()
        replicas = replication(len(brokers), allow_single_replica=allow_single_replica, wanted=replicas)
        looks = cluster.look([spec.name for spec in specs])
        options = tool_options(cluster.access)
        problems: list[Problem] = []
        created: set[str] = set()
        for spec in specs:
            absence = looks[spec.name].absence
            if absence == "forbidden":
                problems.append(_forbidden(spec.name, options))
            elif absence == "missing" and replicas > len(brokers):
                problems.append(_too_few_brokers(spec.name, brokers=len(brokers), replicas=replicas))
            elif absence == "missing" and may_create and cluster.capabilities.can_create_topics:
                refused = self._create(spec, replicas=replicas)
                problems += refused
                if not refused:
                    created.add(spec.name)
            elif absence == "missing":
                problems.append(missing(spec, tool_options=options, replicas=replicas))
            elif cluster.capabilities.can_describe_topics:
                found = cluster.found(spec.name, brokers)
                problems += check(
                    spec,
                    found,
                    tool_options=options,
                    allow_single_replica=allow_single_replica,
                )
        self._until_seen(created)
        return problems

    def _until_seen(self, topics: set[str]) -> None:
        """A broker hears of a new topic a moment after the controller has made it; until then whoever looks
        next would miss it."""
        deadline = time.monotonic() + CALL_TIMEOUT_S
        while unseen := topics - set(self._cluster.names() if topics else ()):
            if time.monotonic() > deadline:
                raise KafkaTrouble(f"topic {min(unseen)} was created and cannot be seen yet")
            time.sleep(_LOOK_EVERY_S)

    def _create(self, spec: TopicSpec, *, replicas: int) -> list[Problem]:
        """What keeps the topic from being created for good; trying again is for what passes."""
        wanted = settings(spec, replicas=replicas)
        try:
            self._cluster.create(spec.name, partitions=spec.partitions, replicas=replicas, settings=wanted)
        except KafkaTrouble as trouble:
            if not trouble.is_fatal:
                raise
            options = tool_options(self._cluster.access)
            by_hand = missing(spec, tool_options=options, replicas=replicas).cure
            return [Problem(spec.name, trouble.what, f"another prefix, or, as a user who may: {by_hand}")]
        return []


def _too_few_brokers(topic: str, *, brokers: int, replicas: int) -> Problem:
    return Problem(
        topic,
        f"it does not exist, it needs {replicas} replicas, and the cluster has {brokers} broker(s)",
        "more brokers, or --allow-single-replica where loss may be",
    )


def _forbidden(topic: str, options: str) -> Problem:
    return Problem(
        topic,
        "this user may not see it",
        f"kafka-acls.sh {options} --add --allow-principal User:<user> --operation Read --operation Write "
        f"--operation Describe --operation DescribeConfigs --topic {topic}",
    )
