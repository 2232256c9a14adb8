"""Everything a broken or hostile producer may write, in one run, with good records in between.

What becomes of it; "delivered" and the dead letters' reasons and codes are what the tests assert:

| record | fate |
| --- | --- |
| corrupt Avro; bytes left over | dead letter, poison, `corrupt` |
| unknown schema id, record older than 5 minutes (a younger one waits that long) | dead letter, poison, `unknown-schema` |
| wrong magic byte; truncated frame; empty value where a frame is needed | dead letter, poison, `bad-frame` |
| Avro nested 5,000 deep in a schema that recurses; JSON 10,000 deep | dead letter, poison, `too-deep` |
| an array of 2^40 nulls | dead letter, poison, `too-many-items` |
| empty value, lone surrogate or a member name twice in JSON | dead letter, poison, `bad-json` |
| a mapped field is missing | dead letter, poison, `unmapped` |
| a header name that is not UTF-8 | dead letter, poison, `bad-headers`; the headers stay in the source |
| a null value | skipped, counted (by default; a topic may say otherwise) |
| a body over 1 MiB (or the subscription's own limit) | dead letter, `oversize`, never sent |
| 5 MB value, or any record larger than our topics take | delivered where the body may be that large; a dead letter about it is a pointer: coordinates, hash, the first 64 KiB |
| 10,000 headers; keys and header values that are not UTF-8; null and repeated headers | delivered; letters carry them untouched |
| headers that look like ours | delivered; carried aside in letters, never taken for ours |
"""  # noqa: E501 - the rows of a table

from __future__ import annotations

import base64
import io
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import fastavro
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

import schemas
from deploy.testbed import KafkaCluster, Registry
from tests.support.avro_records import avro_bytes, framed, register
from tests.support.checker import Place, Rule
from tests.support.connector_process import (
    SIGNATURE,
    ConnectorProcess,
    settings_for,
    subscription,
    write_subscriptions,
)
from tests.support.dead_letters import read_dead_letters
from tests.support.judging import assert_nothing_lost
from tests.support.names import Names
from tests.support.raw_produce import produce_raw
from tests.support.receiver import Behaviour, Receiver
from tests.support.waiting import wait_until

POST = schemas.schema_text("post.created")
TREE = """{"type": "record", "name": "Tree", "fields": [
    {"name": "id", "type": "string"}, {"name": "below", "type": ["null", "Tree"]}]}"""
NOTHINGS = """{"type": "record", "name": "Nothings", "fields": [
    {"name": "id", "type": "string"}, {"name": "nothings", "type": {"type": "array", "items": "null"}}]}"""
UNKNOWN_SCHEMA_ID = 999_999
OWN_TOPIC_BYTES_MAX = 2 << 20
POINTER_VALUE_BYTES = 65_536

Headers = Sequence[tuple[str, bytes | None]]

FORGED: Headers = [
    ("webhook.v", b"1"),
    ("webhook.subscription-id", b"somebody-else"),
    ("webhook.attempt", b"99"),
    ("webhook.reason", b"expired"),
    ("webhook.orig.webhook.v", b"1"),
    ("__connect.errors.topic", b"elsewhere"),
]
UGLY: Headers = [("trace", b"\xff\xfe"), ("trace", None), ("", b"no name"), ("trace", b"")]
MANY: Headers = [(f"h{number}", b"v") for number in range(10_000)]


