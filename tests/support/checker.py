"""Computes from the topics and the receiver's memory whether anything was lost.

It shares no code with the connector, so that it can contradict it.

For every source record and every subscription that wants it, one of these must be true: the receiver
accepted it at least once; a letter about it waits in a retry tier; a letter about it lies in the parked
topic or among the dead letters. What is true of none is *lost*. What was accepted more than once, or
accepted and a dead letter too, is counted as *duplicates*.

A letter in a tier waits as long as the tiers' group has not committed past it; one in the parked topic lies
there as long as its subscription's cursor, told on the shared topic, has not passed it: once it has, what
became of the delivery must show elsewhere. Letters are recognised by
their headers ``webhook.subscription-id``, ``webhook.topic``, ``webhook.partition``, ``webhook.offset``;
one without a subscription is a poison record, settled for all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from tests.support.receiver import Seen

_READ_TIMEOUT_S = 30.0

Place = tuple[str, int, int]
"""Coordinates of a source record: topic, partition, offset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One subscription as the test declared it: its id, the receiver's path it posts to, what it wants."""

    subscription: str
    path: str
    wants: Callable[[Message], bool] = lambda _: True

    @classmethod
    def at(cls, path: str) -> Rule:
        """Every event, for the subscription that is named as its path is."""
        return cls(subscription=path.removeprefix("/"), path=path)


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What became of everything. ``lost`` names the first few; ``lost_count`` counts all."""

    records: int = 0
    deliveries: int = 0
    accepted: int = 0
    waiting: int = 0
    parked: int = 0
    dead: int = 0
    duplicates: int = 0
    lost_count: int = 0
    lost: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Nothing lost, and the sum adds up."""
        settled = self.accepted + self.waiting + self.parked + self.dead
        return self.lost_count == 0 and settled == self.deliveries


@dataclass(frozen=True, slots=True)
class _Letters:
    """Where letters about a delivery lie; the subscription is empty for a poison record."""

    waiting: set[tuple[Place, str]]
    parked: set[tuple[Place, str]]
    dead: set[tuple[Place, str]]


_LOST_NAMED_MAX = 20


def check(
    *,
    bootstrap_servers: str,
    source_topics: Sequence[str],
    prefix: str,
    tiers_group: str,
    rules: Sequence[Rule],
    event_id: Callable[[Message], str],
    seen: Mapping[str, Mapping[str, Seen]],
) -> Verdict:
    """Read every topic to its end and judge. ``event_id`` says which ``webhook-id`` a record must
    have had; ``seen`` is :meth:`~tests.support.receiver.Receiver.all_seen`. Nothing may be producing."""
    letters = _read_letters(bootstrap_servers, prefix, tiers_group)
    verdict = Verdict()
    for record in read_all(bootstrap_servers, source_topics):
        verdict.records += 1
        place = place_of(record)
        for rule in rules:
            if rule.wants(record):
                found = seen.get(rule.path, {}).get(event_id(record))
                _judge(verdict, place, rule.subscription, found.accepted if found else 0, letters)
    return verdict


def read_all(bootstrap_servers: str, topics: Sequence[str]) -> Iterator[Message]:
    """Every record of these topics, from the start to where they end now; aborted ones left out."""
    with _consumer(bootstrap_servers) as consumer:
        ends = {
            (topic, partition): consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=_READ_TIMEOUT_S
            )[1]
            for topic in topics
            for partition in consumer.list_topics(topic, timeout=_READ_TIMEOUT_S).topics[topic].partitions
        }
        unread = {place for place, end in ends.items() if end > 0}
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in unread])
        while unread:
            message = consumer.poll(_READ_TIMEOUT_S)
            if message is None:
                raise AssertionError(f"these did not end within {_READ_TIMEOUT_S} s: {sorted(unread)}")
            place = (_topic(message), _partition(message))
            error = message.error()
            if error is None:
                if _offset(message) < ends[place]:
                    yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard(place)
            else:
                raise KafkaException(error)


def topics_under(bootstrap_servers: str, prefix: str) -> list[str]:
    """Every topic of the connector with this prefix."""
    with _consumer(bootstrap_servers) as consumer:
        names = consumer.list_topics(timeout=_READ_TIMEOUT_S).topics
    return sorted(name for name in names if name.startswith(f"{prefix}."))


