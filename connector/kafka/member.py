"""A member of a consumer group: one client, one polling thread, and the parts that act in it.

It only polls and never waits for the loop, except for a bounded drain, so that it stays alive whatever
the receivers do. Positions come from commits and from the sources topic; what the cluster refuses or does
not answer is told and tried again, and other partitions flow on. The parts, each with its own promise:

* :mod:`~connector.kafka.wanted_topics`: which topics are subscribed to;
* :mod:`~connector.kafka.rebalancing`: partitions come and go;
* :mod:`~connector.kafka.epochs`: what the engine hears of that;
* :mod:`~connector.kafka.fetching`: records, as many as were granted;
* :mod:`~connector.kafka.commit_requests`: commits;
* :mod:`~connector.kafka.changed_logs`: positions that cannot be read;
* :mod:`~connector.kafka.troubles`: what is told, and when it is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from connector.core.start import Start
from connector.engine.ports import Commit, CommitResult, Reading, TopicPartition
from connector.kafka.access import consumer_properties
from connector.kafka.bridge import Bridge
from connector.kafka.changed_logs import ChangedLogs
from connector.kafka.cluster import Cluster, TopicLook
from connector.kafka.commit_requests import CommitRequests
from connector.kafka.epochs import Epochs
from connector.kafka.errors import KafkaTrouble, error_of
from connector.kafka.fetching import Fetching
from connector.kafka.holdings import Holdings
from connector.kafka.opening import Opener
from connector.kafka.rebalancing import Rebalancing
from connector.kafka.sources_store import SourcesStore
from connector.kafka.troubles import Troubles
from connector.kafka.wanted_topics import WantedTopics

_JOIN_LOOK_MS = 500

GroupProtocol = Literal["classic", "consumer"]
Strategy = Literal["cooperative-sticky", "range"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSettings:
    """One group and how it is read.

    ``groups`` are the other groups of the same connector, which may share its prefix. ``start`` is
    where a topic is begun that the group has never read, but for ``own_topics``, which are begun at their
    start; ``None``: refuse. ``batch_records_max`` bounds a batch, ``queued_bytes_max`` what is fetched
    ahead, ``queued_records_min`` and ``partition_bytes_max`` in which bites
    (:func:`~connector.kafka.access.consumer_properties`). ``revoke_budget_ms`` is what the engine
    gets to drain partitions; at most a third of ``poll_interval_max_ms``, after which the group
    gives a silent member up. ``look_every_ms`` is how often topics are looked at.
    """

    group: str
    groups: tuple[str, ...] = ()
    start: Start | None = None
    own_topics: tuple[str, ...] = ()
    protocol: GroupProtocol = "classic"
    strategy: Strategy = "cooperative-sticky"
    batch_records_max: int = 500
    queued_bytes_max: int = 8 << 20
    queued_records_min: int = 2_000
    partition_bytes_max: int = 1 << 20
    revoke_budget_ms: int = 10_000
    poll_interval_max_ms: int = 300_000
    look_every_ms: int = 10_000

    def __post_init__(self) -> None:
        if self.revoke_budget_ms * 3 > self.poll_interval_max_ms:
            raise ValueError(
                f"revoke_budget_ms {self.revoke_budget_ms} is more than a third of poll_interval_max_ms "
                f"{self.poll_interval_max_ms}: the group would give this member up while it drains"
            )


class Member:
    """Made on the loop, then used by the polling thread only."""

    def __init__(
        self,
        settings: MemberSettings,
        *,
        bridge: Bridge,
        reading: Reading,
        cluster: Cluster,
        own_cluster: Cluster,
        sources_topic: str,
    ) -> None:
        """Raises :class:`~connector.kafka.errors.KafkaTrouble` when the client refuses its settings."""
        self._settings = settings
        self._bridge = bridge
        self._reading = reading
        self._cluster = cluster
        self._is_closing = False
        self._troubles = troubles = Troubles(
            tell=self._tell_fault,
            access=cluster.access,
            group=settings.group,
            tell_every_ms=settings.look_every_ms,
        )
        self._consumer = self._new_consumer()
        self._store = SourcesStore(own_cluster, sources_topic)
        is_eager = settings.protocol == "classic" and settings.strategy == "range"
        self._holdings = Holdings(self._consumer, is_eager=is_eager)
        self._commit_requests = CommitRequests(
            consumer=self._consumer,
            holdings=self._holdings,
            store=self._store,
            cluster=cluster,
            answer=self._answer,
            complain=troubles.complain,
        )
        opener = Opener(
            cluster=cluster,
            store=self._store,
            group=settings.group,
            groups=settings.groups,
            start=settings.start,
            committed=self._commit_requests.committed,
            own=settings.own_topics,
        )
        epochs = Epochs(holdings=self._holdings, bridge=bridge, reading=reading)
        self._changed_logs = ChangedLogs(
            holdings=self._holdings,
            epochs=epochs,
            opener=opener,
            cluster=cluster,
            group=settings.group,
            troubles=troubles,
            bridge=bridge,
            reading=reading,
        )
        self._rebalancing = Rebalancing(
            holdings=self._holdings,
            epochs=epochs,
            opener=opener,
            commit_requests=self._commit_requests,
            changed_logs=self._changed_logs,
            troubles=troubles,
            bridge=bridge,
            reading=reading,
            revoke_budget_ms=settings.revoke_budget_ms,
        )
        self._wanted_topics = WantedTopics(
            consumer=self._consumer,
            opener=opener,
            callbacks=self._rebalancing.callbacks(),
            troubles=troubles,
            bridge=bridge,
            reading=reading,
        )
        self._fetching = Fetching(
            consumer=self._consumer,
            holdings=self._holdings,
            changed_logs=self._changed_logs,
            troubles=troubles,
            bridge=bridge,
            reading=reading,
            batch_records_max=settings.batch_records_max,
        )

    def _new_consumer(self) -> Consumer:
        settings = self._settings
        access = self._cluster.access
        properties = consumer_properties(
            access,
            group=settings.group,
            queued_bytes_max=settings.queued_bytes_max,
            queued_records_min=settings.queued_records_min,
            partition_bytes_max=settings.partition_bytes_max,
        )
        properties |= {
            "group.protocol": settings.protocol,
            "max.poll.interval.ms": settings.poll_interval_max_ms,
            "on_commit": self._on_commit,
            "error_cb": self._troubles.complain_of,
        }
        if settings.protocol == "classic":
            properties["partition.assignment.strategy"] = settings.strategy
        else:
            # This protocol calls nobody back when a member joins and gets no partition.
            properties |= {"statistics.interval.ms": _JOIN_LOOK_MS, "stats_cb": self._on_statistics}
        try:
            return Consumer(properties)
        except KafkaException as error:
            raise KafkaTrouble(self._troubles.words(error_of(error)), is_fatal=True) from None

    # ── what the loop asks for ──────────────────────────────────────────────────────────────────

    def subscribe(self, topics: frozenset[str]) -> None:
        self._wanted_topics.want(topics)

    def grant(self) -> None:
        self._fetching.grant()

    def pause(self, tp: TopicPartition) -> None:
        self._holdings.pause(tp)

    def resume(self, tp: TopicPartition) -> None:
        self._holdings.resume(tp)

    def commit(self, commits: Sequence[Commit]) -> None:
        self._commit_requests.ask(commits)

    def complain(self, what: str) -> None:
        self._troubles.complain(what)

    def looked(self, looks: Mapping[str, TopicLook]) -> None:
        """The topics as they are now: notice what has gone, come back, or been made anew."""
        self._wanted_topics.looked(looks)
        self._changed_logs.looked(looks)
        self._troubles.try_now()

    def close(self) -> None:
        self._is_closing = True

    # ── the thread ──────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        """Poll until closed; then leave the group, which hands back what is held."""
        try:
            while not (self._is_closing or self._troubles.is_over):
                self._turn()
        except Exception as error:
            self._troubles.end(error)
        finally:
            self._consumer.close()
            self._store.close()

    def _turn(self) -> None:
        self._bridge.obey()
        if self._troubles.is_time_to_try():
            self._wanted_topics.begin()
            self._rebalancing.open_waiting()
            self._changed_logs.mend()
        self._commit_requests.send()
        self._fetching.turn()

    # ── what the client and the parts say ───────────────────────────────────────────────────────

    def _on_commit(self, error: KafkaError | None, partitions: list[ClientPartition]) -> None:
        self._commit_requests.answered(error, partitions)

    def _on_statistics(self, text: str) -> None:
        if self._wanted_topics.is_subscribed:
            self._rebalancing.seen(text)

    def _tell_fault(self, what: str, *, is_fatal: bool = False) -> None:
        self._bridge.tell(partial(self._reading.faulted, what, is_fatal=is_fatal))

    def _answer(self, results: Sequence[CommitResult]) -> None:
        self._bridge.tell(partial(self._reading.committed, results))
