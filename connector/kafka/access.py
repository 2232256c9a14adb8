"""How a cluster is reached: addresses and the client properties an operator may add.

Any librdkafka property passes through (SASL, SSL, timeouts, racks), except those that carry one of
the connector's promises: an operator who could switch on automatic commits would lose records and
never hear of it. Properties may hold secrets; nothing here prints them (:meth:`Access.shown`,
:meth:`Access.redact`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Property = str | int | float | bool

LOGGER = logging.getLogger("connector.kafka")
"""The client library's own log lines go here."""

_SECRET = re.compile(r"password|secret|passphrase|\.pem$|private\.key|oauthbearer\.config|jaas|token")

_OURS: Mapping[str, str] = {
    "enable.auto.commit": "an offset is committed only when its record is settled",
    "enable.auto.offset.store": "an offset is committed only when its record is settled",
    "auto.commit.interval.ms": "an offset is committed only when its record is settled",
    "auto.offset.reset": "where reading begins is the 'start' setting; a reset would skip records in silence",
    "enable.partition.eof": "the end of a partition tells which offsets hold no record",
    "bootstrap.servers": "it is the 'bootstrap_servers' setting",
    "metadata.broker.list": "it is the 'bootstrap_servers' setting",
    "group.id": "it is the 'group' setting",
    "group.protocol": "it is the 'group_protocol' setting",
    "partition.assignment.strategy": "the connector follows the protocol of the strategy it chose",
    "enable.idempotence": "a retried write must not be written twice",
    "acks": "a write counts only when all in-sync replicas have it",
    "request.required.acks": "a write counts only when all in-sync replicas have it",
    "partitioner": "records of a key must meet in one partition, whoever wrote them",
    "transactional.id": "the connector's writes are not transactions",
    "message.timeout.ms": "how long a write may take is the connector's to bound",
    "delivery.timeout.ms": "how long a write may take is the connector's to bound",
    "message.max.bytes": "it follows from the largest record the connector's own topics take",
    "allow.auto.create.topics": "a mistyped topic would be created instead of reported",
    "test.mock.num.brokers": "the built-in cluster is chosen by its own setting",
}


_FETCH_BYTES_MIN = 1 << 20
"""The client refuses to fetch less at once than its largest message, 1,000,000 bytes by default.
A record that is larger still comes, alone."""

_CONSUMERS_ONLY = re.compile(r"(fetch|queued|session|heartbeat|group|max\.poll|isolation|check)\.")
_PRODUCERS_ONLY = re.compile(r"(queue|linger|compression|batch|message\.send|retry\.backoff|sticky)\.")

_RECONNECT_MAX_MS = 2_000
"""The client's own 10 s would add that much to every outage."""

_LINGER_MS = 50
"""The client writes each partition in a request of its own, which costs many times what one more letter in it
does. Nobody waits for a letter but the commit of its record."""


class BadProperty(ValueError):
    """A client property that cannot be used; the message names it and says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One cluster, as seen by one user. Raises :class:`BadProperty` for a property that is ours."""

    bootstrap_servers: str
    properties: Mapping[str, Property] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in self.properties:
            if name in _OURS:
                raise BadProperty(f"Kafka property {name} is set by the connector: {_OURS[name]}. Remove it")

    def shown(self) -> dict[str, Property]:
        """The properties with secrets replaced, for people."""
        return {k: "***" if _SECRET.search(k) else v for k, v in self.properties.items()}

    def redact(self, text: str) -> str:
        """``text`` without the value of any secret property: the client may quote what it refuses."""
        for name, value in self.properties.items():
            if _SECRET.search(name) and str(value):
                text = text.replace(str(value), "***")
        return text


def admin_properties(access: Access) -> dict[str, Any]:  # Any: what confluent_kafka takes
    return {
        "client.id": "webhook-connector",
        "reconnect.backoff.max.ms": _RECONNECT_MAX_MS,
        **_without(access, _CONSUMERS_ONLY),
        **_common(access),
    }


def consumer_properties(
    access: Access,
    *,
    group: str,
    queued_bytes_max: int,
    queued_records_min: int = 2_000,
    partition_bytes_max: int = 1 << 20,
) -> dict[str, Any]:
    """A reader that owns its offsets. ``queued_bytes_max`` bounds what is fetched ahead. Of a partition of
    which fewer than ``queued_records_min`` are there more is fetched, ``partition_bytes_max`` at a time, or a
    single record that is larger: a pause throws all of it away.

    The small queue needs the short back-off beside it: at its default of a second, a full queue
    stops fetching for that long (measured: 3.0 s against 0.02 s for 4 MB). One fetch may bring half of it:
    an answer counts against the queue only once it is there (peak memory 157 MB against 174 with 16 MiB).
    """
    return {
        "client.id": "webhook-connector",
        "reconnect.backoff.max.ms": _RECONNECT_MAX_MS,
        "isolation.level": "read_committed",
        "check.crcs": True,
        "queued.max.messages.kbytes": max(1, queued_bytes_max // 1024),
        "queued.min.messages": queued_records_min,
        "max.partition.fetch.bytes": partition_bytes_max,
        "fetch.queue.backoff.ms": 10,
        "fetch.wait.max.ms": 100,
        "fetch.max.bytes": max(_FETCH_BYTES_MIN, queued_bytes_max // 2),
        "fetch.error.backoff.ms": 50,
        "topic.metadata.refresh.interval.ms": 10_000,
        **_without(access, _PRODUCERS_ONLY),
        **_common(access),
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
    }


def producer_properties(
    access: Access, *, message_bytes_max: int, delivery_timeout_ms: int, queued_bytes_max: int
) -> dict[str, Any]:
    """A writer whose acknowledgement means that all in-sync replicas have the record, once.

    The partitioner is Java's, so that a record keeps its partition whoever writes its key.
    """
    return {
        "client.id": "webhook-connector",
        "reconnect.backoff.max.ms": _RECONNECT_MAX_MS,
        "linger.ms": _LINGER_MS,
        "compression.type": "lz4",
        "topic.metadata.propagation.max.ms": 5_000,
        **_without(access, _CONSUMERS_ONLY),
        **_common(access),
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "message.max.bytes": message_bytes_max,
        "message.timeout.ms": delivery_timeout_ms,
        "queue.buffering.max.kbytes": max(1, queued_bytes_max // 1024),
    }


def _without(access: Access, others: re.Pattern[str]) -> dict[str, Property]:
    """One list serves all clients of a cluster; each warns about what is only for others."""
    return {name: value for name, value in access.properties.items() if not others.match(name)}


def _common(access: Access) -> dict[str, Any]:
    return {"bootstrap.servers": access.bootstrap_servers, "logger": LOGGER}
