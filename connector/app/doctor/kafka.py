"""The clusters: within reach, topics readable and as they must be, permissions, group, and where to begin."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from connector.app.adapters import access_of
from connector.app.beginnings import never_begun, owners_beside, shared_prefix
from connector.app.doctor.finding import Finding
from connector.app.own_topics import OwnTopics
from connector.app.topic_overview import TopicOverview
from connector.core.subscription import Subscription
from connector.core.topic_check import Problem
from connector.core.topic_names import matched
from connector.engine.ports import Capabilities
from connector.kafka.cluster import APACHE_KAFKA, Cluster, TopicLook
from connector.kafka.errors import KafkaTrouble
from connector.kafka.tools import tool_options
from connector.kafka.topics import Topics
from connector.settings import Settings

RETENTION_MS_MIN = 24 * 60 * 60 * 1000
"""An outage over a night and a morning; what a topic deletes meanwhile is lost."""
RETENTIONS_MAX = 50
"""Topics whose settings are looked at; each takes two requests."""

Findings = list[Finding]


class KafkaExaminations:
    """Each method is one examination. ``subscriptions`` gives those of the file when it has been read."""

    def __init__(
        self,
        settings: Settings,
        subscriptions: Callable[[], Awaitable[Sequence[Subscription]]],
        capabilities: Capabilities = APACHE_KAFKA,
    ) -> None:
        """Raises :class:`~connector.kafka.access.BadProperty` and
        :class:`~connector.kafka.errors.KafkaTrouble` for properties that cannot be used."""
        self._settings = settings
        self._subscriptions = subscriptions
        self._capabilities = capabilities
        access, own_access = access_of(settings.kafka), access_of(settings.own_cluster)
        self._cluster = Cluster(access, capabilities)
        self._topics = Topics(access, capabilities)
        self._own_cluster = Topics(own_access, capabilities)
        self._tool_options, self._own_tool_options = tool_options(access), tool_options(own_access)
        self._own_topics = OwnTopics(settings, self._own_cluster)
        self._reaching: asyncio.Task[str] | None = None

    async def brokers(self) -> Findings:
        started_ns = time.monotonic_ns()
        if trouble := await self._out_of_reach():
            cure = "check kafka.bootstrap_servers, the network, and SASL or SSL in kafka.properties"
            return [Finding("Kafka", "unreachable", trouble, cure)]
        took_ms = (time.monotonic_ns() - started_ns) // 1_000_000
        count = len(await self._topics.brokers())
        return [Finding("Kafka", "ok", f"{count} broker(s) answer, the first in {took_ms} ms")]

    async def sources(self) -> Findings:
        """Exist, may be read, and keep their records long enough."""
        if await self._out_of_reach():
            return [_not_checked("source topics")]
        overview = TopicOverview(self._settings, (), self._capabilities)
        problems = await overview.source_problems()
        looks = await self._source_looks()
        readable = [look for look in looks if not look.absence]
        forbidden = [
            finding
            for look in readable
            for finding in _permissions(look, ("READ", "DESCRIBE"), self._tool_options)
        ]
        found = [
            *([Finding("source topics", "ok", _counted(readable))] if readable else []),
            *_as_findings("source topics", problems),
            *forbidden,
        ]
        return [*found, *await asyncio.to_thread(self._retentions, readable)]

    async def own(self) -> Findings:
        """Exist and are as they must be, and may be read and written. Nothing is created."""
        if await self._out_of_reach():
            return [_not_checked("own topics")]
        subscriptions = await self._subscriptions()
        if not subscriptions:
            return [Finding("own topics", "unknown", "not checked: the subscriptions say which are needed")]
        problems = await self._own_topics.ensure(subscriptions, may_create=False)
        specs = self._own_topics.specs(subscriptions)
        looks = await self._own_cluster.look([spec.name for spec in specs], with_operations=True)
        present = [look for look in looks.values() if not look.absence]
        forbidden = [
            finding
            for look in present
            for finding in _permissions(look, ("READ", "WRITE"), self._own_tool_options)
        ]
        text = f"{len(present)} of {len(specs)} exist"
        return [
            *([Finding("own topics", "ok", text)] if present else []),
            *self._missing_or_wrong(problems, {look.topic for look in present}),
            *forbidden,
        ]

    async def prefix(self) -> Findings:
        """Whether it is this group's alone."""
        if await self._out_of_reach():
            return [_not_checked("prefix")]
        others = await asyncio.to_thread(owners_beside, self._settings, self._capabilities)
        if others:
            what, cure = shared_prefix(self._settings, others)
            return [Finding("prefix", "problem", what, cure)]
        return [Finding("prefix", "ok", f"no other group uses {self._settings.prefix}")]

    async def group(self) -> Findings:
        """Who is in it, and whether this user may be."""
        if await self._out_of_reach():
            return [_not_checked("group")]
        name = self._settings.group
        try:
            look = await asyncio.to_thread(self._cluster.group, name)
        except KafkaTrouble as trouble:
            return [Finding("group", "unknown", f"not checked: {trouble.what}")]
        may_read = not look.operations or "READ" in look.operations
        if look.is_forbidden or (look.state and not may_read):
            cure = (
                f"kafka-acls.sh {self._tool_options} --add --allow-principal User:<user> "
                f"--operation Read --group {name} --resource-pattern-type prefixed"
            )
            return [Finding("group", "problem", f"this user may not join {name}", cure)]
        if not look.state:
            return [Finding("group", "ok", f"{name} does not exist yet")]
        return [Finding("group", "ok", f"{name} is {look.state}, {look.members} member(s)")]

    async def beginning(self) -> Findings:
        """Whether it is said where topics are begun that this group has never read."""
        if await self._out_of_reach():
            return [_not_checked("start")]
        if self._settings.start is not None:
            return [Finding("start", "ok", "it is set where a topic never read before is begun")]
        looks = [look for look in await self._source_looks() if not look.absence]
        fresh = await asyncio.to_thread(never_begun, self._settings, looks, self._capabilities)
        if not fresh:
            return [Finding("start", "ok", "not set, and not needed: every topic has been begun")]
        cure = (
            "set start: latest (passes over what is there), earliest (may send partners years of history), "
            "or a time"
        )
        text = f"group {self._settings.group} has never read {_some(fresh)}, and start is not set"
        return [Finding("start", "problem", text, cure)]

    # ── asked once ──────────────────────────────────────────────────────────────────────────────

    async def _out_of_reach(self) -> str:
        """Why a cluster cannot be reached; empty when both can. Asked once, for all examinations."""
        if self._reaching is None:
            self._reaching = asyncio.create_task(self._reach())
        return await asyncio.shield(self._reaching)

    async def _reach(self) -> str:
        try:
            await self._topics.brokers()
            await self._own_cluster.brokers()
        except KafkaTrouble as trouble:
            return trouble.what
        return ""

    async def _source_looks(self) -> list[TopicLook]:
        names = matched(self._settings.source_topics(), await self._topics.names())
        return list((await self._topics.look(names, with_operations=True)).values())

    # ── looked at in a thread ───────────────────────────────────────────────────────────────────

    def _retentions(self, looks: Sequence[TopicLook]) -> Findings:
        if not self._capabilities.can_describe_topics:
            return []
        short = []
        for look in looks[:RETENTIONS_MAX]:
            try:
                retention = self._cluster.found(look.topic, ()).settings.get("retention.ms", "-1")
            except KafkaTrouble:
                return []  # a reader need not be allowed to see settings
            if 0 <= int(retention) < RETENTION_MS_MIN:
                short.append(f"{look.topic} ({retention} ms)")
        if not short:
            return []
        text = f"records are deleted within a day in {_some(short)}: an outage longer than that loses events"
        return [Finding("source topics", "warning", text, "raise retention.ms if that may not be")]

    # ── words ───────────────────────────────────────────────────────────────────────────────────

    def _missing_or_wrong(self, problems: Iterable[Problem], present: Collection[str]) -> Findings:
        """A missing topic that the worker creates by itself is worth a word and no alarm."""
        found = []
        for problem in problems:
            is_made_later = problem.topic not in present and self._settings.own_topics.create
            if is_made_later and problem.what == "it does not exist":
                text, cure = f"{problem.topic} does not exist yet", "run creates it, as does topics create"
                found.append(Finding("own topics", "warning", text, cure))
            else:
                found += _as_findings("own topics", [problem])
        return found


def _permissions(look: TopicLook, needed: Sequence[str], options: str) -> Findings:
    """Nothing where the cluster does not say what this user may do."""
    missing = [each for each in needed if look.operations and each not in look.operations]
    if not missing:
        return []
    operations = " ".join(f"--operation {each.capitalize()}" for each in missing)
    cure = f"kafka-acls.sh {options} --add --allow-principal User:<user> {operations} --topic {look.topic}"
    text = f"{look.topic}: this user may not {' or '.join(missing).lower()} it"
    return [Finding("permissions", "problem", text, cure)]


def _as_findings(subject: str, problems: Iterable[Problem]) -> Findings:
    return [Finding(subject, "problem", f"{each.topic}: {each.what}", each.cure) for each in problems]


def _not_checked(subject: str) -> Finding:
    return Finding(subject, "unknown", "not checked: Kafka does not answer")


def _counted(looks: Sequence[TopicLook]) -> str:
    return f"{len(looks)} with {sum(look.partitions for look in looks)} partitions can be seen"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
