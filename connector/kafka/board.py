"""The board on Kafka: :class:`~connector.engine.shared.Board` on the compacted topic ``<prefix>.shared``.

The loop's side of the line: posts go to the worker's writer (:mod:`connector.kafka.posting`), what others
and we ourselves have written comes back from a polling thread (:mod:`connector.kafka.follower`). Every few
seconds somebody looks whether the topic is still the same one: the client alone may sit silent on a topic
that was deleted and made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from connector.engine.ports import Capabilities, Writer
from connector.kafka.access import Access
from connector.kafka.bridge import Bridge
from connector.kafka.cluster import APACHE_KAFKA, Cluster
from connector.kafka.errors import Complain, KafkaTrouble
from connector.kafka.follower import Follower, News
from connector.kafka.posting import Posting

LOOK_EVERY_MS = 10_000


class KafkaBoard:
    """Follows ``topic`` of the cluster at ``access`` and posts to it by ``writer``, which must outlive it.

    ``complain`` is told on the loop what an operator must know; after a fatal one nothing comes any more,
    and the process should end.
    """

    def __init__(
        self,
        topic: str,
        *,
        access: Access,
        writer: Writer,
        complain: Complain,
        capabilities: Capabilities = APACHE_KAFKA,
        look_every_ms: int = LOOK_EVERY_MS,
    ) -> None:
        self._topic = topic
        self._access = access
        self._complain = complain
        self._capabilities = capabilities
        self._look_every_s = look_every_ms / 1_000
        self._posting = Posting(writer, topic, faulted=complain)
        self._has_caught_up = asyncio.Event()
        self._on_record: Callable[[bytes, bytes | None], None]
        self._cluster: Cluster
        self._follower: Follower
        self._bridge: Bridge
        self._watch: asyncio.Task[None] | None = None

    def start(self, on_record: Callable[[bytes, bytes | None], None]) -> None:
        """Raises :class:`~connector.kafka.errors.KafkaTrouble` when the client refuses its settings."""
        self._on_record = on_record
        self._cluster = Cluster(self._access, self._capabilities)
        self._bridge = Bridge("kafka board", self._follow)
        self._follower = Follower(
            self._topic,
            cluster=self._cluster,
            bridge=self._bridge,
            told=self._tell,
            caught_up=self._has_caught_up.set,
            complain=self._complain,
        )
        self._bridge.start()
        self._watch = asyncio.get_running_loop().create_task(self._look_for_ever())
        self._watch.add_done_callback(self._watch_ended)

    async def caught_up(self) -> None:
        await self._has_caught_up.wait()

    def post(self, key: bytes, value: bytes | None) -> None:
        self._posting.post(key, value)

    async def close(self) -> None:
        await self._posting.close()
        if self._watch is None:
            return  # it only posted
        self._watch.cancel()
        self._bridge.ask(self._follower.close)
        await self._bridge.ended()

    def _follow(self) -> None:
        self._follower.run()

    def _tell(self, news: News) -> None:
        for key, value in news.items():
            self._on_record(key, value)
        self._bridge.ask(self._follower.go_on)

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._look_every_s)
            try:
                looks = await asyncio.to_thread(self._cluster.look, [self._topic])
            except KafkaTrouble:
                continue  # the next look will tell; who reads and who writes complains if it lasts
            self._bridge.ask(partial(self._follower.looked, looks[self._topic]))

    def _watch_ended(self, watch: asyncio.Task[None]) -> None:
        if not watch.cancelled():
            why = f"topic {self._topic} is not looked at any more: {watch.exception()!r}"
            self._complain(why, is_fatal=True)