@dataclass
class Writing:
    """Writes records one by one, each acknowledged, and remembers what must become of them.

    ``events`` are the ids of the records that are sound, ``poison`` the code and the value of each that can
    never become an event.
    """

    bootstrap_servers: str
    events: dict[Place, str] = field(default_factory=dict)
    poison: dict[Place, tuple[str, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._producer = Producer({"bootstrap.servers": self.bootstrap_servers, "message.max.bytes": 8 << 20})

    def write(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers = (),
        age_ms: int = 0,
    ) -> Place:
        written: list[Place] = []

        def report(error: object, message: Message) -> None:
            assert error is None, str(error)
            offset = message.offset()
            assert offset is not None
            written.append((topic, 0, offset))

        self._producer.produce(
            topic,
            value,
            key=key,
            headers=list(headers),
            timestamp=time.time_ns() // 1_000_000 - age_ms,
            on_delivery=report,
        )
        assert self._producer.flush(30) == 0
        return written[0]

    def event(self, topic: str, *, text: str = "", key: bytes | None = None, headers: Headers = ()) -> Place:
        """A sound event in JSON."""
        id_ = f"e{len(self.events)}"
        place = self.write(topic, json.dumps({"id": id_, "text": text}).encode(), key=key, headers=headers)
        self.events[place] = id_
        return place

    def post(self, topic: str, schema_id: int) -> None:
        """A sound event in Confluent's framing; its id is the record's key, too."""
        id_ = f"e{len(self.events)}"
        value = {**schemas.sample("post.created").value, "id": id_}
        self.events[self.write(topic, framed(schema_id, avro_bytes(POST, value)), key=id_.encode())] = id_

    def broken(self, code: str, topic: str, value: bytes, *, age_ms: int = 0) -> Place:
        """A record that can never become an event."""
        place = self.write(topic, value, age_ms=age_ms)
        self.poison[place] = code, value
        return place


def test_whatever_is_written_to_the_topics_has_its_fate(
    kafka: KafkaCluster, registry: Registry, names: Names, tmp_path: Path
) -> None:
    avro, plain, odd, large = (names.topic(name) for name in ("avro", "plain", "odd", "large"))
    for topic in (avro, plain, odd, large):
        kafka.create_topic(topic, max_message_bytes=8 << 20)
    post_id, tree_id, nothings_id = (
        register(registry.url, f"{avro}.{name}", schema)
        for name, schema in (("post", POST), ("tree", TREE), ("nothings", NOTHINGS))
    )
    post = avro_bytes(POST, schemas.sample("post.created").value)
    writing = Writing(kafka.bootstrap_servers)

    # ── Avro, with a sound record behind each broken one ──
    for code, value, age_ms in (
        ("corrupt", framed(post_id, post[:-3]), 0),
        ("corrupt", framed(post_id, post + b"\x00"), 0),
        ("unknown-schema", framed(UNKNOWN_SCHEMA_ID, post), 10 * 60_000),
        ("bad-frame", b"\x07" + framed(post_id, post)[1:], 0),
        ("bad-frame", framed(post_id, b"")[:3], 0),
        ("bad-frame", b"", 0),
        ("too-deep", framed(tree_id, b"\x00\x02" * 5_000 + b"\x00\x00"), 0),
        ("too-many-items", framed(nothings_id, b"\x00" + _varint(2**40) + b"\x00"), 0),
        ("corrupt", framed(post_id, post + bytes(5_000_000)), 0),
    ):
        huge = writing.broken(code, avro, value, age_ms=age_ms)
        writing.post(avro, post_id)
    # ── JSON, likewise ──
    for code, value in (
        ("bad-json", b""),
        ("bad-json", rb'{"id": "e", "text": "\ud800"}'),
        ("bad-json", b'{"id": "e", "id": "f"}'),
        ("bad-json", b'{"id": "\xff"}'),
        ("too-deep", b'{"id": "e", "deep": ' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
        ("unmapped", b"{}"),
    ):
        writing.broken(code, plain, value)
        writing.event(plain)
    writing.write(plain, None)
    nameless = produce_raw(
        kafka.bootstrap_servers, plain, key=b"k", value=b"{}", headers=[(b"\xff\xfe", b"x"), (b"fine", b"y")]
    )
    writing.poison[plain, 0, nameless] = "bad-headers", b"{}"
    writing.event(plain)
    # ── odd, and yet events ──
    oddities = {
        writing.event(odd, headers=MANY): (None, MANY),
        writing.event(odd, headers=FORGED): (None, FORGED),
        writing.event(odd, key=b"\xff\xfe", headers=UGLY): (b"\xff\xfe", UGLY),
    }
    # ── large: whole in our topics, too large for the client, too large for the broker alone ──
    fits = writing.event(large, text=_noise(1_500_000))
    beyond = writing.event(large, text="x" * 5_000_000)
    just_beyond = writing.event(large, text=_noise(OWN_TOPIC_BYTES_MAX + (50 << 10)))

    with Receiver() as receiver:
        receiver.behave("/down", Behaviour(status=503))
        for path in ("/sound", "/roomy", "/down"):
            receiver.check(path, SIGNATURE)
        roomy = {"body_size": "8MiB"}
        write_subscriptions(
            tmp_path,
            [
                subscription("sound", receiver.url("/sound")),
                subscription("down", receiver.url("/down"), events=["odd"], ladder=["1s"]),
                subscription("roomy", receiver.url("/roomy"), events=["large"], limits=roomy),
                subscription(
                    "roomy-down", receiver.url("/down"), events=["large"], limits=roomy, ladder=["1s"]
                ),
            ],
        )
        reading = {
            "id": {"field": "id"},
            "type": {"map": {avro: "avro", plain: "plain", odd: "odd", large: "large"}},
        }
        settings = settings_for(
            names,
            tmp_path,
            bootstrap_servers=kafka.bootstrap_servers,
            topics=[
                {"name": avro, **reading},
                *({"name": topic, "format": "json", **reading} for topic in (plain, odd, large)),
            ],
            registry={"urls": [registry.url]},
            delivery={"breaker": {"failures_to_open": 0}},  # what fails is a dead letter at once, not later
        )
        with ConnectorProcess(settings, tmp_path) as connector:
            topics = (avro, plain, odd, large)
            wait_until(lambda: is_all_committed(kafka, names, topics), "all is committed")
            dead = len(oddities) + 2 * 3  # what is large comes to two that cannot take it
            wait_until(lambda: connector.metric("deliveries_dead_total") == dead, "letters are written")
            # What is sound arrives, odd or not; what is too large arrives where it may. What goes there by
            # way of a tier may do so after all is committed.
            ids = {place: id_ for place, id_ in writing.events.items() if place[0] != large}
            roomy_ids = set(writing.events.values()) - set(ids.values())
            wait_until(lambda: set(receiver.seen("/sound")) == set(ids.values()), "what is sound arrives")
            wait_until(lambda: set(receiver.seen("/roomy")) == roomy_ids, "what is large arrives")
            wait_until(lambda: connector.metric("records_in_hand") == 0, "nothing is in hand")
            scrape = connector.scrape()
            assert scrape.sum("records_poison_total") == len(writing.poison)
            assert scrape.sum("records_skipped_total") == 1
            assert connector.stop() == 0

        verdict = assert_nothing_lost(
            kafka.bootstrap_servers,
            names,
            receiver,
            topics=[avro, plain, odd, large],
            rules=[
                Rule(subscription="sound", path="/sound", wants=lambda record: record.value() is not None),
                Rule(subscription="down", path="/down", wants=lambda record: record.topic() == odd),
                Rule(subscription="roomy", path="/roomy", wants=lambda record: record.topic() == large),
                Rule(subscription="roomy-down", path="/down", wants=lambda record: record.topic() == large),
            ],
            event_id=lambda record: writing.events.get(place_of(record), ""),
        )
        assert (verdict.duplicates, verdict.waiting) == (0, 0)

    letters = read_dead_letters(kafka.bootstrap_servers, names)
    for place, (code, value) in writing.poison.items():
        letter = letters.pop((place, ""))
        assert (*letter.why, letter.is_pointer) == ("poison", code, place == huge)
        assert letter.value == (value[:POINTER_VALUE_BYTES] if place == huge else value)
    for place, (key, headers) in oddities.items():
        letter = letters.pop((place, "down"))
        assert letter.why == ("exhausted", "http-503")
        assert (letter.key, list(letter.headers)) == (key, headers)
    for place in (fits, beyond, just_beyond):
        never_sent = letters.pop((place, "sound"))
        assert (*never_sent.why, never_sent.is_pointer) == ("oversize", "", place != fits)
        tried = letters.pop((place, "roomy-down"))
        reason = "exhausted" if place == fits else "oversize"  # it could not be kept for another try
        assert (*tried.why, tried.is_pointer) == (reason, "http-503", place != fits)
    assert letters == {}


def is_all_committed(kafka: KafkaCluster, names: Names, topics: Sequence[str]) -> bool:
    """Whether the group's offsets are at the end of each topic's one partition."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": names.group})
    try:
        committed = consumer.committed([TopicPartition(topic, 0) for topic in topics], timeout=10)
        return all(one.offset == consumer.get_watermark_offsets(one, timeout=10)[1] for one in committed)
    except KafkaException:
        return False  # the group's coordinator is only starting
    finally:
        consumer.close()


def place_of(record: Message) -> Place:
    topic, partition, offset = record.topic(), record.partition(), record.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    return topic, partition, offset


def _noise(chars: int) -> str:
    """Text that no compression makes smaller."""
    return base64.b64encode(os.urandom(chars)).decode()[:chars]


def _varint(number: int) -> bytes:
    """A long as Avro writes it."""
    encoded = io.BytesIO()
    fastavro.schemaless_writer(encoded, "long", number)
    return encoded.getvalue()
