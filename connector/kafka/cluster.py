"""What a cluster says about its topics: names, ids, partitions, offsets, settings.

Blocking calls, each bounded by :data:`CALL_TIMEOUT_S`; call them from a thread that may wait. Trouble
is raised as :class:`~connector.kafka.errors.KafkaTrouble`. What a cluster cannot do is declared by its
:class:`~connector.engine.ports.Capabilities` and never tried.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
)
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType

from connector.core.start import Start, StartAtTime
from connector.core.topic_check import TopicFound
from connector.engine.ports import Capabilities, TopicPartition
from connector.kafka.access import Access, admin_properties
from connector.kafka.errors import (
    KafkaTrouble,
    error_of,
    is_coordinator_starting,
    is_out_of_reach,
    words,
)
from connector.kafka.group_offsets import ASK_AGAIN_S, committed_of_group

CALL_TIMEOUT_S = 5.0

T = TypeVar("T")

APACHE_KAFKA = Capabilities(
    can_create_topics=True, can_describe_topics=True, can_look_up_times=True, has_topic_ids=True
)
"""What a real cluster can do."""

Absence = Literal["", "missing", "forbidden"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicLook:
    """A topic as the cluster shows it. ``absence`` says why there is nothing to see; ``id`` is empty
    where the cluster gives none. ``operations`` are what this user may do, when that was asked."""

    topic: str
    partitions: int = 0
    id: str = ""
    absence: Absence = ""
    operations: frozenset[str] = frozenset()

    @property
    def complaint(self) -> str:
        """What an operator must know of a topic that is absent, and the cure."""
        if self.absence == "forbidden":
            return f"topic {self.topic} may not be read by this user: grant READ and DESCRIBE on it"
        return f"topic {self.topic} does not exist: create it, or take it out of the sources"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLook:
    """A consumer group as its coordinator shows it. ``state`` is empty when there is no such group;
    ``operations`` are empty where the cluster does not say."""

    state: str = ""
    members: int = 0
    is_forbidden: bool = False
    operations: frozenset[str] = frozenset()


class Cluster:
    """An administrator's view of one cluster."""

    def __init__(self, access: Access, capabilities: Capabilities) -> None:
        self.access = access
        self.capabilities = capabilities
        self._connection_fault = ""
        try:
            self._admin = AdminClient(admin_properties(access) | {"error_cb": self._on_error})
        except KafkaException as error:
            raise KafkaTrouble(access.redact(words(error_of(error))), is_fatal=True) from None

    # ── topics ──────────────────────────────────────────────────────────────────────────────────

    def brokers(self) -> list[int]:
        """Ids of the brokers in reach of the cluster's metadata."""
        return sorted(self._metadata().brokers)

    def names(self) -> list[str]:
        return sorted(self._metadata().topics)

    def look(self, topics: Collection[str], *, with_operations: bool = False) -> dict[str, TopicLook]:
        """Each of ``topics`` as it is now."""
        if not topics:
            return {}
        if not self.capabilities.has_topic_ids:
            found = self._metadata().topics
            return {t: TopicLook(topic=t, **_seen(found.get(t))) for t in topics}
        futures = self._admin.describe_topics(
            TopicCollection(list(topics)),
            include_authorized_operations=with_operations,
            request_timeout=CALL_TIMEOUT_S,
        )
        return {topic: self._described(topic, future) for topic, future in futures.items()}

    def found(self, topic: str, brokers: Sequence[int]) -> TopicFound:
        """Settings and replicas of a topic that exists."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        configs = self._admin.describe_configs([resource], request_timeout=CALL_TIMEOUT_S)
        described = self._admin.describe_topics(TopicCollection([topic]), request_timeout=CALL_TIMEOUT_S)
        return TopicFound(
            replicas={p.id: [n.id for n in p.replicas] for p in self._result(described[topic]).partitions},
            brokers=brokers,
            settings={
                name: entry.value
                for name, entry in self._result(configs[resource]).items()
                if entry.value is not None
            },
        )

    def create(self, topic: str, *, partitions: int, replicas: int, settings: Mapping[str, str]) -> None:
        """Create a topic; one that another worker created meanwhile is fine. The trouble is fatal when the
        cluster will not, whenever it is asked."""
        wanted = NewTopic(topic, partitions, replicas, config=dict(settings))
        future = self._admin.create_topics([wanted], request_timeout=CALL_TIMEOUT_S)[topic]
        try:
            future.result(CALL_TIMEOUT_S + 1)
        except KafkaException as error:
            code = error_of(error).code()
            if code != KafkaError.TOPIC_ALREADY_EXISTS:
                what = self._trouble(f"topic {topic} cannot be created", error).what
                raise KafkaTrouble(what, is_fatal=code in _WILL_NOT_CREATE) from None
        except FutureTimeout:
            raise KafkaTrouble(f"topic {topic} cannot be created: the cluster did not answer") from None

    # ── offsets ─────────────────────────────────────────────────────────────────────────────────

    def log_range(self, tp: TopicPartition) -> tuple[int, int]:
        """The log's start and the end of what is committed to it (transactions considered)."""
        return self.offsets([tp], "earliest")[tp], self.offsets([tp], "latest")[tp]

    def offsets(self, tps: Iterable[TopicPartition], start: Start) -> dict[TopicPartition, int]:
        """The offset that ``start`` means in each partition; a time later than all records is the end."""
        wanted = list(tps)
        if isinstance(start, StartAtTime) and not self.capabilities.can_look_up_times:
            raise KafkaTrouble(
                "this cluster cannot look up offsets by time: use start: earliest or latest", is_fatal=True
            )
        offsets = self._list(wanted, _spec(start))
        late = [tp for tp in wanted if offsets[tp] < 0]
        return offsets | self._list(late, _spec("latest")) if late else offsets

    def _list(self, tps: Sequence[TopicPartition], spec: OffsetSpec) -> dict[TopicPartition, int]:
        futures = self._admin.list_offsets(
            {ClientPartition(tp.topic, tp.partition): spec for tp in tps},
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=CALL_TIMEOUT_S,
        )
        return {
            TopicPartition(asked.topic, asked.partition): self._result(future).offset
            for asked, future in futures.items()
        }

    def committed(self, group: str, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """What ``group`` has committed in each partition, asked from outside it; partitions without a
        commit are left out."""
        found = committed_of_group(self.access, group, list(tps), timeout_s=CALL_TIMEOUT_S)
        return {tp: one.offset for tp, one in found.items()}

    def group(self, name: str) -> GroupLook:
        """The group as it is now. Waits, within the time of one call, for a coordinator that starts."""
        deadline = time.monotonic() + CALL_TIMEOUT_S
        while True:
            futures = self._admin.describe_consumer_groups(
                [name], include_authorized_operations=True, request_timeout=CALL_TIMEOUT_S
            )
            try:
                return _group_look(futures[name].result(CALL_TIMEOUT_S + 1))
            except FutureTimeout:
                what = f"group {name} cannot be described: the cluster did not answer"
                raise KafkaTrouble(what) from None
            except KafkaException as error:
                refusal = error_of(error)
                code = refusal.code()
                if code == KafkaError.GROUP_ID_NOT_FOUND:
                    return GroupLook()
                if code == KafkaError.GROUP_AUTHORIZATION_FAILED:
                    return GroupLook(is_forbidden=True)
                if not is_coordinator_starting(refusal) or time.monotonic() > deadline:
                    raise self._trouble(f"group {name} cannot be described", error) from None
            time.sleep(ASK_AGAIN_S)

    # ── removal ─────────────────────────────────────────────────────────────────────────────────

    def delete_topics(self, topics: Sequence[str]) -> None:
        """Delete topics with all their records; those that do not exist are gone already."""
        if topics:
            futures = self._admin.delete_topics(list(topics), request_timeout=CALL_TIMEOUT_S)
            self._all_gone(futures, KafkaError.UNKNOWN_TOPIC_OR_PART)

    def delete_groups(self, groups: Sequence[str]) -> None:
        """Delete groups without members, with their offsets."""
        if groups:
            futures = self._admin.delete_consumer_groups(list(groups), request_timeout=CALL_TIMEOUT_S)
            self._all_gone(futures, KafkaError.GROUP_ID_NOT_FOUND)

    def _all_gone(self, futures: Mapping[str, Future[Any]], gone_code: int) -> None:
        for name, future in futures.items():
            try:
                future.result(CALL_TIMEOUT_S + 1)
            except KafkaException as error:
                if error_of(error).code() != gone_code:
                    raise self._trouble(f"{name} cannot be deleted", error) from None
            except FutureTimeout:
                raise KafkaTrouble(f"{name} cannot be deleted: the cluster did not answer") from None

    # ── answers ─────────────────────────────────────────────────────────────────────────────────

    def _metadata(self) -> Any:  # ClusterMetadata: confluent_kafka does not export the type
        try:
            return self._admin.list_topics(timeout=CALL_TIMEOUT_S)
        except KafkaException as error:
            servers = self.access.bootstrap_servers
            what = f"the cluster does not answer; check kafka.bootstrap_servers ({servers})"
            raise self._trouble(what, error) from None

    def _described(self, topic: str, future: Future[Any]) -> TopicLook:
        try:
            found = future.result(CALL_TIMEOUT_S + 1)
        except KafkaException as error:
            absence = _ABSENCE.get(error_of(error).code())
            if absence is None:
                raise self._trouble(f"topic {topic} cannot be described", error) from None
            return TopicLook(topic=topic, absence=absence)
        except FutureTimeout:
            raise KafkaTrouble(f"topic {topic} cannot be described: the cluster did not answer") from None
        return TopicLook(
            topic=topic,
            partitions=len(found.partitions),
            id=str(found.topic_id),
            operations=frozenset(op.name for op in found.authorized_operations or ()),
        )

    def _result(self, future: Future[T]) -> T:
        try:
            return future.result(CALL_TIMEOUT_S + 1)
        except KafkaException as error:
            raise self._trouble("the cluster refused", error) from None
        except FutureTimeout:
            raise KafkaTrouble("the cluster did not answer in time") from None

    def _trouble(self, what: str, error: KafkaException) -> KafkaTrouble:
        return KafkaTrouble(f"{what}: {self.access.redact(self._telling(error_of(error)))}")

    def _telling(self, error: KafkaError) -> str:
        """A call only says that it timed out where its connections know why."""
        self._connection_fault = ""
        if is_out_of_reach(error):
            self._admin.poll(0)
        return self._connection_fault or words(error)

    def _on_error(self, error: KafkaError) -> None:
        """Called back inside a poll."""
        if error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE):
            self._connection_fault = words(error)


_ABSENCE: dict[int, Absence] = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "missing",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "forbidden",
}


_WILL_NOT_CREATE = {
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.INVALID_CONFIG,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.POLICY_VIOLATION,
}


def _group_look(found: Any) -> GroupLook:  # ConsumerGroupDescription, whose members carry no types
    return GroupLook(
        state="" if found.state.name == "DEAD" else found.state.name.lower().replace("_", " "),
        members=len(found.members),
        operations=frozenset(op.name for op in found.authorized_operations or ()),
    )


def _seen(metadata: Any) -> dict[str, Any]:  # TopicMetadata, not exported
    if metadata is None:
        return {"absence": "missing"}
    if metadata.error is not None:
        return {"absence": _ABSENCE.get(metadata.error.code(), "missing")}
    return {"partitions": len(metadata.partitions)}


def _spec(start: Start) -> OffsetSpec:
    make: Any = OffsetSpec  # its factories carry no types
    spec: OffsetSpec
    match start:
        case "earliest":
            spec = make.earliest()
        case "latest":
            spec = make.latest()
        case StartAtTime(time_ms):
            spec = make.for_timestamp(time_ms)
    return spec
