"""Follows a compacted topic from its beginning, outside every group: the polling thread of the board.

What lies there when it begins is folded first and told as the newest value of each key, so that nobody
acts on what is long superseded. Whatever keeps a partition from being read (the log was cut, retention
overtook us, the topic went or is another of the same name) has one answer: read it all again. That may
tell what was told before; since only the newest value of a key counts, it does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ClientPartition

from connector.core.record import Record
from connector.engine.ports import TopicPartition
from connector.kafka.access import LOGGER, consumer_properties
from connector.kafka.bridge import Bridge
from connector.kafka.cluster import Absence, Cluster, TopicLook
from connector.kafka.errors import Complain, KafkaTrouble, error_of, is_out_of_reach, words
from connector.kafka.holdings import Holding
from connector.kafka.reminder import Reminder
from connector.kafka.sorting import sort

News = Mapping[bytes, bytes | None]

_POLL_S = 0.1
_RETRY_S = 0.5
_BATCH_RECORDS_MAX = 500
_QUEUED_BYTES_MAX = 1 << 20


class Follower:
    """Made on the loop, then used by the polling thread only.

    ``told`` is called on the loop with at most 500 keys at a time, and not again before :meth:`go_on`;
    meanwhile newer values take the place of older ones, so what waits is bounded by the keys there are.
    ``caught_up`` is called on the loop once, when what was there at the start has been told.
    """

    def __init__(
        self,
        topic: str,
        *,
        cluster: Cluster,
        bridge: Bridge,
        told: Callable[[News], None],
        caught_up: Callable[[], None],
        complain: Complain,
    ) -> None:
        """Raises :class:`~connector.kafka.errors.KafkaTrouble` when the client refuses its settings."""
        self._topic = topic
        self._cluster = cluster
        self._bridge = bridge
        self._told = told
        self._caught_up = caught_up
        self._complain = complain
        self._reminder = Reminder(self._say)
        self._held: dict[tuple[str, int], Holding] = {}  # empty while the topic is not read
        self._ends: Mapping[TopicPartition, int] = {}  # where the past ends; empty once it is read
        self._untold: dict[bytes, bytes | None] = {}
        self._is_free = True
        self._has_caught_up = False
        self._begin_at_s = 0.0
        self._is_over = False
        self._consumer = self._new_consumer()

    def _new_consumer(self) -> Consumer:
        access = self._cluster.access
        # A group is required by the client and never used: no group of this name comes to be.
        properties = consumer_properties(
            access, group=f"{self._topic}.follower", queued_bytes_max=_QUEUED_BYTES_MAX
        )
        try:
            return Consumer({**properties, "error_cb": self._on_error})
        except KafkaException as error:
            raise KafkaTrouble(access.redact(words(error_of(error))), is_fatal=True) from None

    # ── what the loop asks for ──────────────────────────────────────────────────────────────────

    def go_on(self) -> None:
        """What was told last has been taken in."""
        self._is_free = True

    def looked(self, look: TopicLook) -> None:
        """The topic as it is now: read it all again when it is not the one that is read."""
        read = {(held.topic_id, len(self._held)) for held in self._held.values()}
        if self._held and read != {(look.id, look.partitions)}:
            self._read_again()

    def close(self) -> None:
        self._is_over = True

    # ── the thread ──────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        """Follow until closed."""
        try:
            while not self._is_over:
                self._turn()
        except KafkaException as error:
            # Going on would skip what the failed call destroyed.
            self._end(self._words(error_of(error)))
        except Exception as error:
            LOGGER.exception("a fault in the follower's thread")
            self._end(f"a fault in the follower's thread: {error!r}")
        finally:
            self._consumer.close()

    def _turn(self) -> None:
        if not self._held:
            self._bridge.obey(_POLL_S)
            if not self._is_over and time.monotonic() >= self._begin_at_s:
                self._begin()
            return
        self._bridge.obey(_POLL_S if self._is_behind else 0)
        self._tell()
        self._fetch(0 if self._is_behind else _POLL_S)
        self._tell()

    @property
    def _is_behind(self) -> bool:
        """There is more to tell, and the loop has not taken in yet what it got."""
        return bool(self._untold) and not self._is_free

    def _begin(self) -> None:
        try:
            look = self._cluster.look([self._topic])[self._topic]
            if look.absence:
                raise KafkaTrouble(self._absent(look.absence))
            tps = [TopicPartition(self._topic, p) for p in range(look.partitions)]
            starts = self._cluster.offsets(tps, "earliest")
            self._ends = self._cluster.offsets(tps, "latest")
        except KafkaTrouble as trouble:
            self._meet(trouble)
            return
        self._held = {
            (tp.topic, tp.partition): Holding(tp, tp.partition, start, look.id)
            for tp, start in starts.items()
        }
        self._consumer.assign([ClientPartition(self._topic, tp.partition, at) for tp, at in starts.items()])

    def _read_again(self) -> None:
        self._held = {}
        self._consumer.unassign()
        self._begin_at_s = time.monotonic() + _RETRY_S

    def _fetch(self, wait_s: float) -> None:
        first = self._consumer.poll(wait_s)
        if first is None:
            return
        found = sort([first, *self._consumer.consume(_BATCH_RECORDS_MAX - 1, 0)], self._held)
        if found.batch:
            self._reminder.over()
        for part in found.batch:
            self._fold(part.records)
        for message in found.errors:
            self._on_message_error(message)
        if found.regressed:
            self._read_again()

    def _fold(self, records: list[Record]) -> None:
        for record in records:
            if record.key is not None:
                self._untold.pop(record.key, None)  # told in the order in which they were last written
                self._untold[record.key] = record.value

    def _tell(self) -> None:
        """Hand over what is untold, once the past is known whole and the loop has taken in what it got."""
        if not self._is_free or not self._is_past_read():
            return
        if self._untold:
            news = {key: self._untold.pop(key) for key in list(islice(self._untold, _BATCH_RECORDS_MAX))}
            self._is_free = False
            self._bridge.tell(partial(self._told, news))
        if not self._untold and not self._has_caught_up:
            self._has_caught_up = True
            self._bridge.tell(self._caught_up)

    def _is_past_read(self) -> bool:
        if all(held.position >= self._ends.get(held.tp, 0) for held in self._held.values()):
            self._ends = {}
        return bool(self._held) and not self._ends

    # ── what goes wrong ─────────────────────────────────────────────────────────────────────────

    def _on_message_error(self, message: Message) -> None:
        error = message.error()
        assert error is not None, "only messages that are errors are sorted out"
        if message.topic() is None:
            self._on_error(error)
        elif self._held:
            if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                self._met(self._absent("forbidden"))
            elif error.code() != KafkaError._AUTO_OFFSET_RESET:
                self._met(f"topic {self._topic}: {self._words(error)}")
            self._read_again()

    def _absent(self, absence: Absence) -> str:
        cure = "create it" if absence == "missing" else "grant READ, WRITE and DESCRIBE on it to this user"
        return f"topic {self._topic}, where workers share what they learn, is {absence}: {cure}"

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._end(self._words(error))
        elif error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED and not is_out_of_reach(error):
            self._met(self._words(error))

    def _meet(self, trouble: KafkaTrouble) -> None:
        if trouble.is_fatal:
            self._end(trouble.what)
        else:
            self._met(trouble.what)
            self._begin_at_s = time.monotonic() + _RETRY_S

    def _met(self, what: str) -> None:
        self._reminder.met(what, now_s=time.monotonic())

    def _say(self, what: str) -> None:
        self._bridge.tell(partial(self._complain, what))

    def _end(self, why: str) -> None:
        self._is_over = True
        self._bridge.tell(partial(self._complain, why, is_fatal=True))

    def _words(self, error: KafkaError) -> str:
        return self._cluster.access.redact(words(error))
