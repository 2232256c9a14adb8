"""Avro values as bytes, the way producers write them.

The connector itself only reads; this is for the demo and for test events, which have to come from
somewhere.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import fastavro


def encoder(schema_text: str) -> Callable[[Mapping[str, Any]], bytes]:
    """What turns a value of this schema into its bare Avro body.

    The schema is trusted: it is parsed once, and one that is not Avro raises fastavro's own errors, as
    does a value that does not fit it.
    """
    parsed = fastavro.parse_schema(json.loads(schema_text))

    def encode(value: Mapping[str, Any]) -> bytes:
        body = io.BytesIO()
        fastavro.schemaless_writer(body, parsed, value)
        return body.getvalue()

    return encode


def framed(schema_id: int, body: bytes) -> bytes:
    """``body`` behind Confluent's five bytes: zero, then the id it has in the registry."""
    return b"\x00" + schema_id.to_bytes(4, "big") + body
