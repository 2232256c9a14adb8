"""Records as producers would write them, out of the event catalogue."""

from __future__ import annotations

import io
import json
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import fastavro

import schemas
from connector.core.record import Headers, Record


def avro_bytes(schema_text: str, value: Any) -> bytes:
    """``value`` as a bare Avro body."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(json.loads(schema_text)), value)
    return body.getvalue()


def framed(schema_id: int, body: bytes) -> bytes:
    """``body`` behind Confluent's five bytes."""
    return b"\x00" + schema_id.to_bytes(4, "big") + body


def register(registry_url: str, topic: str, schema_text: str) -> int:
    """Register the schema of this topic's values, as a producer does before it writes; its id."""
    subject = urllib.parse.quote(f"{topic}-value", safe="")
    request = urllib.request.Request(
        f"{registry_url}/subjects/{subject}/versions",
        json.dumps({"schema": schema_text}).encode(),
        {"content-type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return int(json.load(reply)["id"])


def sample_avro(event_type: str) -> bytes:
    """The catalogue's sample of ``event_type`` as a bare Avro body."""
    return avro_bytes(schemas.schema_text(event_type), schemas.sample(event_type).value)


def sample_framed(event_type: str, schema_id: int) -> bytes:
    """The catalogue's sample as a value in Confluent's framing."""
    return framed(schema_id, sample_avro(event_type))


def sample_json(event_type: str) -> bytes:
    """The catalogue's sample as one JSON text."""
    return compact_json(schemas.sample(event_type).value)


def sample_data(event_type: str) -> bytes:
    """The event data that partners get for the catalogue's sample in Avro."""
    return compact_json(schemas.sample(event_type).data)


def compact_json(document: Mapping[str, Any]) -> bytes:
    """JSON without spaces, everything raw that may be."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def record(
    value: bytes | None,
    *,
    topic: str = "post.created",
    partition: int = 0,
    offset: int = 0,
    timestamp_ms: int = 1_700_000_000_123,
    key: bytes | None = b"post_123",
    headers: Headers = (),
    topic_id: str = "",
    unreadable: str = "",
) -> Record:
    """A record as the source consumer would hand it over."""
    return Record(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp_ms=timestamp_ms,
        key=key,
        value=value,
        headers=headers,
        topic_id=topic_id,
        unreadable=unreadable,
    )
