"""Client properties: what passes through, what is ours, what is never shown."""

from __future__ import annotations

import pytest

from connector.kafka.access import (
    Access,
    BadProperty,
    admin_properties,
    consumer_properties,
    producer_properties,
)

ACCESS = Access(
    bootstrap_servers="b:9092",
    properties={
        "security.protocol": "SASL_SSL",
        "sasl.password": "hunter2",
        "ssl.key.pem": "-----BEGIN",
        "fetch.wait.max.ms": 7,
        "linger.ms": 1,
    },
)


def test_properties_reach_the_clients_they_are_for() -> None:
    consumer = consumer_properties(ACCESS, group="g", queued_bytes_max=1 << 20)
    producer = producer_properties(
        ACCESS, message_bytes_max=1_000_000, delivery_timeout_ms=1_000, queued_bytes_max=1 << 20
    )
    admin = admin_properties(ACCESS)

    assert [c["security.protocol"] for c in (consumer, producer, admin)] == ["SASL_SSL"] * 3
    assert (consumer["fetch.wait.max.ms"], "linger.ms" in consumer) == (7, False)
    assert (producer["linger.ms"], "fetch.wait.max.ms" in producer) == (1, False)


def test_what_carries_a_promise_is_ours() -> None:
    consumer = consumer_properties(ACCESS, group="g", queued_bytes_max=2 << 20)
    producer = producer_properties(
        ACCESS, message_bytes_max=1_000_000, delivery_timeout_ms=1_000, queued_bytes_max=1 << 20
    )

    assert consumer["enable.auto.commit"] is False
    assert consumer["auto.offset.reset"] == "error"
    assert consumer["queued.max.messages.kbytes"] == 2048
    assert producer["enable.idempotence"] is True
    assert producer["acks"] == "all"
    assert producer["partitioner"] == "murmur2_random"


@pytest.mark.parametrize(("queued_bytes_max", "fetch_bytes_max"), [(8 << 20, 4 << 20), (64 << 10, 1 << 20)])
def test_one_fetch_brings_half_of_the_queue_but_never_less_than_the_client_takes(
    queued_bytes_max: int, fetch_bytes_max: int
) -> None:
    consumer = consumer_properties(ACCESS, group="g", queued_bytes_max=queued_bytes_max)

    assert consumer["fetch.max.bytes"] == fetch_bytes_max


@pytest.mark.parametrize(
    "name",
    ["enable.auto.commit", "auto.offset.reset", "group.id", "acks", "enable.idempotence", "partitioner"],
)
def test_a_property_that_would_break_a_promise_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(BadProperty, match=f"{name} is set by the connector: .* Remove it"):
        Access(bootstrap_servers="b:9092", properties={name: "x"})


def test_secrets_are_never_shown() -> None:
    assert ACCESS.shown() == {
        "security.protocol": "SASL_SSL",
        "sasl.password": "***",
        "ssl.key.pem": "***",
        "fetch.wait.max.ms": 7,
        "linger.ms": 1,
    }
    assert "hunter2" not in repr(ACCESS)
    assert ACCESS.redact("no such password: hunter2") == "no such password: ***"
