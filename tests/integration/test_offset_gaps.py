"""Offsets that hold no record for us: transaction markers, aborted records, what compaction took.

Whatever lies between two events, and after the last one, the group's offset comes to the end of the log, so
that lag reaches 0; and what was not committed by its producer is never sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from deploy.testbed import KafkaCluster
from tests.support.connector_process import (
    ConnectorProcess,
    settings_for,
    subscription,
    write_subscriptions,
)
from tests.support.names import Names
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until


class Log:
    """The only partition of a topic, as its producers and an operator see it."""

    def __init__(self, kafka: KafkaCluster, names: Names) -> None:
        self.topic = names.topic()
        self._servers = kafka.bootstrap_servers
        self._tp = TopicPartition(self.topic, 0)
        self._plain = Producer({"bootstrap.servers": self._servers, "linger.ms": 5})
        properties = {"bootstrap.servers": self._servers, "transactional.id": names.stem, "linger.ms": 5}
        self._transactional = Producer(properties)
        self._transactional.init_transactions(20)
        self._group = Consumer({"bootstrap.servers": self._servers, "group.id": names.group})

    def close(self) -> None:
        self._group.close()

    def append(self, *ids: str, key: str | None = None) -> None:
        self._produce(self._plain, ids, key=key)

    def begin(self, ids: Iterable[str]) -> None:
        """Begin a transaction and write all of these in it."""
        self._transactional.begin_transaction()
        self._produce(self._transactional, ids)

    def commit(self) -> None:
        self._transactional.commit_transaction(20)

    def abort(self) -> None:
        self._transactional.abort_transaction(20)

    def _produce(self, producer: Producer, ids: Iterable[str], *, key: str | None = None) -> None:
        for id_ in ids:
            producer.produce(self.topic, json.dumps({"id": id_}).encode(), key=key, partition=0)
            producer.poll(0)
        assert producer.flush(20) == 0

    def end(self) -> int:
        """The offset after the last one that was ever given out, whatever it holds."""
        _, end = self._group.get_watermark_offsets(self._tp, timeout=10)
        return int(end)

    def lag(self) -> int:
        """What a monitor of the group shows; -1 before the first commit."""
        try:
            (found,) = self._group.committed([self._tp], timeout=10)
        except KafkaException:
            return -1  # the group's coordinator is only starting
        return self.end() - found.offset if found.offset >= 0 else -1

    def first_from(self, offset: int) -> int:
        """The first offset from ``offset`` on that still holds a record."""
        consumer = Consumer({"bootstrap.servers": self._servers, "group.id": "nobody"})
        consumer.assign([TopicPartition(self.topic, 0, offset)])
        try:
            message = consumer.poll(10)
            assert message is not None
            assert message.error() is None
            found = message.offset()
            assert found is not None
            return found
        finally:
            consumer.close()


@pytest.fixture
def settings(kafka: KafkaCluster, names: Names, tmp_path: Path) -> dict[str, Any]:
    topics = [{"name": names.topic(), "format": "json", "id": {"field": "id"}}]
    return settings_for(names, tmp_path, bootstrap_servers=kafka.bootstrap_servers, topics=topics)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver() as receiver:
        write_subscriptions(tmp_path, [subscription("one", receiver.url("/all"))])
        yield receiver


def deliveries(receiver: Receiver) -> dict[str, int]:
    """How often each event was accepted."""
    return {id_: seen.accepted for id_, seen in receiver.seen("/all").items()}


def once(*ids: str) -> dict[str, int]:
    return dict.fromkeys(ids, 1)


def arrive_once(receiver: Receiver, *ids: str) -> None:
    """Wait for exactly these: what went by way of a tier arrives after all is committed."""
    wait_until(lambda: deliveries(receiver) == once(*ids), f"{', '.join(ids)} arrive once, and nothing else")


def test_transactions_leave_no_lag_and_what_was_aborted_is_never_sent(
    kafka: KafkaCluster, names: Names, receiver: Receiver, settings: dict[str, Any], tmp_path: Path
) -> None:
    kafka.create_topic(names.topic())
    log = Log(kafka, names)
    log.begin(["e1", "e2"])
    log.commit()
    log.begin(f"aborted-{n}" for n in range(5_000))  # several fetches long
    log.abort()
    log.append("e3")
    log.begin(["aborted-at-the-end"])
    log.abort()
    with ConnectorProcess(settings, tmp_path) as connector:
        wait_until(lambda: log.lag() == 0, "all that was there is behind us")
        arrive_once(receiver, "e1", "e2", "e3")

        log.begin(["aborted-while-idle"])
        log.abort()
        wait_until(lambda: log.lag() == 0, "an aborted transaction alone is behind us")

        log.begin(["e4"])
        log.commit()
        wait_until(lambda: log.lag() == 0, "the marker after the last event is behind us")
        arrive_once(receiver, "e1", "e2", "e3", "e4")

        log.begin(["e5"])
        log.append("e6")  # it cannot be read before it is known what becomes of e5
        log.commit()
        log.begin(["aborted-before-an-event"])
        log.append("e7")
        log.abort()
        wait_until(lambda: log.lag() == 0, "transactions that overlap plain events are behind us")
        assert connector.stop() == 0

        log.begin(["aborted-while-stopped"])
        log.abort()
        connector.start()
        wait_until(lambda: log.lag() == 0, "a log that ends in nothing for us is behind us")
        log.append("e8")
        wait_until(lambda: log.lag() == 0, "the last event is behind us")
        arrive_once(receiver, "e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8")

        assert connector.stop() == 0
    log.close()
    assert deliveries(receiver) == once("e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8")


def test_holes_that_compaction_made_leave_no_lag_wherever_the_group_was(
    kafka: KafkaCluster, names: Names, receiver: Receiver, settings: dict[str, Any], tmp_path: Path
) -> None:
    kafka.create_topic(
        names.topic(), cleanup_policy="compact", segment_ms=100, min_cleanable_dirty_ratio=0.001
    )
    log = Log(kafka, names)
    log.append("a", key="a")
    log.append("k-0", key="k")
    with ConnectorProcess(settings, tmp_path) as connector:
        wait_until(lambda: log.lag() == 0, "what was there is behind us")
        assert connector.stop() == 0

        log.append(*("old" for _ in range(100_000)), key="k")
        log.append("k-1", key="k")
        newest = log.end() - 1
        wait_until(lambda: append_until_compacted(log, from_=2, to=newest), "the log is compacted")
        connector.start()
        wait_until(lambda: log.lag() == 0, "the hole from our own position on is behind us")
        fillers = [f"filler-{offset}" for offset in range(newest + 1, log.end())]
        arrive_once(receiver, "a", "k-0", "k-1", *fillers)

        metrics = connector.text("/metrics")
        assert connector.stop() == 0
    log.close()
    assert deliveries(receiver) == once("a", "k-0", "k-1", *fillers)
    assert f"webhook_connector_records_read_total {1 + len(fillers)}.0" in metrics


def append_until_compacted(log: Log, *, from_: int, to: int) -> bool:
    """Whether nothing is left between. What is new makes the broker close a segment: it compacts no other."""
    if log.first_from(from_) == to:
        return True
    log.append(f"filler-{log.end()}", key=f"filler-{log.end()}")
    return False
