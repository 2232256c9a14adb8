"""Writes to the connector's own topics: :class:`~connector.engine.ports.Writer`.

A write counts once all in-sync replicas have the record; whatever else happens is told as a fault and
nothing is dropped in between. The loop hands records to the client, which queues them; a thread waits
for acknowledgements and brings them back in one call per round. When the client has failed for good
(an idempotent producer may), a new one takes its place and what was under way is told as passing;
so is whatever comes until a new one can be made. That is tried every second, and told ever more seldom.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connector.core.record import Headers
from connector.engine.ports import NotWritten
from connector.kafka.access import LOGGER, Access, producer_properties
from connector.kafka.bridge import Bridge
from connector.kafka.errors import KafkaTrouble, error_of, words, write_fault
from connector.kafka.reminder import Reminder

Done = Callable[[NotWritten | None], None]

_POLL_S = 0.2
_REBUILD_EVERY_S = 1.0
_HURRIED_S = 1.0
"""What a healthy broker needs at most to acknowledge what it has been sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterSettings:
    """``message_bytes_max`` is the largest record with its headers; ``delivery_timeout_ms`` bounds a
    write; ``queued_bytes_max`` what the client holds, ``pending_max`` the records that wait because
    its queue is full: past it a write is refused as passing."""

    message_bytes_max: int = 1_200_000
    delivery_timeout_ms: int = 30_000
    queued_bytes_max: int = 64 << 20
    queued_records_max: int = 100_000
    pending_max: int = 10_000


@dataclass(slots=True)  # not frozen: one is made for every letter, and would take three times as long
class _Pending:
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    done: Done


