"""A member of one consumer group, as the engine sees it: :class:`~connector.engine.ports.Source`.

The loop's side of the line. Everything asked here is queued for the polling thread
(:mod:`connector.kafka.member`); here too, every few seconds, somebody looks whether the topics that
are read are still there and still the same ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from connector.core.topic_names import sources_topic
from connector.engine.ports import Capabilities, Commit, Reading, TopicPartition
from connector.kafka.access import Access
from connector.kafka.bridge import Bridge
from connector.kafka.cluster import APACHE_KAFKA, Cluster
from connector.kafka.errors import KafkaTrouble
from connector.kafka.member import Member, MemberSettings


class KafkaSource:
    """Reads topics of the cluster at ``access`` as a member of ``settings.group``.

    Where reading begins is kept in ``<prefix>.sources`` of the cluster at ``own_access``, where the
    connector's own topics are (the same cluster unless it is given).
    """

    def __init__(
        self,
        settings: MemberSettings,
        *,
        access: Access,
        prefix: str,
        capabilities: Capabilities = APACHE_KAFKA,
        own_access: Access | None = None,
        own_capabilities: Capabilities | None = None,
    ) -> None:
        self._settings = settings
        self._access = access
        self._capabilities = capabilities
        self._own_access = own_access or access
        self._own_capabilities = own_capabilities or capabilities
        self._sources_topic = sources_topic(prefix)
        self._member: Member
        self._bridge: Bridge
        self._watch: asyncio.Task[None]
        self._topics: frozenset[str] = frozenset()

    def start(self, reading: Reading) -> None:
        """Raises :class:`~connector.kafka.errors.KafkaTrouble` when the client refuses its settings."""
        self._cluster = Cluster(self._access, self._capabilities)
        self._bridge = Bridge(f"kafka {self._settings.group}", self._poll)
        self._member = Member(
            self._settings,
            bridge=self._bridge,
            reading=reading,
            cluster=self._cluster,
            own_cluster=Cluster(self._own_access, self._own_capabilities),
            sources_topic=self._sources_topic,
        )
        self._bridge.start()
        self._watch = asyncio.get_running_loop().create_task(self._look_for_ever())
        self._watch.add_done_callback(partial(_watch_ended, reading))

    def subscribe(self, topics: Sequence[str]) -> None:
        self._topics = frozenset(topics)
        self._bridge.ask(partial(self._member.subscribe, self._topics))

    def grant(self) -> None:
        self._bridge.ask(self._member.grant)

    def pause(self, tp: TopicPartition) -> None:
        self._bridge.ask(partial(self._member.pause, tp))

    def resume(self, tp: TopicPartition) -> None:
        self._bridge.ask(partial(self._member.resume, tp))

    def commit(self, commits: Sequence[Commit]) -> None:
        self._bridge.ask(partial(self._member.commit, list(commits)))

    async def close(self) -> None:
        self._watch.cancel()
        self._bridge.ask(self._member.close)
        await self._bridge.ended()

    def _poll(self) -> None:
        self._member.run()

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.look_every_ms / 1000)
            try:
                looks = await asyncio.to_thread(self._cluster.look, self._topics)
            except KafkaTrouble as trouble:
                self._bridge.ask(partial(self._member.complain, trouble.what))
            else:
                self._bridge.ask(partial(self._member.looked, looks))


def _watch_ended(reading: Reading, watch: asyncio.Task[None]) -> None:
    if not watch.cancelled():
        reading.faulted(f"the topics are not looked at any more: {watch.exception()!r}", is_fatal=True)
