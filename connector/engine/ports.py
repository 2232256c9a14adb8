"""The ports: what the engine asks of the outside world, and what it promises in return.

Every port is called on the loop thread, and every callback given to a port is called back on the
loop thread. An adapter that owns threads hides them behind this line.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from connector.core.event import Decoded
from connector.core.outcome import Failure, Reply
from connector.core.record import Headers, Record
from connector.core.subscription import DIRECT, Egress, TlsIdentity

# ── time ────────────────────────────────────────────────────────────────────────────────────────


class Clock(Protocol):
    """Two clocks: ``now_ms`` is Unix time, ``monotonic_ms`` never steps back."""

    def now_ms(self) -> int: ...
    def monotonic_ms(self) -> int: ...


# ── saying ──────────────────────────────────────────────────────────────────────────────────────


class Log(Protocol):
    """Structured log lines: one sentence and its facts. Never a secret, never a whole body."""

    def info(self, event: str, **facts: Any) -> Any: ...  # Any: loggers return what they like
    def warning(self, event: str, **facts: Any) -> Any: ...
    def error(self, event: str, **facts: Any) -> Any: ...


# ── reading ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, order=True)
class TopicPartition:
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One partition given to us. ``epoch`` is local, unique per assignment, never reused.

    ``position`` is the offset the first record will be read from. ``committed_metadata`` is what
    the group's committed offset carried (empty: nothing). ``topic_id`` is empty where the cluster
    gives none.
    """

    tp: TopicPartition
    epoch: int
    position: int
    committed_metadata: str = ""
    topic_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """``offset`` is the next offset to read; ``epoch`` must be live or the commit is dropped."""

    tp: TopicPartition
    epoch: int
    offset: int
    metadata: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitResult:
    """``error`` is empty on success; ``is_metadata_refused`` says the broker took the offset's
    metadata for too large: commit again without it."""

    commit: Commit
    error: str = ""
    is_metadata_refused: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """Records of one partition and epoch, in offset order, and where its log ended if reached.

    ``end_offset`` is -1, or the offset after the last one that exists (records, markers and
    holes included) once these records are behind us. ``log_end`` is where the log ended when they were
    fetched, or earlier, but not before the last of them.
    """

    tp: TopicPartition
    epoch: int
    records: list[Record]
    end_offset: int
    log_end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """The position moved for a reason that is not ours. ``lost`` counts offsets skipped for ever
    (retention overtook us); ``recreated`` says that the topic is a new one of the same name."""

    tp: TopicPartition
    from_offset: int
    to_offset: int
    lost: int
    reason: Literal["retention", "recreated", "truncated", "expired"]


class Reading(Protocol):
    """What a :class:`Source` tells its owner, always on the loop thread, in this order per epoch:
    ``assigned``, any number of ``fetched``, then ``revoking`` or ``lost``, then nothing."""

    def assigned(self, assignments: Sequence[Assignment]) -> None: ...

    def fetched(self, batch: Sequence[Fetched]) -> None:
        """A batch. Each batch spends one grant."""

    def revoking(
        self, tps: Sequence[TopicPartition], budget_ms: int, done: Callable[[Sequence[Commit]], None]
    ) -> None:
        """Drain these within ``budget_ms``, then call ``done`` with their last commits."""

    def lost(self, tps: Sequence[TopicPartition]) -> None:
        """Taken from us: drop the state, commit nothing."""

    def committed(self, results: Sequence[CommitResult]) -> None: ...

    def jumped(self, jump: Jump) -> None: ...

    def absent(self, topics: Collection[str]) -> None:
        """All of the topics subscribed to that do not exist, or not for this user. Told when they change."""

    def holding(self, tps: Collection[TopicPartition]) -> None:
        """All partitions assigned that nothing is read of until an operator acts; ``faulted`` says why. Told
        when they change."""

    def faulted(self, what: str, *, is_fatal: bool) -> None:
        """Something an operator must know. Fatal: the client cannot go on, the process ends."""


class Source(Protocol):
    """A member of one consumer group.

    Capabilities are declared, not guessed: see :class:`Capabilities`.
    """

    def start(self, reading: Reading) -> None: ...

    def subscribe(self, topics: Sequence[str]) -> None:
        """Replace the set of topics read, by explicit names."""

    def grant(self) -> None:
        """One more batch may be fetched. Without a grant nothing is fetched: that is back-pressure."""

    def pause(self, tp: TopicPartition) -> None: ...
    def resume(self, tp: TopicPartition) -> None: ...

    def commit(self, commits: Sequence[Commit]) -> None:
        """Ask for a commit; the result comes as :meth:`Reading.committed`."""

    async def close(self) -> None:
        """Leave the group (``revoking`` is called for what is held) and stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a cluster can do. librdkafka's built-in cluster cannot create topics, describe their
    settings, look up offsets by time, or give topic ids."""

    can_create_topics: bool
    can_describe_topics: bool
    can_look_up_times: bool
    has_topic_ids: bool


