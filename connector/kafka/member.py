"""The polling thread of a group member: fetches, rebalances, commits.

It only polls, and never longer than :data:`POLL_S`, so that the member stays alive whatever the
receivers do. What it promises:

* per epoch the engine hears ``assigned`` first, then records, then ``revoking`` or ``lost``, then nothing;
* nothing is fetched without a grant. Up to :data:`STARVED_S` it just does not ask, since pausing throws
  away what was fetched ahead; then it pauses everything and polls on for the group's sake;
* a commit is sent only for a live epoch and never backwards: the coordinator would take both;
* positions come from commits and from the sources topic. The client's own reset is ``error``: it never
  moves by itself, and whatever it cannot read is decided by :func:`~connector.core.start.after_reset`.
"""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ClientPartition

from connector.core.start import (
    BeyondEnd,
    MadeAnew,
    Overtaken,
    Readable,
    Start,
    after_reset,
)
from connector.engine.ports import Assignment, Commit, CommitResult, Fetched, Jump, Reading, TopicPartition
from connector.kafka.access import consumer_properties
from connector.kafka.bridge import Bridge
from connector.kafka.cluster import CALL_TIMEOUT_S, Cluster, TopicLook
from connector.kafka.errors import KafkaTrouble, error_of, is_out_of_reach, words
from connector.kafka.intake import Held, sort
from connector.kafka.opening import CommittedOffset, Opened, Opener
from connector.kafka.sources_store import SourcesStore

POLL_S = 0.1
STARVED_S = 2.0
RETRY_S = 1.0
NOTE_EVERY_S = 60.0
COMMIT_ANSWER_S = 60.0