def letters_written(bootstrap_servers: str, prefix: str) -> set[tuple[Place, str]]:
    """What the retry tiers ever had a letter about: the record, and the subscription."""
    ours = topics_under(bootstrap_servers, prefix)
    return set(map(_about, read_all(bootstrap_servers, _tiers(ours, prefix))))


def place_of(record: Message) -> Place:
    return _topic(record), _partition(record), _offset(record)


def _tiers(topics: Sequence[str], prefix: str) -> list[str]:
    return [topic for topic in topics if topic.startswith(f"{prefix}.retry.")]


def _judge(verdict: Verdict, place: Place, subscription: str, accepted: int, letters: _Letters) -> None:
    def lies_in(known: set[tuple[Place, str]]) -> bool:
        return (place, subscription) in known or (place, "") in known

    verdict.deliveries += 1
    is_dead = lies_in(letters.dead)
    if accepted:
        verdict.accepted += 1
        verdict.duplicates += accepted - 1 + is_dead
    elif is_dead:
        verdict.dead += 1
    elif lies_in(letters.parked):
        verdict.parked += 1
    elif lies_in(letters.waiting):
        verdict.waiting += 1
    else:
        verdict.lost_count += 1
        if len(verdict.lost) < _LOST_NAMED_MAX:
            topic, partition, offset = place
            verdict.lost.append(f"{topic}[{partition}]@{offset} for {subscription}")


def _read_letters(bootstrap_servers: str, prefix: str, tiers_group: str) -> _Letters:
    ours = topics_under(bootstrap_servers, prefix)
    tiers = _tiers(ours, prefix)
    committed = _committed(bootstrap_servers, tiers_group, tiers)
    waiting = {
        _about(letter)
        for letter in read_all(bootstrap_servers, tiers)
        if _offset(letter) >= committed.get((_topic(letter), _partition(letter)), 0)
    }
    cursors = _cursors(bootstrap_servers, [topic for topic in ours if topic == f"{prefix}.shared"])
    parked = {
        about
        for letter in read_all(bootstrap_servers, [topic for topic in ours if topic == f"{prefix}.parked"])
        if _offset(letter) >= cursors.get((about := _about(letter))[1], {}).get(str(_partition(letter)), 0)
    }
    dead = read_all(bootstrap_servers, [topic for topic in ours if topic == f"{prefix}.dead-letters"])
    return _Letters(waiting, parked, set(map(_about, dead)))


def _cursors(bootstrap_servers: str, topics: Sequence[str]) -> dict[str, dict[str, int]]:
    """By subscription: partition of the parked topic → the offset below which its letters were replayed."""
    cursors: dict[str, dict[str, int]] = {}
    for record in read_all(bootstrap_servers, topics):
        key, value = record.key(), record.value()
        if key is not None and value is not None and (name := _text(key)).startswith("backlog/"):
            cursors[name.removeprefix("backlog/")] = json.loads(value)["cursor"]
    return cursors


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _about(letter: Message) -> tuple[Place, str]:
    headers = dict(letter.headers() or [])

    def text(name: str) -> str:
        value = headers.get(f"webhook.{name}")
        if value is None:
            raise AssertionError(f"a letter in {letter.topic()} has no header webhook.{name}: {headers}")
        return value.decode() if isinstance(value, bytes) else value

    place = (text("topic"), int(text("partition")), int(text("offset")))
    return place, text("subscription-id") if "webhook.subscription-id" in headers else ""


def _committed(bootstrap_servers: str, group: str, topics: Sequence[str]) -> dict[tuple[str, int], int]:
    with _consumer(bootstrap_servers, group=group) as consumer:
        asked = [
            TopicPartition(topic, partition)
            for topic in topics
            for partition in consumer.list_topics(topic, timeout=_READ_TIMEOUT_S).topics[topic].partitions
        ]
        if not asked:
            return {}
        answered = consumer.committed(asked, timeout=_READ_TIMEOUT_S)
    return {(one.topic, one.partition): one.offset for one in answered if one.offset >= 0}


def _consumer(bootstrap_servers: str, *, group: str = "tests.checker") -> Consumer:
    """A consumer that joins no group: partitions are assigned by hand and nothing is committed."""
    return Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )


def _topic(message: Message) -> str:
    topic = message.topic()
    assert topic is not None
    return topic


def _partition(message: Message) -> int:
    partition = message.partition()
    assert partition is not None
    return partition


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None
    return offset
