"""The service: one worker process from its settings to its end.

It starts in this order, and each step that fails says what to mend: the subscriptions are read and
checked; the connector's own topics are created or checked; then, with a complete view, the groups are
joined. While a cluster cannot be reached it waits, alive and not ready, rather than crash in a loop.
Afterwards it follows what changes: topics that appear, and the subscriptions file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from connector.app.adapters import (
    access_of,
    composer_of,
    decoder_of,
    letter_log_of,
    limits_of,
    registry_of,
    sender_of,
    source_of,
    tier_source_of,
    tool_login_of,
    worker_id,
    writer_settings_of,
)
from connector.app.beginnings import never_begun, owners_beside, shared_prefix
from connector.app.own_topics import OwnTopics
from connector.app.refusal import Refusal
from connector.core.operator_event import wants_operator_events
from connector.core.subscription import Subscription
from connector.core.topic_check import Problem as TopicProblem
from connector.core.topic_names import matched, operator_events_topic, shared_topic
from connector.core.view import Diff
from connector.declared.problem import Mistakes, Problem
from connector.engine.clock import SystemClock
from connector.engine.ports import Capabilities, Log, UnusableIdentity
from connector.engine.worker import Worker
from connector.kafka.board import KafkaBoard
from connector.kafka.cluster import APACHE_KAFKA
from connector.kafka.errors import KafkaTrouble
from connector.kafka.topics import Topics
from connector.kafka.writer import KafkaWriter
from connector.settings import Settings
from connector.settings.subscription_rules import known_types, subscription_rules
from connector.subscriptions.watch import SubscriptionsWatch

T = TypeVar("T")

FOLLOW_MS = 10_000
"""How often topics are matched anew: a topic that appears is read within this time."""
LEARNING_MS = 5_000
"""What other workers know is learnt within a second or two; a view that was read longer ago is read again."""
WAIT_MS = 2_000
"""How long to wait before an unreachable cluster is tried again at the start."""


class Service:
    """One worker process. Implements :class:`~connector.subscriptions.watch.Watching`.

    ``capabilities`` are those of the clusters; ``worker`` is there once :meth:`start` has returned.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        log: Log,
        capabilities: Capabilities = APACHE_KAFKA,
        follow_ms: int = FOLLOW_MS,
    ) -> None:
        self._settings = settings
        self._follow_ms = follow_ms
        self._log = log
        self._capabilities = capabilities
        self._source_topics = settings.source_topics()
        self._operator_topic = operator_events_topic(settings.prefix)
        self._topics = Topics(access_of(settings.kafka), capabilities)
        self._own_topics = OwnTopics(settings, Topics(access_of(settings.own_cluster), capabilities))
        self._sender = sender_of(settings)
        self._registry = registry_of(settings)
        self._decoder = decoder_of(settings, self._registry)
        self._watch = SubscriptionsWatch(
            settings.subscriptions_file,
            subscription_rules(settings, known_types=known_types(settings)),
            self,
            may_shrink=settings.allow_shrink,
        )
        self._subscriptions: tuple[Subscription, ...] = ()
        self._wanted: tuple[Subscription, ...] = ()
        self._is_asked = asyncio.Event()
        self._read: list[str] = []
        self._failure = ""
        self._has_failed = asyncio.Event()
        self._followers: list[asyncio.Task[None]] = []
        self.worker: Worker | None = None
        self.starting = "reading the subscriptions"
        """What the start waits for; empty once it is over."""
        self._has_waited = False
        self._file_doubt = ""
        self._topic_doubt = ""

    @property
    def doubt(self) -> str:
        """Why the subscriptions in force may not be the right ones; reading holds while it is set."""
        return "\n".join(filter(None, (self._file_doubt, self._topic_doubt)))

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Read, check, join and work. Raises :class:`Refusal` when something must be mended first."""
        tiers = await self._prepare()
        if self._settings.start is None:
            await self._when_reachable(self._need_no_start)
        source = source_of(self._settings, self._capabilities)
        tier_source = tier_source_of(self._settings, self._capabilities)
        self._source, self._tier_source = source, tier_source
        writer = KafkaWriter(
            access_of(self._settings.own_cluster),
            writer_settings_of(self._settings),
            faulted=lambda what: self._log.warning("Kafka fault", client="writer", why=what),
            on_fatal=self.fail,
        )
        self.worker = Worker(
            prefix=self._settings.prefix,
            source=source,
            tier_source=tier_source,
            letters=letter_log_of(self._settings, self._capabilities),
            writer=writer,
            sender=self._sender,
            board=KafkaBoard(
                shared_topic(self._settings.prefix),
                access=access_of(self._settings.own_cluster),
                writer=writer,
                complain=self._complain_of_board,
                capabilities=self._capabilities,
            ),
            worker_id=worker_id(),
            decoder=self._decoder,
            compile_composer=composer_of,
            limits=limits_of(self._settings),
            clock=SystemClock(),
            log=self._log,
            on_fatal=self.fail,
        )
        self._view_first(self.worker, tiers)
        loop = asyncio.get_running_loop()
        self.starting = "learning what other workers know"
        began_s = loop.time()
        await self.worker.learn()
        if loop.time() - began_s > LEARNING_MS / 1_000:
            tiers = await self._prepare()
            self._view_first(self.worker, tiers)
        self.worker.start()
        self.starting = "getting a share of the rate limits"
        await self.worker.get_share()
        source.subscribe(self._read)
        tier_source.subscribe(list(tiers.values()))
        self._followers = [loop.create_task(self._watch.run()), loop.create_task(self._follow())]
        for task in self._followers:
            task.add_done_callback(self._follower_ended)
        self.starting = ""
        self._log.info(
            "started", subscriptions=len(self._subscriptions), topics=self._read, tiers=list(tiers)
        )

    async def failed(self) -> str:
        """Wait until the worker cannot go on; returns why."""
        await self._has_failed.wait()
        return self._failure

    async def stop(self) -> None:
        """Drain, commit, leave, close."""
        for task in self._followers:
            task.cancel()
        await asyncio.gather(*self._followers, return_exceptions=True)
        if self.worker is not None:
            await self.worker.stop()
        else:
            await self._sender.close()
        if self._registry is not None:
            await self._registry.close()

    def hurry(self) -> None:
        """End the drain now."""
        if self.worker is not None:
            self.worker.hurry()

    def reload(self) -> None:
        """Read the subscriptions file at once (SIGHUP)."""
        self._watch.reload()

    def unready(self) -> list[str]:
        """Why this process is not ready; empty when it is."""
        if self.starting or self.worker is None:
            return [f"starting: {self.starting}"]
        return self.worker.unready()

    # ── the subscriptions file ──────────────────────────────────────────────────────────────────

    def viewed(
        self, subscriptions: tuple[Subscription, ...], diff: Diff, warnings: Sequence[Problem]
    ) -> None:
        self._warn(warnings)
        self._log.info("subscriptions read", changes=str(diff), subscriptions=len(subscriptions))
        self._wanted = subscriptions
        self._file_doubt = ""
        self._is_asked.set()

    def doubted(self, why: str) -> None:
        self._file_doubt = why
        self._hold(
            f"{why}\nThe subscriptions read before stay in force, and reading holds, until it is mended."
        )

    def _hold(self, why: str) -> None:
        self._log.error("subscriptions in doubt: reading holds", why=why)
        if self.worker is not None:
            self.worker.hold(why)

    def _warn(self, warnings: Sequence[Problem]) -> None:
        for warning in warnings:
            self._log.warning("subscriptions file", why=str(warning))

    # ── following ───────────────────────────────────────────────────────────────────────────────

    async def _follow(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_asked.wait(), self._follow_ms / 1_000)
            self._is_asked.clear()
            try:
                await self._follow_once()
            except KafkaTrouble as trouble:
                self._log.warning("the cluster's topics cannot be looked at", why=trouble.what)

    async def _follow_once(self) -> None:
        worker = self.worker
        assert worker is not None
        wanted = self._wanted
        is_news = wanted != self._subscriptions
        if is_news and (problems := await self._own_topics.ensure(wanted)):
            # A tier that a new subscription needs is there before that subscription is.
            self._topic_doubt = self._told(problems)
            self._hold(self._topic_doubt)
            return
        tiers = await self._own_topics.tiers()
        if not tiers:
            self._topic_doubt = "no retry tier can be seen: they were deleted, or this user may not see them"
            self._hold(self._topic_doubt)
            return
        read = await self._match()
        if wanted is not self._wanted:
            return  # read again meanwhile: the next turn sees it whole
        if is_news:
            try:
                worker.view(wanted, list(tiers))
            except UnusableIdentity as error:
                # They were sound when they were read: a certificate or its key was replaced since.
                self._topic_doubt = str(error)
                self._hold(self._topic_doubt)
                return
            self._subscriptions = wanted
        worker.outbox.tiers = tuple(tiers)
        self._tier_source.subscribe(list(tiers.values()))
        if read != self._read:
            self._log.info("topics read", topics=read)
            self._read = read
            self._source.subscribe(read)
        self._topic_doubt = ""
        if not self.doubt:
            worker.release()

    async def _match(self) -> list[str]:
        """What is read now: the source topics, and what the connector has to say to its operator if a
        subscription names it and one cluster holds both."""
        names = await self._topics.names()
        read = set(matched(self._source_topics, names))
        if self._operator_topic in names and any(map(wants_operator_events, self._wanted)):
            read.add(self._operator_topic)
        return sorted(read)

    async def _prepare(self) -> dict[int, str]:
        """Read the subscriptions and see to the topics, until both were done without waiting for Kafka: a
        view that is hours old would let events pass that somebody subscribed to meanwhile."""
        while True:
            self._has_waited = False
            await self._read_subscriptions()
            await self._when_reachable(self._need_own_prefix)
            tiers = await self._when_reachable(self._prepare_topics)
            self._read = await self._when_reachable(self._match)
            if not self._has_waited:
                return tiers

    async def _read_subscriptions(self) -> None:
        try:
            loaded = await self._watch.start()
        except Mistakes as mistakes:
            raise Refusal(str(mistakes)) from None
        self._warn(loaded.warnings)
        self._subscriptions = self._wanted = loaded.subscriptions

    def _view_first(self, worker: Worker, tiers: Mapping[int, str]) -> None:
        try:
            worker.view(self._subscriptions, list(tiers))
        except UnusableIdentity as error:
            raise Refusal(str(error)) from None

    async def _need_own_prefix(self) -> None:
        """Refuse a prefix that another group uses, before any topic is made under it."""
        others = await asyncio.to_thread(owners_beside, self._settings, self._capabilities)
        if others:
            what, cure = shared_prefix(self._settings, others)
            raise Refusal(f"{what}. Mend it: {cure}")

    async def _prepare_topics(self) -> dict[int, str]:
        problems = await self._own_topics.ensure(self._subscriptions)
        if problems:
            raise Refusal(self._told(problems))
        return await self._own_topics.tiers()

    def _told(self, problems: Sequence[TopicProblem]) -> str:
        lines = [str(problem) for problem in problems]
        return "\n".join(filter(None, (*lines, tool_login_of(self._settings, lines))))

    async def _need_no_start(self) -> None:
        """Refuse to begin a group's first topics at a place nobody has named. One that appears beside others
        is the source's to complain of: the others go on."""
        sources = [topic for topic in self._read if topic != self._operator_topic]
        looks = [look for look in (await self._topics.look(sources)).values() if not look.absence]
        fresh = await asyncio.to_thread(never_begun, self._settings, looks, self._capabilities)
        if looks and len(fresh) == len(looks):
            some = ", ".join(fresh[:5]) + (f" and {len(fresh) - 5} more" if len(fresh) > 5 else "")
            raise Refusal(
                f"group {self._settings.group} has never read {some}. Say where to begin with start: "
                "earliest (may send partners years of history), latest (passes over what is there) or a time"
            )

    async def _when_reachable(self, ask: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await ask()
            except KafkaTrouble as trouble:
                if trouble.is_fatal:
                    raise Refusal(trouble.what) from None
                self._has_waited = True
                self.starting = f"waiting for Kafka: {trouble.what}"
                self._log.warning("Kafka cannot be reached; trying again", why=trouble.what)
                await asyncio.sleep(WAIT_MS / 1_000)

    def _complain_of_board(self, what: str, *, is_fatal: bool = False) -> None:
        self._log.warning("Kafka fault", client="board", why=what)
        if is_fatal:
            self.fail(what)

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def fail(self, why: str) -> None:
        """The worker cannot go on: :meth:`failed` returns why. Only the first reason counts."""
        self._failure = self._failure or why
        self._has_failed.set()

    def _follower_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("a task failed", why=repr(error), exc_info=error)
            self.fail(repr(error))