Protocol = Literal["classic", "consumer"]
Strategy = Literal["cooperative-sticky", "range"]


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
    protocol: Protocol = "classic"
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
        self._settings = settings
        self._bridge = bridge
        self._reading = reading
        self._cluster = cluster
        self._store = SourcesStore(own_cluster, sources_topic)
        self._opener = Opener(
            cluster=cluster,
            store=self._store,
            group=settings.group,
            groups=settings.groups,
            start=settings.start,
            committed=self._committed_offsets,
        )
        self._consumer = self._new_consumer()
        self._is_eager = settings.protocol == "classic" and settings.strategy == "range"
        self._is_closing = False
        self._epochs = itertools.count(1)
        self._held: dict[tuple[str, int], Held] = {}
        self._waiting: dict[TopicPartition, None] = {}  # ours, but not placed yet; in order
        self._resets: dict[TopicPartition, bool] = {}  # unreadable positions; whether the log was cut
        self._wanted: frozenset[str] = frozenset()
        self._begun: set[str] = set()
        self._subscribed: frozenset[str] = frozenset()
        self._retry_at_s = float("inf")
        self._grants = 0
        self._starved_at_s = time.monotonic()
        self._is_starved = False  # everything is paused
        self._carry: list[Fetched] = []
        self._to_commit: list[Commit] = []
        self._in_flight: list[Commit] = []
        self._in_flight_since_s = 0.0

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
        held = self._held.get((tp.topic, tp.partition))
        if held is not None and not held.is_paused:
            held.is_paused = True
            self._consumer.pause([_plain(tp)])

    def resume(self, tp: TopicPartition) -> None:
        held = self._held.get((tp.topic, tp.partition))
        if held is not None and held.is_paused:
            held.is_paused = False
            if not self._is_starved:
                self._consumer.resume([_plain(tp)])

    def commit(self, commits: Sequence[Commit]) -> None:
        self._to_commit.extend(commits)

    def close(self) -> None:
        self._is_closing = True

    def complain(self, what: str, *, is_fatal: bool = False) -> None:
        self._bridge.tell(partial(self._reading.faulted, what, is_fatal=is_fatal))
        self._is_closing = self._is_closing or is_fatal

    def looked(self, looks: Mapping[str, TopicLook]) -> None:
        """The topics as they are now: notice what has gone, come back, or been made anew."""
        for topic, look in looks.items():
            if topic in self._wanted and look.absence:
                self.complain(_absent(look))
        for held in list(self._held.values()):
            look = looks.get(held.tp.topic, _UNSEEN)
            if held.topic_id and look.id and held.topic_id != look.id:
                self._resets[held.tp] = False
        self._retry_at_s = time.monotonic()

    # ── the thread ──────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        """Poll until closed; then leave the group, which hands back what is held."""
        try:
            while not self._is_closing:
                self._turn()
        except KafkaException as error:
            self.complain(self._words(error_of(error)), is_fatal=True)
        except Exception as error:
            self.complain(f"a fault in the polling thread: {error!r}", is_fatal=True)
            raise
        finally:
            self._consumer.close()
            self._store.close()

    def _turn(self) -> None:
        self._bridge.obey()
        if time.monotonic() >= self._retry_at_s:
            self._retry_at_s = float("inf")
            self._begin_topics()
            self._open_waiting()
            self._mend_resets()
        self._send_commits()
        if self._grants:
            self._fetch()
        else:
            self._idle()

    def _retry_soon(self) -> None:
        self._retry_at_s = min(self._retry_at_s, time.monotonic() + RETRY_S)

    # ── fetching ────────────────────────────────────────────────────────────────────────────────

    def _fetch(self) -> None:
        if self._is_starved:
            self._end_starving()
        batch = self._carry or self._poll(POLL_S, self._settings.batch_records_max)
        self._carry = []
        live = {held.epoch for held in self._held.values()}
        batch = [part for part in batch if part.epoch in live]
        if batch:
            self._grants -= 1
            self._starved_at_s = time.monotonic()
            self._bridge.tell(partial(self._reading.fetched, batch))

    def _idle(self) -> None:
        """No grant: stay in the group. What a poll brings all the same waits in the carry."""
        self._bridge.obey(wait_s=POLL_S / 2)
        if self._grants:
            return
        if not self._is_starved and time.monotonic() - self._starved_at_s > STARVED_S:
            self._is_starved = True
            self._consumer.pause([_plain(held.tp) for held in self._held.values()])
        self._carry.extend(self._poll(0, 1))

    def _end_starving(self) -> None:
        self._is_starved = False
        self._consumer.resume([_plain(held.tp) for held in self._held.values() if not held.is_paused])

    def _poll(self, wait_s: float, records_max: int) -> list[Fetched]:
        messages: list[Message] = []
        try:
            first = self._consumer.poll(wait_s)
            if first is not None:
                messages.append(first)
                if records_max > 1:
                    messages.extend(self._consumer.consume(records_max - 1, 0))
        except KafkaException as error:
            self._on_error(error_of(error))
        if not messages:
            return []
        found = sort(messages, self._held)
        for message in found.errors:
            self._on_message_error(message)
        for tp, offset in found.regressed.items():
            self._regressed(tp, offset)
        return found.batch

    def _on_message_error(self, message: Message) -> None:
        error = message.error()
        assert error is not None
        topic, partition = message.topic(), message.partition()
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION):
            if topic is not None and partition is not None:
                self._resets[TopicPartition(topic, partition)] = error.code() == KafkaError._LOG_TRUNCATION
                self._retry_at_s = 0.0
            return
        where = f"topic {topic}: " if topic else ""
        self._on_error(error, where)

    def _on_error(self, error: KafkaError, where: str = "") -> None:
        is_fatal = error.fatal() or error.code() == KafkaError._FATAL
        if is_fatal or not is_out_of_reach(error):
            self.complain(where + self._words(error), is_fatal=is_fatal)

    # ── topics ──────────────────────────────────────────────────────────────────────────────────

    def _begin_topics(self) -> None:
        """Begin the wanted topics that are not begun yet, then subscribe to all that are."""
        try:
            looks = self._opener.look(self._wanted - self._begun)
            for look in looks.values():
                if look.absence:
                    self.complain(_absent(look))
                else:
                    self._begin_topic(look)
        except KafkaTrouble as trouble:
            self._troubled(trouble)
        topics = self._wanted & self._begun
        if topics != self._subscribed:
            self._subscribed = topics
            if topics:
                self._consumer.subscribe(
                    sorted(topics),
                    on_assign=self._on_assign,
                    on_revoke=self._on_revoke,
                    on_lost=self._on_lost,
                )
            else:
                self._consumer.unsubscribe()

    def _begin_topic(self, look: TopicLook) -> None:
        try:
            self._opener.begin(look)
            self._begun.add(look.topic)
        except KafkaTrouble as trouble:
            self._troubled(trouble)

    def _troubled(self, trouble: KafkaTrouble) -> None:
        self.complain(trouble.what, is_fatal=trouble.is_fatal)
        self._retry_soon()

    # ── rebalancing (called back inside poll, consume and close) ────────────────────────────────

    def _on_assign(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        self._waiting.update((_tp(p), None) for p in partitions)
        if not self._open_waiting():
            # The callback must assign something, or the client would assign as it likes.
            self._assign([])
            self._bridge.tell(partial(self._reading.assigned, []))

    def _open_waiting(self) -> bool:
        """Place and read what is ours and not read yet. What fails is tried again every second."""
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
        for one in opened:
            self._held[one.tp.topic, one.tp.partition] = Held(
                one.tp, next(self._epochs), one.place.offset, one.topic_id, one.entry
            )
        self._assign([one.tp for one in opened])
        self._bridge.tell(partial(self._reading.assigned, [self._assignment(one) for one in opened]))
        for one in opened:
            if one.place.why:
                self._jump(
                    one.tp,
                    from_offset=-1 if one.committed is None else one.committed,
                    to_offset=one.place.offset,
                    reason=one.place.why,
                )

    def _assignment(self, one: Opened) -> Assignment:
        held = self._held[one.tp.topic, one.tp.partition]
        return Assignment(
            tp=one.tp,
            epoch=held.epoch,
            position=held.position,
            committed_metadata=one.metadata,
            topic_id=one.topic_id,
        )

    def _assign(self, tps: Sequence[TopicPartition]) -> None:
        """Read these held partitions from their positions. A paused state survives in the client
        from an earlier assignment, so each is resumed."""
        added = [self._placed(tp) for tp in tps]
        if self._is_eager:
            self._consumer.assign([self._placed(held.tp) for held in self._held.values()])
        else:
            self._consumer.incremental_assign(added)
        self._consumer.resume(added)
        if self._is_starved:
            self._consumer.pause(added)

    def _placed(self, tp: TopicPartition) -> ClientPartition:
        return ClientPartition(tp.topic, tp.partition, self._held[tp.topic, tp.partition].position)

    def _unassign(self, tps: Sequence[TopicPartition]) -> None:
        if not self._is_eager:
            self._consumer.incremental_unassign([_plain(tp) for tp in tps])

    def _on_revoke(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        held = self._held_of(partitions)
        if held:
            commits = self._drain([one.tp for one in held])
            self._commit_finally(commits)
        self._drop(partitions)

    def _on_lost(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        held = self._held_of(partitions)
        if held:
            self._bridge.tell(partial(self._reading.lost, [one.tp for one in held]))
        self._drop(partitions)

    def _held_of(self, partitions: Iterable[ClientPartition]) -> list[Held]:
        found = (self._held.get((p.topic, p.partition)) for p in partitions)
        return [held for held in found if held is not None]

    def _drop(self, partitions: Sequence[ClientPartition]) -> None:
        assigned = [held.tp for held in self._held_of(partitions)]
        for partition in partitions:
            tp = _tp(partition)
            self._held.pop((tp.topic, tp.partition), None)
            self._waiting.pop(tp, None)
            self._resets.pop(tp, None)
        if self._is_eager:
            self._consumer.unassign()
        else:
            self._unassign(assigned)

    def _drain(self, tps: Sequence[TopicPartition]) -> Sequence[Commit]:
        """Have the engine finish with these; its last commits, or none when it takes too long."""
        budget_ms = self._settings.revoke_budget_ms
        answer: queue.SimpleQueue[Sequence[Commit]] = queue.SimpleQueue()
        self._bridge.tell(partial(self._reading.revoking, tps, budget_ms, answer.put))
        try:
            return answer.get(timeout=budget_ms / 1000 + 1)
        except queue.Empty:
            self.complain("partitions were handed back before they were drained; some records come twice")
            return ()

    # ── commits ─────────────────────────────────────────────────────────────────────────────────

    def _send_commits(self) -> None:
        """One request at a time, so that no older commit can overtake a newer one."""
        if self._in_flight:
            if time.monotonic() - self._in_flight_since_s < COMMIT_ANSWER_S:
                return
            self._answer(self._in_flight, "no answer from the group's coordinator")
            self._in_flight = []
        first = {commit.tp: commit for commit in reversed(self._to_commit)}  # the first of each partition
        commits = list(first.values())
        self._to_commit = [commit for commit in self._to_commit if first[commit.tp] is not commit]
        live = [commit for commit in commits if self._is_live(commit)]
        forward = [commit for commit in live if commit.offset >= self._held_by(commit).committed]
        self._answer([c for c in live if c not in forward], "it is behind what is committed already")
        if not forward:
            return
        try:
            self._consumer.commit(offsets=[_offset(c) for c in forward], asynchronous=True)
        except KafkaException as error:
            self._answer(forward, self._words(error_of(error)))
        else:
            self._in_flight = forward
            self._in_flight_since_s = time.monotonic()

    def _on_commit(self, error: KafkaError | None, partitions: list[ClientPartition]) -> None:
        commits, self._in_flight = self._in_flight, []
        errors = {_tp(p): p.error for p in partitions}
        results = []
        for commit in commits:
            why = errors.get(commit.tp) or error
            if not self._is_live(commit):
                continue
            if why is None:
                self._committed(commit)
                results.append(CommitResult(commit=commit))
            else:
                results.append(
                    CommitResult(commit=commit, error=self._words(why), is_metadata_refused=_is_too_long(why))
                )
        if results:
            self._bridge.tell(partial(self._reading.committed, results))

    def _commit_finally(self, commits: Sequence[Commit]) -> None:
        """The last commit of these epochs, waited for: the next owner reads on from it."""
        last = [c for c in commits if self._is_live(c) and c.offset >= self._held_by(c).committed]
        if not last:
            return
        error = self._commit_now([_offset(c) for c in last])
        if error is not None and _is_too_long(error):
            error = self._commit_now([ClientPartition(c.tp.topic, c.tp.partition, c.offset) for c in last])
        if error is not None:
            self.complain(f"the last commit before handing back failed ({self._words(error)}); some records come twice")
            return
        for commit in last:
            self._committed(commit)

    def _commit_now(self, offsets: list[ClientPartition]) -> KafkaError | None:
        try:
            done = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            return error_of(error)
        return next((p.error for p in done or () if p.error is not None), None)

    def _committed(self, commit: Commit) -> None:
        """Remember it here, and in the sources topic once a minute."""
        held = self._held_by(commit)
        held.committed = commit.offset
        now_s = time.monotonic()
        if held.entry is None or now_s - held.noted_at_s < NOTE_EVERY_S:
            return
        held.noted_at_s = now_s
        try:
            self._store.note(replace(held.entry, watermark=commit.offset))
        except KafkaTrouble as trouble:
            self.complain(trouble.what)

    def _answer(self, commits: Sequence[Commit], error: str) -> None:
        results = [CommitResult(commit=c, error=error) for c in commits if self._is_live(c)]
        if results:
            self._bridge.tell(partial(self._reading.committed, results))

    def _is_live(self, commit: Commit) -> bool:
        held = self._held.get((commit.tp.topic, commit.tp.partition))
        return held is not None and held.epoch == commit.epoch

    def _held_by(self, commit: Commit) -> Held:
        return self._held[commit.tp.topic, commit.tp.partition]

    def _committed_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, CommittedOffset]:
        """What the group has committed; partitions without are left out."""
        if not tps:
            return {}
        try:
            found = self._consumer.committed([_plain(tp) for tp in tps], timeout=CALL_TIMEOUT_S)
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
            held = self._held.get((tp.topic, tp.partition))
            if held is None:
                del self._resets[tp]
                continue
            try:
                self._mend(held, is_cut=is_cut)
            except KafkaTrouble as trouble:
                self._troubled(trouble)

    def _mend(self, held: Held, *, is_cut: bool) -> None:
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
            is_cut=is_cut,
        )
        match verdict:
            case BeyondEnd():
                # Looked at again every few seconds, so the alert is not a single line in the past.
                self.complain(
                    f"{tp} is held: the group is at offset {held.position}, but its log ends at {log_end}. "
                    "Stop all workers and say where to go on: kafka-consumer-groups.sh --bootstrap-server "
                    f"{self._cluster.access.bootstrap_servers} --group {self._settings.group} "
                    f"--topic {tp.topic}:{tp.partition} --reset-offsets --to-offset {log_end} --execute"
                )
                return
            case MadeAnew():
                self._opener.begin(look)
                opened = self._opener.open([tp])
                self._give_up(held)
                self._take(opened)
            case Overtaken(offset, lost):
                before, held.position = held.position, offset
                self._jump(tp, from_offset=before, to_offset=offset, reason="retention", lost=lost)
                self._reread(tp)
            case Readable():
                self._reread(tp)
        self._resets.pop(tp, None)

    def _regressed(self, tp: TopicPartition, offset: int) -> None:
        """An offset came that is not above the last one, and nothing of ours explains it: the log was
        cut or made anew. What was known of the old one must not be applied to it."""
        held = self._held[tp.topic, tp.partition]
        self._bridge.tell(partial(self._reading.lost, [tp]))
        self._jump(tp, from_offset=held.position, to_offset=offset, reason="truncated")
        fresh = replace(held, epoch=next(self._epochs), position=offset, committed=-1)
        self._held[tp.topic, tp.partition] = fresh
        assignment = Assignment(tp=tp, epoch=fresh.epoch, position=offset, topic_id=fresh.topic_id)
        self._bridge.tell(partial(self._reading.assigned, [assignment]))
        self._reread(tp)

    def _give_up(self, held: Held) -> None:
        self._bridge.tell(partial(self._reading.lost, [held.tp]))
        self._unassign([held.tp])
        del self._held[held.tp.topic, held.tp.partition]

    def _reread(self, tp: TopicPartition) -> None:
        """Read again from the position held. A seek is refused once the client has given up on a
        partition; leaving and taking it again is not."""
        held = self._held[tp.topic, tp.partition]
        self._unassign([tp])
        self._assign([tp])
        if held.is_paused:
            self._consumer.pause([_plain(tp)])

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


_UNSEEN = TopicLook(topic="")


def _absent(look: TopicLook) -> str:
    if look.absence == "forbidden":
        return f"topic {look.topic} may not be read by this user: grant READ and DESCRIBE on it"
    return f"topic {look.topic} does not exist: create it, or take it out of the sources"


def _is_too_long(error: KafkaError) -> bool:
    return error.code() == KafkaError.OFFSET_METADATA_TOO_LARGE


def _tp(partition: ClientPartition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.partition)


def _plain(tp: TopicPartition) -> ClientPartition:
    return ClientPartition(tp.topic, tp.partition)


def _offset(commit: Commit) -> ClientPartition:
    return ClientPartition(commit.tp.topic, commit.tp.partition, commit.offset, metadata=commit.metadata)
