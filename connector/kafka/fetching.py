"""Fetching: a batch for every grant, and nothing without one.

Up to :data:`STARVED_S` without a grant it just does not ask, since pausing throws away what was fetched
ahead; then it pauses everything and polls on for the group's sake. No poll is longer than
:data:`POLL_S`, so that the member stays alive whatever the receivers do.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ClientPartition

from connector.engine.ports import Fetched, Reading, TopicPartition
from connector.kafka.bridge import Bridge
from connector.kafka.changed_logs import ChangedLogs
from connector.kafka.holdings import Holdings
from connector.kafka.sorting import sort
from connector.kafka.troubles import Troubles

POLL_S = 0.1
STARVED_S = 2.0


class Fetching:
    """Of one member; used by its polling thread only. ``batch_records_max`` bounds a batch."""

    def __init__(
        self,
        *,
        consumer: Consumer,
        holdings: Holdings,
        changed_logs: ChangedLogs,
        troubles: Troubles,
        bridge: Bridge,
        reading: Reading,
        batch_records_max: int,
    ) -> None:
        self._consumer = consumer
        self._holdings = holdings
        self._changed_logs = changed_logs
        self._troubles = troubles
        self._bridge = bridge
        self._reading = reading
        self._batch_records_max = batch_records_max
        self._grants = 0
        self._fetched_at_s = time.monotonic()
        self._carry: list[Fetched] = []

    def grant(self) -> None:
        """One more batch may be fetched."""
        self._grants += 1

    def turn(self) -> None:
        """Poll once."""
        if self._grants:
            self._fetch()
        else:
            self._idle()

    def _fetch(self) -> None:
        if self._holdings.is_starved:
            self._holdings.feed()
        batch = self._carry or self._poll(POLL_S, self._batch_records_max)
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
            self._changed_logs.regressed(tp, offset)
        return [replace(part, log_end=max(part.log_end, self._log_end_of(part.tp))) for part in found.batch]

    def _log_end_of(self, tp: TopicPartition) -> int:
        """As the last answer to a fetch of it told, which may be some time ago; below 0: none did."""
        of_client = ClientPartition(tp.topic, tp.partition)
        try:
            return self._consumer.get_watermark_offsets(of_client, cached=True)[1]
        except KafkaException:
            return -1  # it was taken from us meanwhile

    def _on_message_error(self, message: Message) -> None:
        error, topic, partition = message.error(), message.topic(), message.partition()
        assert error is not None, "only messages that are errors are sorted out"
        is_cut = error.code() == KafkaError._LOG_TRUNCATION
        if (is_cut or error.code() == KafkaError._AUTO_OFFSET_RESET) and topic and partition is not None:
            self._changed_logs.unreadable(TopicPartition(topic, partition), is_cut=is_cut)
        else:
            self._troubles.complain_of(error, f"topic {topic}: " if topic else "")
