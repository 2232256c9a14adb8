"""The instruments of the integration and chaos tests: each must notice what it is there to notice."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from deploy.testbed import KafkaCluster
from tests.support.checker import Rule, Verdict, check
from tests.support.connector_process import ConnectorProcess
from tests.support.fault_proxy import FaultProxy
from tests.support.metrics import Scrape
from tests.support.names import Names
from tests.support.receiver import Attempt, Behaviour, Receiver, Seen, Signature

_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


# ── the receiver ────────────────────────────────────────────────────────────────────────────────


def test_the_receiver_remembers_every_attempt_of_every_id(receiver: Receiver) -> None:
    receiver.behave("/flaky", Behaviour(fails_first=2, failure_status=503))

    statuses = [_post(receiver.port, "/flaky", id_="a") for _ in range(3)]
    statuses.append(_post(receiver.port, "/sound", id_="a"))

    assert statuses == [503, 503, 200, 200]
    assert [attempt.status for attempt in receiver.seen("/flaky")["a"].attempts] == [503, 503, 200]
    assert receiver.seen("/flaky")["a"].accepted == 1
    assert receiver.seen("/sound")["a"].accepted == 1
    assert receiver.requests() == 4


def test_the_receiver_counts_bodies_that_change_between_attempts(receiver: Receiver) -> None:
    for body in (b"one", b"one", b"two"):
        _post(receiver.port, "/", id_="a", body=body)

    assert receiver.seen("/")["a"].bodies_differ == 1


def test_the_receiver_counts_signatures_that_do_not_verify(receiver: Receiver) -> None:
    receiver.check("/", Signature(secret=_SECRET))

    _post(receiver.port, "/", id_="a", body=b"{}", signed_body=b"{}")
    _post(receiver.port, "/", id_="b", body=b"{}", signed_body=b"{ }")

    assert receiver.counts("/").checked == 2
    assert receiver.counts("/").bad_signatures == 1
    assert receiver.bad_signatures() == 1


def test_the_receiver_checks_a_hex_signature_of_the_body(receiver: Receiver) -> None:
    receiver.check(
        "/", Signature(secret="shown", scheme="body-hex", header="X-Hook-Signature", prefix="sha256=")
    )
    digest = hmac.new(b"shown", b"{}", hashlib.sha256).hexdigest()

    _post(receiver.port, "/", id_="a", body=b"{}", headers={"x-hook-signature": f"sha256={digest}"})
    _post(receiver.port, "/", id_="b", body=b"{}", headers={"x-hook-signature": digest})

    assert receiver.counts("/").bad_signatures == 1


def test_a_path_can_hang_while_others_answer(receiver: Receiver) -> None:
    receiver.behave("/hangs", Behaviour(hangs=True))

    with pytest.raises(TimeoutError):
        _post(receiver.port, "/hangs", id_="a", timeout_s=0.2)

    assert _post(receiver.port, "/sound", id_="a") == 200
    assert receiver.seen("/hangs")["a"].attempts[0].status == 0
    assert receiver.seen("/hangs")["a"].accepted == 0


def test_a_path_can_cut_the_connection_instead_of_answering(receiver: Receiver) -> None:
    receiver.behave("/closes", Behaviour(closes=True))

    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        _post(receiver.port, "/closes", id_="a")

    assert receiver.seen("/closes")["a"].attempts[0].status == -1


# ── the proxy ───────────────────────────────────────────────────────────────────────────────────


def test_the_proxy_forwards_in_both_directions(receiver: Receiver) -> None:
    with FaultProxy(receiver.port) as proxy:
        assert _post(proxy.port, "/", id_="a") == 200
        assert proxy.connections == 1


def test_what_is_cut_is_refused_until_it_is_healed(receiver: Receiver) -> None:
    with FaultProxy(receiver.port) as proxy, socket.create_connection(("127.0.0.1", proxy.port)) as before:
        _exchange(before)
        proxy.cut()

        with pytest.raises(ConnectionResetError):
            before.recv(1)
        with pytest.raises(ConnectionRefusedError):
            _post(proxy.port, "/", id_="b")

        proxy.heal()
        assert _post(proxy.port, "/", id_="c") == 200


def test_a_reset_ends_the_connections_there_are_and_no_others(receiver: Receiver) -> None:
    with FaultProxy(receiver.port) as proxy, socket.create_connection(("127.0.0.1", proxy.port)) as before:
        _exchange(before)
        proxy.reset()

        with pytest.raises(ConnectionResetError):
            before.recv(1)
        assert _post(proxy.port, "/", id_="b") == 200


def test_what_stalls_goes_on_after_it_is_healed(receiver: Receiver) -> None:
    with FaultProxy(receiver.port) as proxy, socket.create_connection(("127.0.0.1", proxy.port)) as client:
        proxy.stall()
        client.settimeout(0.2)
        client.sendall(_REQUEST)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert receiver.requests() == 0

        proxy.heal()
        client.settimeout(10)
        assert client.recv(12) == b"HTTP/1.1 200"


def test_latency_and_a_limit_take_the_time_they_should(receiver: Receiver) -> None:
    with FaultProxy(receiver.port) as proxy:
        proxy.delay(100)
        assert _seconds_to_post(proxy.port, b"") >= 0.2  # there and back

        proxy.heal()
        proxy.trickle(10_000)
        assert _seconds_to_post(proxy.port, b"x" * 3_000) >= 0.3


# ── the checker ─────────────────────────────────────────────────────────────────────────────────


def test_the_checker_tells_accepted_waiting_parked_dead_and_lost_apart(
    kafka: KafkaCluster, names: Names
) -> None:
    source, tier = names.topic(), f"{names.prefix}.retry.5s"
    for topic in (source, tier, f"{names.prefix}.parked", f"{names.prefix}.dead-letters"):
        kafka.create_topic(topic)
    values = [b"accepted", b"twice", b"waiting", b"gone-on", b"parked", b"dead", b"poison", b"x"]
    _produce(kafka, source, values)
    _produce(kafka, tier, [b""], headers=_about(source, 3))  # offset 0: committed past, so not waiting
    _produce(kafka, tier, [b""], headers=_about(source, 2))
    _produce(kafka, f"{names.prefix}.parked", [b""], headers=_about(source, 4))
    _produce(kafka, f"{names.prefix}.dead-letters", [b""], headers=_about(source, 5))
    _produce(kafka, f"{names.prefix}.dead-letters", [b""], headers=_about(source, 6, subscription=""))
    _commit(kafka, names.group, tier, 1)

    verdict = check(
        bootstrap_servers=kafka.bootstrap_servers,
        source_topics=[source],
        prefix=names.prefix,
        tiers_group=names.group,
        rules=[Rule.at("/s1")],
        event_id=_event_id,
        seen={"/s1": {"accepted": _seen(200), "twice": _seen(503, 200, 200), "x": _seen(503)}},
    )

    assert verdict == Verdict(
        records=8, deliveries=8, accepted=2, waiting=1, parked=1, dead=2, duplicates=1, lost_count=2,
        lost=[f"{source}[0]@3 for s1", f"{source}[0]@7 for s1"],
    )  # fmt: skip
    assert not verdict.is_whole


def test_the_checker_finds_every_record_accepted_and_asks_only_who_wants_it(
    kafka: KafkaCluster, names: Names
) -> None:
    source = names.topic()
    kafka.create_topic(source, partitions=3)
    _produce(kafka, source, [b"a", b"b"])

    verdict = check(
        bootstrap_servers=kafka.bootstrap_servers,
        source_topics=[source],
        prefix=names.prefix,
        tiers_group=names.group,
        rules=[
            Rule.at("/all"),
            Rule(subscription="only-a", path="/a", wants=lambda record: record.value() == b"a"),
        ],
        event_id=_event_id,
        seen={"/all": {"a": _seen(200), "b": _seen(200)}, "/a": {"a": _seen(200)}},
    )

    assert verdict == Verdict(records=2, deliveries=3, accepted=3)
    assert verdict.is_whole


# ── the metrics ─────────────────────────────────────────────────────────────────────────────────


def test_a_metric_without_samples_is_nought() -> None:
    scrape = Scrape.of("webhook_connector_ready 1.0\n")

    assert scrape.sum("deliveries_dead_total", reason="exhausted") == 0


def test_a_metric_that_does_not_exist_is_not_nought() -> None:
    scrape = Scrape.of("webhook_connector_ready 1.0\n")

    with pytest.raises(AssertionError, match="there is no metric deliveries_deceased_total"):
        scrape.sum("deliveries_deceased_total")


def test_a_label_that_a_metric_does_not_have_is_not_nought() -> None:
    scrape = Scrape.of("webhook_connector_ready 1.0\n")

    with pytest.raises(AssertionError, match="deliveries_dead_total has no label cause"):
        scrape.sum("deliveries_dead_total", cause="exhausted")


def test_an_empty_page_is_no_scrape() -> None:
    with pytest.raises(AssertionError, match="this page has no samples"):
        Scrape.of("")


def test_a_page_that_fails_or_does_not_answer_is_asked_again(receiver: Receiver, tmp_path: Path) -> None:
    listening = {"event": "listening", "port": receiver.port}
    (tmp_path / "connector.log").write_text(json.dumps(listening))
    receiver.behave("/metrics", Behaviour(fails_first=2))
    receiver.behave("/readyz", Behaviour(fails_first=2, failure_status=-1))
    connector = ConnectorProcess({}, tmp_path)

    assert (connector.text("/metrics"), connector.text("/readyz")) == ("", "")

    assert receiver.counts("/metrics").requests == receiver.counts("/readyz").requests == 3


# ── what the above have in common ───────────────────────────────────────────────────────────────

_REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nwebhook-id: a\r\nContent-Length: 0\r\n\r\n"


def _post(
    port: int,
    path: str,
    *,
    id_: str,
    body: bytes = b"",
    signed_body: bytes | None = None,
    headers: dict[str, str] | None = None,
    timeout_s: float = 10,
) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    timestamp = str(int(time.time()))
    signed = f"{id_}.{timestamp}.".encode() + (body if signed_body is None else signed_body)
    digest = hmac.new(base64.b64decode(_SECRET[6:]), signed, hashlib.sha256).digest()
    own = {
        "Webhook-Id": id_,
        "Webhook-Timestamp": timestamp,
        "Webhook-Signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    try:
        connection.request("POST", path, body, own | (headers or {}))
        return connection.getresponse().status
    finally:
        connection.close()


def _exchange(client: socket.socket) -> None:
    client.settimeout(10)
    client.sendall(_REQUEST)
    assert client.recv(1_000).startswith(b"HTTP/1.1 200")


def _seconds_to_post(port: int, body: bytes) -> float:
    start = time.monotonic()
    _post(port, "/", id_="a", body=body)
    return time.monotonic() - start


def _produce(
    kafka: KafkaCluster, topic: str, values: list[bytes], *, headers: list[tuple[str, bytes]] | None = None
) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for value in values:
        producer.produce(topic, value, headers=headers or [])
    assert producer.flush(10) == 0


def _about(topic: str, offset: int, *, subscription: str = "s1") -> list[tuple[str, bytes]]:
    place = {"webhook.topic": topic, "webhook.partition": "0", "webhook.offset": str(offset)}
    if subscription:
        place["webhook.subscription-id"] = subscription
    return [(name, value.encode()) for name, value in place.items()]


def _commit(kafka: KafkaCluster, group: str, topic: str, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": group})
    try:
        consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    finally:
        consumer.close()


def _event_id(record: Message) -> str:
    value = record.value()
    assert isinstance(value, bytes)
    return value.decode()


def _seen(*statuses: int) -> Seen:
    return Seen(tuple(Attempt(0, status) for status in statuses), 0)
