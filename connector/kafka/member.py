"""The polling thread of a group member: fetches, rebalances, mends.

It only polls, and never longer than :data:`POLL_S`, so that the member stays alive whatever the
receivers do. What it promises:

* per epoch the engine hears ``assigned`` first, then records, then ``revoking`` or ``lost``, then nothing;
* nothing is fetched without a grant. Up to :data:`STARVED_S` it just does not ask, since pausing throws
  away what was fetched ahead; then it pauses everything and polls on for the group's sake;
* positions come from commits and from the sources topic. The client's own reset is ``error``: it never
  moves by itself, and what it cannot read is decided by :func:`~connector.core.start.after_reset`;
* what the cluster refuses or does not answer is told and tried again, and other partitions flow on.

Commits are :mod:`~connector.kafka.committer`'s.
"""

from __future__ import annotations

import itertools
import json
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ClientPartition

from connector.core.start import BeyondEnd, MadeAnew, Overtaken, Readable, Start, after_reset
from connector.engine.ports import Assignment, Commit, CommitResult, Fetched, Jump, Reading, TopicPartition
from connector.kafka.access import LOGGER, consumer_properties
from connector.kafka.bridge import Bridge
from connector.kafka.cluster import CALL_TIMEOUT_S, Cluster, TopicLook
from connector.kafka.committer import Committer
from connector.kafka.errors import KafkaTrouble, error_of, is_out_of_reach, words
from connector.kafka.holdings import Holdings
from connector.kafka.intake import Held, sort
from connector.kafka.opening import CommittedOffset, Opened, Opener
from connector.kafka.sources_store import SourcesStore

POLL_S = 0.1
STARVED_S = 2.0
RETRY_S = 1.0
_JOIN_LOOK_MS = 500

