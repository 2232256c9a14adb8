"""Client properties, judged one by one, so that a mistake is told where it was made and before any client is.

librdkafka itself is the judge: it knows its names and values, and no list of ours would keep up with it.
"""

from __future__ import annotations

from confluent_kafka import KafkaException, Producer

from connector.kafka.access import Access, BadProperty
from connector.kafka.errors import error_of

USUAL = (
    "broker.address.family", "client.dns.lookup", "client.id", "client.rack", "connections.max.idle.ms",
    "debug", "enable.ssl.certificate.verification", "enable.sasl.oauthbearer.unsecure.jwt", "fetch.max.bytes",
    "fetch.min.bytes", "fetch.wait.max.ms", "group.instance.id", "group.remote.assignor",
    "heartbeat.interval.ms", "isolation.level", "linger.ms", "max.partition.fetch.bytes",
    "max.poll.interval.ms", "metadata.max.age.ms", "reconnect.backoff.max.ms", "reconnect.backoff.ms",
    "request.timeout.ms", "retries", "retry.backoff.ms", "sasl.kerberos.keytab", "sasl.kerberos.principal",
    "sasl.kerberos.service.name", "sasl.mechanism", "sasl.mechanisms", "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret", "sasl.oauthbearer.config", "sasl.oauthbearer.extensions",
    "sasl.oauthbearer.method", "sasl.oauthbearer.scope", "sasl.oauthbearer.token.endpoint.url",
    "sasl.password", "sasl.username", "security.protocol", "session.timeout.ms",
    "socket.connection.setup.timeout.ms", "socket.keepalive.enable", "socket.nagle.disable",
    "socket.timeout.ms", "ssl.ca.location", "ssl.ca.pem", "ssl.certificate.location", "ssl.certificate.pem",
    "ssl.cipher.suites", "ssl.crl.location", "ssl.endpoint.identification.algorithm", "ssl.key.location",
    "ssl.key.password", "ssl.key.pem", "ssl.keystore.location", "ssl.keystore.password",
)  # fmt: skip
"""What operators set, to guess what a misspelt name was meant to be; not what may be set."""

_NO_SUCH = "No such configuration property"
_LAST = "the.end.of.what.is.judged"
"""No property: the client refuses it, after the one before it, so that none is ever made."""


def is_known(name: str) -> bool:
    """Whether the client library has such a property, and takes text for it."""
    fault = _judged(name, "")
    return fault is not None and not fault.startswith(_NO_SUCH)


def value_fault(name: str, value: str) -> str:
    """Why a known property cannot be used with this value, without secrets; empty when it can."""
    try:
        access = Access(bootstrap_servers="", properties={name: value})
    except BadProperty as error:
        return str(error)
    return access.redact(_judged(name, value) or "").strip()


def _judged(name: str, value: str) -> str | None:
    """What the library says of the property, empty when it takes it; ``None`` when it wants no text there."""
    try:
        Producer({name: value, _LAST: ""})
    except KafkaException as error:
        said = error_of(error).str()
        return "" if _LAST in said else said
    except (TypeError, AttributeError):
        return None
    raise AssertionError("the last property is none")