# ── writing ─────────────────────────────────────────────────────────────────────────────────────

WriteFault = Literal["passing", "too-large", "missing-topic", "forbidden", "fatal"]


@dataclass(frozen=True, slots=True)
class NotWritten:
    """A write that the broker did not acknowledge; nothing is known to be in the topic."""

    fault: WriteFault
    detail: str


class Writer(Protocol):
    """Writes to the connector's own topics, acknowledged by all in-sync replicas."""

    def write(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        done: Callable[[NotWritten | None], None],
    ) -> None:
        """Write one record; ``done`` is called exactly once, never before ``write`` returns, with
        ``None`` once the broker has acknowledged it."""

    async def close(self) -> None:
        """Wait for what is outstanding (bounded by the client's delivery timeout) and stop."""

    def hurry(self) -> None:
        """Wait a second at most, in a close under way or yet to come. What is not acknowledged by then is
        told as not written; no offset is committed for it."""


# ── decoding ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class SchemaReady:
    """Decode again: the schema is at hand."""


@dataclass(frozen=True, slots=True)
class SchemaUnknown:
    """The registry answered that the id does not exist (404 with error_code 40403)."""

    detail: str


@dataclass(frozen=True, slots=True)
class SchemaUnreachable:
    """No usable answer: a fault of ours, never the record's."""

    detail: str


SchemaAnswer = SchemaReady | SchemaUnknown | SchemaUnreachable


class Decoder(Protocol):
    """Records into events, each topic by its own settings."""

    def decode(self, record: Record) -> Decoded:
        """Never raises for what a record holds; bounded in time and memory for any input."""

    async def fetch(self, ref: Hashable) -> SchemaAnswer:
        """Fetch a schema named by :class:`~connector.core.event.NeedsSchema`; callers of the same
        ``ref`` share one request."""


# ── sending ─────────────────────────────────────────────────────────────────────────────────────


class Endpoint(Protocol):
    """Where a subscription's deliveries go: URL, prepared request head, connection pool.
    Opaque to the engine; made by :meth:`Sender.endpoint`.

    ``place`` is scheme, host and port as the sender reads them: one text for all spellings of a place.
    ``way`` is the proxy through which POSTs leave, by one name; empty: directly."""

    url: str
    place: str
    way: str


class Sender(Protocol):
    """Sends signed POSTs. One deadline spans name look-up, connect, TLS, request and reply."""

    def endpoint(
        self,
        url: str,
        *,
        headers: Sequence[tuple[str, str]],
        content_type: str,
        tls: TlsIdentity | None = None,
        egress: Egress = DIRECT,
    ) -> Endpoint:
        """Prepare an endpoint. Endpoints of different identities or ways never share a connection. Raises
        :class:`ForbiddenTarget` for a URL that may never be sent to, :class:`UnusableIdentity` for files
        that cannot be used."""

    def post(
        self,
        endpoint: Endpoint,
        headers: bytes,
        body: bytes,
        timeout_ms: int,
        context: Any,  # handed back untouched: saves a closure per delivery
        done: Callable[[Any, Reply | Failure], None],
    ) -> None:
        """POST ``body`` with ``headers`` (encoded lines, each ended by CRLF) added to the prepared
        head. ``done(context, reply_or_failure)`` is called exactly once, at the deadline at the
        latest, never before ``post`` returns."""

    async def reach(self, endpoint: Endpoint, timeout_ms: int) -> Failure | None:
        """Open a connection as for a delivery, send nothing, and close it: why there is none, or ``None``."""

    def cancel_all(self) -> None:
        """Abort every request under way; each ``done`` gets a ``reset`` failure."""

    async def close(self) -> None: ...


class UnusableIdentity(ValueError):
    """The files of a TLS identity cannot be used; the message names the file and the cure."""


class ForbiddenTarget(ValueError):
    """This URL may never be sent to; the message names the rule and the cure."""


# ── asynchronous work on the loop ───────────────────────────────────────────────────────────────

Spawn = Callable[[Coroutine[Any, Any, None], str], None]
"""Run a coroutine as a task owned by the lifecycle, under a name; its failure ends the process."""