GroupProtocol = Literal["classic", "consumer"]
Strategy = Literal["cooperative-sticky", "range"]
_Rebalance = Callable[[Consumer, list[ClientPartition]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSettings:
    """One group and how it is read.

    ``groups`` are the other groups of the same connector, which may share its prefix. ``start`` is
    where a topic is begun that the group has never read; ``None``: refuse. ``batch_records_max``
    bounds a batch, ``queued_bytes_max`` what is fetched ahead. ``revoke_budget_ms`` is what the engine
    gets to drain partitions; at most a third of ``poll_interval_max_ms``, after which the group
    gives a silent member up. ``look_every_ms`` is how often topics are looked at.
    """

    group: str
    groups: tuple[str, ...] = ()
    start: Start | None = None
    protocol: GroupProtocol = "classic"
    strategy: Strategy = "cooperative-sticky"
    batch_records_max: int = 500
    queued_bytes_max: int = 8 << 20
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
        self._consumer = self._new_consumer()
        self._store = SourcesStore(own_cluster, sources_topic)
        self._opener = Opener(
            cluster=cluster,
            store=self._store,
            group=settings.group,
            groups=settings.groups,
            start=settings.start,
            committed=self._committed_offsets,
        )
        is_eager = settings.protocol == "classic" and settings.strategy == "range"
        self._holdings = Holdings(self._consumer, is_eager=is_eager)
        self._committer = Committer(
            consumer=self._consumer,
            holdings=self._holdings,
            store=self._store,
            cluster=cluster,
            answer=self._answer,
            complain=self.complain,
        )
        self._epochs = itertools.count(1)
        self._is_closing = False
        self._has_joined = False
        self._wanted: frozenset[str] = frozenset()
        self._begun: set[str] = set()
        self._subscribed: frozenset[str] = frozenset()
        self._waiting: dict[TopicPartition, None] = {}  # given to us, not placed yet; in order
        self._resets: dict[TopicPartition, bool] = {}  # unreadable positions; whether the log was cut
        self._retry_at_s = float("inf")
        self._told = ""
        self._tell_again_at_s = 0.0
        self._grants = 0
        self._fetched_at_s = time.monotonic()
        self._carry: list[Fetched] = []

    def _new_consumer(self) -> Consumer:
        settings = self._settings
        access = self._cluster.access
        properties = consumer_properties(
            access, group=settings.group, queued_bytes_max=settings.queued_bytes_max
        )
        properties |= {
            "group.protocol": settings.protocol,
            "max.poll.interval.ms": settings.poll_interval_max_ms,
            "on_commit": self._on_commit,
            "error_cb": self._on_error,
        }
        if settings.protocol == "classic":
            properties["partition.assignment.strategy"] = settings.strategy
        else:
            # This protocol calls nobody back when a member joins and gets no partition.
            properties |= {"statistics.interval.ms": _JOIN_LOOK_MS, "stats_cb": self._on_statistics}
        try:
            return Consumer(properties)
        except KafkaException as error:
            raise KafkaTrouble(access.redact(words(error_of(error))), is_fatal=True) from None

    # ── what the loop asks for ──────────────────────────────────────────────────────────────────

    def subscribe(self, topics: frozenset[str]) -> None:
        self._wanted = topics
        self._begin_topics()

    def grant(self) -> None:
        self._grants += 1

    def pause(self, tp: TopicPartition) -> None:
        self._holdings.pause(tp)

    def resume(self, tp: TopicPartition) -> None:
        self._holdings.resume(tp)

    def commit(self, commits: Sequence[Commit]) -> None:
        self._committer.ask(commits)

    def close(self) -> None:
        self._is_closing = True

    def looked(self, looks: Mapping[str, TopicLook]) -> None:
        """The topics as they are now: notice what has gone, come back, or been made anew."""
        for look in looks.values():
            if look.absence and look.topic in self._begun:
                self.complain(_absent(look))
        for held in self._holdings:
            found = looks.get(held.tp.topic)
            if found is not None and held.topic_id and found.id and held.topic_id != found.id:
                self._resets[held.tp] = False
        self._retry_at_s = time.monotonic()

    def complain(self, what: str, *, is_fatal: bool = False) -> None:
        """Tell what an operator must know; a fatal one ends this member."""
        self._bridge.tell(partial(self._reading.faulted, what, is_fatal=is_fatal))
        self._is_closing = self._is_closing or is_fatal

    # ── the thread ──────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        """Poll until closed; then leave the group, which hands back what is held."""
        try:
            while not self._is_closing:
                self._turn()
        except Exception as error:
            self._failed(error)
        finally:
            self._consumer.close()
            self._store.close()

    def _failed(self, error: Exception) -> None:
        """Never to be gone on from: the call that failed may have thrown away what it had fetched."""
        if isinstance(error, KafkaException):
            self.complain(self._words(error_of(error)), is_fatal=True)
        else:
            LOGGER.exception("a fault in the polling thread")
            self.complain(f"a fault in the polling thread: {error!r}", is_fatal=True)

    def _turn(self) -> None:
        self._bridge.obey()
        if time.monotonic() >= self._retry_at_s:
            self._retry_at_s = float("inf")
            self._begin_topics()
            self._open_waiting()
            self._mend_resets()
        self._committer.send()
        if self._grants:
            self._fetch()
        else:
            self._idle()

    def _retry_soon(self) -> None:
        self._retry_at_s = min(self._retry_at_s, time.monotonic() + RETRY_S)

    def _troubled(self, trouble: KafkaTrouble) -> None:
        """Told once a look while it lasts, but tried again every second."""
        now_s = time.monotonic()
        if trouble.is_fatal or trouble.what != self._told or now_s >= self._tell_again_at_s:
            self._told = trouble.what
            self._tell_again_at_s = now_s + self._settings.look_every_ms / 1000
            self.complain(trouble.what, is_fatal=trouble.is_fatal)
        self._retry_soon()

    # ── fetching ────────────────────────────────────────────────────────────────────────────────

    def _fetch(self) -> None:
        if self._holdings.is_starved:
            self._holdings.feed()
        batch = self._carry or self._poll(POLL_S, self._settings.batch_records_max)
        self._carry = []
        batch = [part for part in batch if self._holdings.has_epoch(part.tp, part.epoch)]
        self._fetched_at_s = time.monotonic()
        if batch:
            self._grants -= 1
            self._bridge.tell(partial(self._reading.fetched, batch))

    def _idle(self) -> None:
        """No grant: stay in the group. What a poll brings all the same waits in the carry, one record
        at a time until everything is paused."""
        self._bridge.obey(wait_s=POLL_S / 2)
        if self._grants:
            return
        if not self._holdings.is_starved and time.monotonic() - self._fetched_at_s > STARVED_S:
            self._holdings.starve()
        self._carry += self._poll(0, 1)

    def _poll(self, wait_s: float, records_max: int) -> list[Fetched]:
        """Up to ``records_max`` records. One is waited for, the others are taken if they are there:
        a call that waits for many waits its whole time out when fewer come."""
        first = self._consumer.poll(wait_s)
        if first is None:
            return []
        messages = [first]
        if records_max > 1:
            messages += self._consumer.consume(records_max - 1, 0)
        found = sort(messages, self._holdings.by_key)
        for message in found.errors:
            self._on_message_error(message)
        for tp, offset in found.regressed.items():
            self._regressed(tp, offset)
        return found.batch

    def _on_message_error(self, message: Message) -> None:
        error, topic, partition = message.error(), message.topic(), message.partition()
        assert error is not None, "only messages that are errors are sorted out"
        is_cut = error.code() == KafkaError._LOG_TRUNCATION
        if (is_cut or error.code() == KafkaError._AUTO_OFFSET_RESET) and topic and partition is not None:
            self._resets[TopicPartition(topic, partition)] = is_cut
            self._retry_at_s = 0.0
        else:
            self._on_error(error, f"topic {topic}: " if topic else "")

    def _on_error(self, error: KafkaError, where: str = "") -> None:
        is_fatal = error.fatal() or error.code() == KafkaError._FATAL
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            self.complain(f"group {self._settings.group} may not be joined by this user: grant READ on it")
        elif is_fatal or not is_out_of_reach(error):
            self.complain(where + self._words(error), is_fatal=is_fatal)

    # ── topics ──────────────────────────────────────────────────────────────────────────────────

    def _begin_topics(self) -> None:
        """Begin the wanted topics that are not begun yet, then subscribe to all that are."""
        try:
            for look in self._opener.look(self._wanted - self._begun).values():
                if look.absence:
                    self.complain(_absent(look))
                else:
                    self._begin_topic(look)
        except KafkaTrouble as trouble:
            self._troubled(trouble)
        topics = self._wanted & self._begun
        if topics == self._subscribed:
            return
        self._subscribed = topics
        if topics:
            self._consumer.subscribe(
                sorted(topics),
                on_assign=self._guarded(self._on_assign),
                on_revoke=self._guarded(self._on_revoke),
                on_lost=self._guarded(self._on_lost),
            )
        else:
            self._consumer.unsubscribe()

    def _begin_topic(self, look: TopicLook) -> None:
        try:
            self._opener.begin(look)
            self._begun.add(look.topic)
        except KafkaTrouble as trouble:
            self._troubled(trouble)

    # ── rebalancing (called back inside poll, consume and close) ────────────────────────────────

    def _guarded(self, rebalance: _Rebalance) -> _Rebalance:
        """``rebalance``, except that its failure ends this member here. What the client itself raises must
        not go back through the client: it comes out as an object that no ``except`` clause matches."""

        def call(consumer: Consumer, partitions: list[ClientPartition]) -> None:
            try:
                rebalance(consumer, partitions)
            except Exception as error:
                self._failed(error)

        return call

    def _on_assign(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        self._waiting.update((_tp(p), None) for p in partitions)
        if not self._open_waiting():
            self._take([])

    def _on_statistics(self, text: str) -> None:
        """Connected to the group's coordinator is as near to joined as this protocol shows; a refused
        member hears of it as an error."""
        if self._has_joined or not self._subscribed:
            return
        if json.loads(text).get("cgrp", {}).get("state") == "up":
            self._tell_assigned([])

    def _open_waiting(self) -> bool:
        """Place and read what is ours and not read yet. What fails is tried again every second: a
        position is never guessed."""
        if not self._waiting:
            return False
        try:
            opened = self._opener.open(list(self._waiting))
        except KafkaTrouble as trouble:
            self._troubled(trouble)
            return False
        for one in opened:
            del self._waiting[one.tp]
        if self._waiting:
            self._retry_soon()
        self._take(opened)
        return True

    def _take(self, opened: Sequence[Opened]) -> None:
        self._holdings.take(
            [Held(o.tp, next(self._epochs), o.place.offset, o.topic_id, o.entry) for o in opened]
        )
        self._tell_assigned([self._assignment(one.tp, one.metadata) for one in opened])
        for one in opened:
            if one.place.why:
                before = -1 if one.committed is None else one.committed
                self._jump(one.tp, from_offset=before, to_offset=one.place.offset, reason=one.place.why)

    def _tell_assigned(self, assignments: Sequence[Assignment]) -> None:
        self._has_joined = True
        self._bridge.tell(partial(self._reading.assigned, assignments))

    def _assignment(self, tp: TopicPartition, metadata: str = "") -> Assignment:
        held = self._holdings.of(tp)
        assert held is not None, "asked only for what was just taken"
        return Assignment(
            tp=tp,
            epoch=held.epoch,
            position=held.position,
            committed_metadata=metadata,
            topic_id=held.topic_id,
        )

    def _on_revoke(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        held = self._held_among(partitions)
        if held:
            self._committer.send_last(self._drain(held))
            self._committer.note_last(held)
        self._drop(partitions)

    def _on_lost(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        held = self._held_among(partitions)
        if held:
            self._bridge.tell(partial(self._reading.lost, held))
        self._drop(partitions)

    def _held_among(self, partitions: Sequence[ClientPartition]) -> list[TopicPartition]:
        return [tp for tp in map(_tp, partitions) if self._holdings.of(tp) is not None]

    def _drop(self, partitions: Sequence[ClientPartition]) -> None:
        tps = [_tp(p) for p in partitions]
        for tp in tps:
            self._waiting.pop(tp, None)
            self._resets.pop(tp, None)
        self._holdings.drop(tps)

    def _drain(self, tps: Sequence[TopicPartition]) -> Sequence[Commit]:
        """Have the engine finish with these; its last commits, or none when it takes too long."""
        budget_ms = self._settings.revoke_budget_ms
        answer: queue.SimpleQueue[Sequence[Commit]] = queue.SimpleQueue()
        self._bridge.tell(partial(self._reading.revoking, tps, budget_ms, answer.put))
        try:
            return answer.get(timeout=budget_ms / 1000 + 1)
        except queue.Empty:
            self.complain("partitions were handed back before they were drained: some records come twice")
            return ()

    # ── commits ─────────────────────────────────────────────────────────────────────────────────

    def _on_commit(self, error: KafkaError | None, partitions: list[ClientPartition]) -> None:
        self._committer.answered(error, partitions)

    def _answer(self, results: Sequence[CommitResult]) -> None:
        self._bridge.tell(partial(self._reading.committed, results))

    def _committed_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, CommittedOffset]:
        """What the group has committed; partitions without are left out."""
        if not tps:
            return {}
        asked = [ClientPartition(tp.topic, tp.partition) for tp in tps]
        try:
            found = self._consumer.committed(asked, timeout=CALL_TIMEOUT_S)
        except KafkaException as error:
            raise KafkaTrouble(f"committed offsets cannot be read: {self._words(error_of(error))}") from None
        refused = next((p.error for p in found if p.error is not None), None)
        if refused is not None:
            raise KafkaTrouble(f"committed offsets cannot be read: {self._words(refused)}")
        return {_tp(p): CommittedOffset(p.offset, p.metadata or "") for p in found if p.offset >= 0}

    # ── logs that changed under us ──────────────────────────────────────────────────────────────

    def _mend_resets(self) -> None:
        """Decide for each unreadable position. The client says so once and is then silent for ever,
        so what cannot be decided yet stays here and is tried again."""
        for tp, is_cut in list(self._resets.items()):
            held = self._holdings.of(tp)
            try:
                if held is None or self._mend(held, is_cut=is_cut):
                    del self._resets[tp]
            except KafkaTrouble as trouble:
                self._troubled(trouble)

    def _mend(self, held: Held, *, is_cut: bool) -> bool:
        """Whether the partition is read again. A log that was cut stays held when it grows past our position:
        what was rewritten below it would be skipped. Known limit: the hold ends with this assignment, and
        the next one reads on if the log has the position by then."""
        tp = held.tp
        look = self._opener.look([tp.topic])[tp.topic]
        if look.absence:
            raise KafkaTrouble(_absent(look))
        log_start, log_end = self._cluster.log_range(tp)
        verdict = after_reset(
            position=held.position,
            log_start=log_start,
            log_end=log_end,
            known_id=held.topic_id,
            found_id=look.id,
            is_cut=is_cut or held.cut_at is not None,
        )
        match verdict:
            case BeyondEnd():
                if held.cut_at is None:
                    held.cut_at = log_end
                # Told again at every look, so that the alert is not a single line in the past.
                self.complain(
                    f"{tp} is held: the group is at offset {held.position}, but its log ended at "
                    f"{held.cut_at}. Stop all workers and say where to go on: kafka-consumer-groups.sh "
                    f"--bootstrap-server {self._cluster.access.bootstrap_servers} "
                    f"--group {self._settings.group} "
                    f"--topic {tp.topic}:{tp.partition} --reset-offsets --to-offset {held.cut_at} --execute"
                )
                return False
            case MadeAnew():
                opened = self._opener.open([tp])
                if not opened:
                    raise KafkaTrouble(f"{tp} is gone")
                self._bridge.tell(partial(self._reading.lost, [tp]))
                self._holdings.drop([tp])
                self._take(opened)
            case Overtaken(offset, lost):
                self._jump(tp, from_offset=held.position, to_offset=offset, reason="retention", lost=lost)
                held.position, held.cut_at = offset, None
                self._holdings.reread(held)
            case Readable():
                self._holdings.reread(held)
        return True

    def _regressed(self, tp: TopicPartition, offset: int) -> None:
        """An offset came that is not above the last one, and nothing of ours explains it: the log was
        cut or made anew. What was known of the old one must not be applied to it; and what was in hand of
        it, below ``offset`` too, is read again, since that work ends with its epoch. Should the log begin
        only later, the client says so next."""
        held = self._holdings.of(tp)
        assert held is not None, "only what is held can regress"
        self._bridge.tell(partial(self._reading.lost, [tp]))
        position = min(offset, held.settled)
        self._jump(tp, from_offset=held.position, to_offset=position, reason="truncated")
        self._holdings.renew(held, epoch=next(self._epochs), position=position)
        self._tell_assigned([self._assignment(tp)])

    def _jump(
        self,
        tp: TopicPartition,
        *,
        from_offset: int,
        to_offset: int,
        reason: Literal["retention", "recreated", "truncated", "expired"],
        lost: int = 0,
    ) -> None:
        jump = Jump(tp=tp, from_offset=from_offset, to_offset=to_offset, lost=lost, reason=reason)
        self._bridge.tell(partial(self._reading.jumped, jump))

    def _words(self, error: KafkaError) -> str:
        return self._cluster.access.redact(words(error))


def _absent(look: TopicLook) -> str:
    if look.absence == "forbidden":
        return f"topic {look.topic} may not be read by this user: grant READ and DESCRIBE on it"
    return f"topic {look.topic} does not exist: create it, or take it out of the sources"


def _tp(partition: ClientPartition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.partition)
