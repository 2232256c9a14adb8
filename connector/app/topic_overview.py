"""The topics as they are: those read, and the connector's own, with everything that is wrong with them.

Looks only, except :meth:`TopicOverview.create`. Every call raises
:class:`~connector.kafka.errors.KafkaTrouble` when a cluster does not answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from connector.app.adapters import access_of, tool_login_of
from connector.app.own_topics import OwnTopics
from connector.core.subscription import Subscription
from connector.core.topic_check import Problem, TopicRole
from connector.core.topic_names import matched
from connector.engine.ports import Capabilities
from connector.kafka.cluster import APACHE_KAFKA, Absence, TopicLook
from connector.kafka.tools import tool_options
from connector.kafka.topics import Topics
from connector.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTopic:
    """A topic that is read. ``id`` is empty where the cluster gives none."""

    name: str
    format: str
    partitions: int
    id: str
    absence: Absence


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTopic:
    """A topic of the connector's. ``delay_ms`` is a tier's, else 0. What is not ``is_needed`` belongs to no
    ladder any more, and is still read."""

    name: str
    role: TopicRole
    delay_ms: int
    partitions: int
    absence: Absence
    is_needed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """Topics that exist now and did not before, and what is wrong with the rest."""

    made: tuple[str, ...]
    problems: tuple[Problem, ...]


class TopicOverview:
    """The topics of one connector: what its settings name and its subscriptions need."""

    def __init__(
        self,
        settings: Settings,
        subscriptions: Sequence[Subscription],
        capabilities: Capabilities = APACHE_KAFKA,
    ) -> None:
        self._settings = settings
        self._subscriptions = subscriptions
        access = access_of(settings.kafka)
        self._tool_options = tool_options(access)
        self._topics = Topics(access, capabilities)
        self._own_cluster = Topics(access_of(settings.own_cluster), capabilities)
        self._own_topics = OwnTopics(settings, self._own_cluster)

    async def sources(self) -> list[SourceTopic]:
        """What would be read now, sorted by name: every explicit name, and what the patterns match."""
        names = matched(self._settings.source_topics(), await self._topics.names())
        looks = await self._topics.look(names)
        return [self._source(looks[name]) for name in names]

    async def own(self) -> list[OwnTopic]:
        """What the subscriptions need, and tiers that no ladder uses any more."""
        specs = {spec.name: spec for spec in self._own_topics.specs(self._subscriptions)}
        tiers = await self._own_topics.tiers()
        unused = {name: delay_ms for delay_ms, name in tiers.items() if name not in specs}
        looks = await self._own_cluster.look([*specs, *unused])
        roles: dict[str, tuple[TopicRole, int]] = {
            name: ("tier", delay_ms) for name, delay_ms in unused.items()
        }
        roles |= {name: (spec.role, spec.delay_ms) for name, spec in specs.items()}
        return [
            OwnTopic(
                name=name,
                role=role,
                delay_ms=delay_ms,
                partitions=looks[name].partitions,
                absence=looks[name].absence,
                is_needed=name in specs,
            )
            for name, (role, delay_ms) in sorted(roles.items(), key=lambda each: (each[1], each[0]))
        ]

    async def create(self) -> Created:
        """Create what is missing, whether or not workers may."""
        existing = await self._own_cluster.names()
        problems = await self._own_topics.ensure(self._subscriptions, may_create=True)
        failed = {problem.topic for problem in problems}
        needed = (spec.name for spec in self._own_topics.specs(self._subscriptions))
        made = (name for name in needed if name not in failed and name not in existing)
        return Created(made=tuple(made), problems=tuple(problems))

    async def problems(self) -> list[Problem]:
        """Everything that would keep the connector from starting or a topic from being read."""
        return [
            *await self.source_problems(),
            *await self._own_topics.ensure(self._subscriptions, may_create=False),
        ]

    def tool_login(self, problems: Sequence[Problem]) -> str:
        """What the cures' commands must be told to be let in; empty when nothing."""
        return tool_login_of(self._settings, [problem.cure for problem in problems])

    async def source_problems(self) -> list[Problem]:
        """What is wrong with the topics read."""
        sources = await self.sources()
        if not sources:
            patterns = ", ".join(topic.pattern for topic in self._settings.topics if topic.pattern)
            return [
                Problem(patterns, "no topic matches", "another pattern, or wait: it is read once it appears")
            ]
        return [problem for source in sources if (problem := _source_problem(source, self._tool_options))]

    def _source(self, look: TopicLook) -> SourceTopic:
        topics = self._settings.topics
        return SourceTopic(
            name=look.topic,
            format=next(topic.format for topic in topics if re.fullmatch(topic.regex, look.topic)),
            partitions=look.partitions,
            id=look.id,
            absence=look.absence,
        )


def _source_problem(source: SourceTopic, options: str) -> Problem | None:
    match source.absence:
        case "missing":
            cure = (
                f"kafka-topics.sh {options} --create --topic {source.name}, or "
                "correct its name under topics; it is read once it appears"
            )
            return Problem(source.name, "it is to be read and does not exist", cure)
        case "forbidden":
            cure = (
                f"kafka-acls.sh {options} --add --allow-principal User:<user> "
                f"--operation Read --operation Describe --topic {source.name}"
            )
            return Problem(source.name, "it is to be read and this user may not see it", cure)
        case _:
            return None
