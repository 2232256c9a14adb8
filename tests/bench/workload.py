"""What is delivered: records of 1 KB in Avro behind Confluent's framing, each wanted by one subscription.

There are 1,000 event types, or another number if asked, the type being a field of the record. However many
subscriptions there are, they divide the types among them, so that the same topic serves every run.
"""

from __future__ import annotations

import io
import json
import random
import sys
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

import fastavro
from confluent_kafka import Producer

from deploy.testbed import KafkaCluster

EVENT_TYPES = 1_000
PARTITIONS = 12
SECRET = "whsec_" + b64encode(bytes(range(32))).decode()
TYPE_FIELD = "kind"

VALUE_BYTES = 1_024
_SCHEMA = {
    "type": "record",
    "name": "PostCreated",
    "namespace": "bench",
    "fields": [
        {"name": "sentNs", "type": "long"},
        {"name": TYPE_FIELD, "type": "string"},
        {"name": "id", "type": "string"},
        {"name": "authorId", "type": "string"},
        {"name": "title", "type": ["null", "string"], "default": None},
        {"name": "likes", "type": "int"},
        {"name": "isPublic", "type": "boolean"},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "createdAt", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "content", "type": "string"},
    ],
}
SCHEMA_TEXT = json.dumps(_SCHEMA)


def event_type(index: int, event_types: int = EVENT_TYPES) -> str:
    return f"post.k{index % event_types:03d}"


def subscriptions(urls: Sequence[str], event_types: int = EVENT_TYPES) -> list[dict[str, Any]]:
    """A subscription for each URL, as in the file; the event types are dealt out among them."""
    types = [event_type(index, event_types) for index in range(event_types)]
    return [
        {
            "id": f"endpoint-{place:04d}",
            "url": url,
            "events": types[place :: len(urls)],
            "dialect": "standard-webhooks",
            "secrets": {"current": SECRET},
        }
        for place, url in enumerate(urls)
    ]


def register(registry_url: str, topic: str) -> int:
    """Register the schema for the topic's values; its id."""
    request = urllib.request.Request(
        f"{registry_url}/subjects/{topic}-value/versions",
        data=json.dumps({"schema": SCHEMA_TEXT}).encode(),
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return int(json.load(reply)["id"])


class Records:
    """Makes the values, framed for ``schema_id``."""

    def __init__(self, schema_id: int, event_types: int = EVENT_TYPES) -> None:
        self.event_types = event_types
        self._frame = b"\0" + schema_id.to_bytes(4, "big")
        self._schema = fastavro.parse_schema(_SCHEMA)
        chance = random.Random(1)
        letters = "abcdefghijklmnopqrstuvwxyz"
        self._text = " ".join("".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(400))

    def value(self, index: int, *, sent_ns: int = 0) -> bytes:
        """The record ``index`` of the workload, 1 KB with its frame. ``sent_ns`` (monotonic) is carried to
        the receiver, which tells from it how long the way was."""
        post = self._post(index, sent_ns)
        missing = VALUE_BYTES - len(self._encoded(post)) - 1
        post["content"] = self._text[:missing]
        return self._encoded(post)

    def _encoded(self, post: dict[str, Any]) -> bytes:
        body = io.BytesIO(self._frame)
        body.seek(len(self._frame))
        fastavro.schemaless_writer(body, self._schema, post)
        return body.getvalue()

    def _post(self, index: int, sent_ns: int) -> dict[str, Any]:
        return {
            "sentNs": sent_ns,
            TYPE_FIELD: event_type(index, self.event_types),
            "id": f"post_{index:08d}",
            "authorId": f"user_{index % 5_000:05d}",
            "title": None if index % 2 else "On the speed of things",
            "likes": index % 100,
            "isPublic": True,
            "tags": ["kafka", "webhooks"],
            "createdAt": 1_750_000_000_000 + index,
            "content": "",
        }


def fill(cluster: KafkaCluster, topic: str, records: Records, count: int) -> None:
    """Make ``topic`` and write ``count`` records to it, evenly over its partitions."""
    cluster.create_topic(topic, partitions=PARTITIONS)
    pour(cluster, topic, records, count)


def pour(cluster: KafkaCluster, topic: str, records: Records, count: int) -> None:
    """Write ``count`` records without a stamp as fast as it goes, evenly over the partitions."""
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "acks": "1", "linger.ms": 20})
    values = [records.value(index) for index in range(records.event_types)]
    for index in range(count):
        while True:
            try:
                producer.produce(
                    topic, values[index % len(values)], f"key-{index}".encode(), partition=index % PARTITIONS
                )
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(60):
        raise RuntimeError("the broker did not take the backlog within a minute")


def stamps(count: int, per_second: int) -> Iterator[tuple[int, int]]:
    """At a steady pace, the number of each record and the moment (monotonic ns) it is to be made."""
    begun_ns = time.monotonic_ns()
    for index in range(count):
        due_ns = begun_ns + index * 1_000_000_000 // per_second
        while (wait_ns := due_ns - time.monotonic_ns()) > 0:
            time.sleep(wait_ns / 1e9)
        yield index, time.monotonic_ns()


def produce_steadily(
    cluster: KafkaCluster, topic: str, records: Records, *, count: int, per_second: int
) -> None:
    """Write ``count`` records at a steady pace, each stamped right before it is handed to the client."""
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "acks": "1", "linger.ms": 0})
    for index, now_ns in stamps(count, per_second):
        producer.produce(topic, records.value(index, sent_ns=now_ns), partition=index % PARTITIONS)
        producer.poll(0)
    if producer.flush(30):
        raise RuntimeError("the broker did not take the records within half a minute")


@dataclass(slots=True)
class Pace:
    """How many records were ``made`` so far, numbered from 0."""

    made: int = 0
    is_over: bool = False


@contextmanager
def at_steady_pace(cluster: KafkaCluster, topic: str, records: Records, *, per_second: int) -> Iterator[Pace]:
    """Meanwhile a thread of this process writes records at a steady pace, each stamped right before it is
    handed to the client."""
    pace = Pace()

    def write() -> None:
        producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "acks": "1", "linger.ms": 0})
        for index, now_ns in stamps(sys.maxsize, per_second):
            if pace.is_over:
                break
            producer.produce(topic, records.value(index, sent_ns=now_ns), partition=index % PARTITIONS)
            producer.poll(0)
            pace.made = index + 1
        producer.flush(30)

    writer = Thread(target=write, name="pace", daemon=True)
    writer.start()
    try:
        yield pace
    finally:
        pace.is_over = True
        writer.join()
