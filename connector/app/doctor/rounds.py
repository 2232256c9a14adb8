"""All examinations of one connector, in the order in which they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from connector.app.doctor.examine import Examination
from connector.app.doctor.finding import Finding
from connector.app.doctor.kafka import KafkaExaminations
from connector.app.doctor.process import file_limit, poll_settings
from connector.app.doctor.registry import registry
from connector.app.doctor.subscribers import endpoints, subscriptions
from connector.core.subscription import Subscription
from connector.engine.ports import Capabilities
from connector.kafka.cluster import APACHE_KAFKA
from connector.settings import Settings


class Rounds:
    """The examinations of ``settings``. ``with_endpoints`` opens a connection to every receiver, too."""

    def __init__(
        self, settings: Settings, *, with_endpoints: bool = False, capabilities: Capabilities = APACHE_KAFKA
    ) -> None:
        """Raises :class:`~connector.kafka.access.BadProperty` and
        :class:`~connector.kafka.errors.KafkaTrouble` for properties that cannot be used."""
        self._settings = settings
        self._with_endpoints = with_endpoints
        self._kafka = KafkaExaminations(settings, self._wanted, capabilities)
        self._loading: asyncio.Task[tuple[list[Finding], tuple[Subscription, ...]]] | None = None

    def examinations(self) -> list[Examination]:
        kafka = self._kafka
        last = [Examination("endpoints", self._endpoints)] if self._with_endpoints else []
        return [
            Examination("process", self._process),
            Examination("subscriptions", self._subscriptions),
            Examination("Kafka", kafka.brokers),
            Examination("source topics", kafka.sources),
            Examination("own topics", kafka.own),
            Examination("prefix", kafka.prefix),
            Examination("group", kafka.group),
            Examination("start", kafka.beginning),
            Examination("schema registry", self._registry),
            *last,
        ]

    async def _process(self) -> list[Finding]:
        return [*file_limit(self._settings), *poll_settings(self._settings)]

    async def _subscriptions(self) -> list[Finding]:
        findings, _ = await self._loaded()
        return findings

    async def _wanted(self) -> Sequence[Subscription]:
        _, found = await self._loaded()
        return found

    async def _registry(self) -> list[Finding]:
        return await registry(self._settings)

    async def _endpoints(self) -> list[Finding]:
        return await endpoints(self._settings, await self._wanted())

    async def _loaded(self) -> tuple[list[Finding], tuple[Subscription, ...]]:
        """The file, read once for all who ask."""
        if self._loading is None:
            self._loading = asyncio.create_task(subscriptions(self._settings))
        return await asyncio.shield(self._loading)