class KafkaWriter:
    """Make and use it on the loop. ``faulted`` is told what an operator must know, ``on_fatal`` why nothing
    will be written any more (``faulted`` too unless it is given): then the process should end."""

    def __init__(
        self,
        access: Access,
        settings: WriterSettings,
        *,
        faulted: Callable[[str], None],
        on_fatal: Callable[[str], None] | None = None,
    ) -> None:
        """Raises :class:`~connector.kafka.errors.KafkaTrouble` when the client refuses its settings."""
        self._access = access
        self._settings = settings
        self._on_fatal = on_fatal or faulted
        self._outstanding: dict[int, Done] = {}
        self._next_id = 0
        self._pending: deque[_Pending] = deque()
        self._is_closing = False
        self._close_within_s = settings.delivery_timeout_ms / 1000 + 1
        self._reports: list[tuple[int, NotWritten | None]] = []
        self._is_broken = threading.Event()
        self._reminder = Reminder(lambda what: self._bridge.tell(partial(faulted, what)))
        self._producer = self._new_producer()
        self._bridge = Bridge("kafka writer", self._run)
        self._bridge.start()

    # ── on the loop ─────────────────────────────────────────────────────────────────────────────

    @property
    def outstanding(self) -> int:
        """Writes whose ``done`` has not been called."""
        return len(self._outstanding) + len(self._pending)

    def write(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers, done: Done
    ) -> None:
        record = _Pending(topic, key, value, headers, done)
        if self._is_closing:
            self._refuse(done, NotWritten("passing", "the writer is closing"))
        elif self._pending or not self._produce(record):
            self._queue(record)

    async def close(self) -> None:
        self._is_closing = True
        await self._bridge.ended()

    def hurry(self) -> None:
        self._close_within_s = _HURRIED_S

    def _produce(self, record: _Pending) -> bool:
        """Hand it to the client; false when the client cannot take it now."""
        if self._is_broken.is_set():
            return False
        write_id = self._next_id
        try:
            self._producer.produce(
                record.topic,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
                on_delivery=partial(self._report, write_id),
            )
        except BufferError:
            return False
        except KafkaException as exception:
            error = error_of(exception)
            if _is_fatal(error):
                self._is_broken.set()
                return False
            self._refuse(record.done, self._not_written(error))
            return True
        self._next_id += 1
        self._outstanding[write_id] = record.done
        return True

    def _queue(self, record: _Pending) -> None:
        if len(self._pending) < self._settings.pending_max:
            self._pending.append(record)
        else:
            self._refuse(record.done, NotWritten("passing", "too many writes are waiting for the broker"))

    def _refuse(self, done: Done, why: NotWritten) -> None:
        self._bridge.tell(partial(done, why))

    def _settle(self, reports: Sequence[tuple[int, NotWritten | None]]) -> None:
        for write_id, result in reports:
            done = self._outstanding.pop(write_id, None)
            if done is not None:
                done(result)
        self._retry_pending()

    def _retry_pending(self) -> None:
        while self._pending and self._produce(self._pending[0]):
            self._pending.popleft()

    def _abandon(self) -> None:
        """The client is gone: nobody will report on these any more."""
        outstanding, self._outstanding = self._outstanding, {}
        for done in outstanding.values():
            done(NotWritten("passing", "the client ended before the broker acknowledged"))

    def _abandon_pending(self, why: str) -> None:
        while self._pending:
            self._pending.popleft().done(NotWritten("passing", why))

    # ── on the thread ───────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            self._write_until_closed()
        except Exception as error:
            LOGGER.exception("a fault in the writer's thread")
            self._is_closing = True  # from here on writes are refused
            self._bridge.tell(partial(self._on_fatal, f"a fault in the writer's thread: {error!r}"))
        finally:
            self._bridge.tell(self._abandon)
            self._bridge.tell(partial(self._abandon_pending, "the writer closed before its turn came"))

    def _write_until_closed(self) -> None:
        producer = self._producer
        closing_since_s = float("inf")
        while True:
            self._poll(producer)
            if self._is_broken.is_set():
                producer = self._rebuild(producer)
            if self._is_closing:
                closing_since_s = min(closing_since_s, time.monotonic())
                if not self.outstanding or time.monotonic() - closing_since_s > self._close_within_s:
                    break

    def _poll(self, producer: Producer) -> None:
        try:
            producer.poll(_POLL_S)
        except KafkaException as exception:
            self._on_error(error_of(exception))
        reports, self._reports = self._reports, []
        if reports:
            self._bridge.tell(partial(self._settle, reports))
        if any(failure is None for _, failure in reports):
            self._reminder.over()

    def _rebuild(self, broken: Producer) -> Producer:
        """A new client, or the broken one if none can be made now: its files may be being replaced. What the
        broken one still holds is reported by purging it."""
        broken.purge()
        self._poll(broken)
        self._bridge.tell(self._abandon)
        time.sleep(_REBUILD_EVERY_S)
        try:
            self._producer = fresh = self._new_producer()
        except KafkaTrouble as trouble:
            self._remind(f"no new client: {trouble.what}")
            self._bridge.tell(partial(self._abandon_pending, trouble.what))
            return broken
        self._is_broken.clear()  # only now: until here writes must wait, not meet the broken one
        self._bridge.tell(self._retry_pending)
        return fresh

    def _report(self, write_id: int, error: KafkaError | None, _message: Message) -> None:
        self._reports.append((write_id, None if error is None else self._not_written(error)))

    def _on_error(self, error: KafkaError) -> None:
        if _is_fatal(error):
            self._is_broken.set()
        if _is_fatal(error) or error.code() == KafkaError._AUTHENTICATION:
            what = self._access.redact(words(error))
            if error.code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED:
                what += ". Grant this user WRITE on the connector's own topics"
            self._remind(what)

    def _remind(self, what: str) -> None:
        self._reminder.met(f"writing: {what}", now_s=time.monotonic())

    def _not_written(self, error: KafkaError) -> NotWritten:
        return NotWritten(write_fault(error), self._access.redact(words(error)))

    def _new_producer(self) -> Producer:
        settings = self._settings
        properties = producer_properties(
            self._access,
            message_bytes_max=settings.message_bytes_max,
            delivery_timeout_ms=settings.delivery_timeout_ms,
            queued_bytes_max=settings.queued_bytes_max,
        )
        properties |= {
            "queue.buffering.max.messages": settings.queued_records_max,
            "error_cb": self._on_error,
        }
        try:
            return Producer(properties)
        except KafkaException as error:
            raise KafkaTrouble(self._access.redact(words(error_of(error))), is_fatal=True) from None


def _is_fatal(error: KafkaError) -> bool:
    return error.fatal() or error.code() == KafkaError._FATAL
