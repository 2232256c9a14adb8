"""Endpoints that lie, hang, flood or are not there: each is tried by its ladder, then a dead letter says why.

| endpoint | class | dead letter |
| --- | --- | --- |
| a small reply that unpacks to 100 MB | the status counts; nothing is ever unpacked | `exhausted` |
| reply headers without end | `protocol` | `exhausted` |
| a body without end | the status counts; after 256 KiB the connection is given up | `exhausted` |
| a reply that stops in the middle | `timeout` | `exhausted` |
| a redirect to an address inside the house | its status counts; nobody goes there | `exhausted` |
| a certificate that nobody vouches for | `tls` | `exhausted` |
| nothing later than TLS 1.1 | `tls` | `exhausted` |
| a name that does not resolve | `dns` | `exhausted` |
| a name that leads to a forbidden address | `forbidden`, and nothing is connected | `blocked-address` |

All at once, and meanwhile nobody else waits.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import zlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import trustme
from confluent_kafka import Producer

from connector.core.trail import Trail
from deploy.testbed import KafkaCluster
from deploy.testbed.ports import free_port
from tests.contracts.sender_tls_contract import SERVER_HELLO_1_1
from tests.support.checker import Rule, read_all
from tests.support.connector_process import (
    SIGNATURE,
    ConnectorProcess,
    settings_for,
    subscription,
    write_subscriptions,
)
from tests.support.dead_letters import read_dead_letters
from tests.support.feeding import Feeder, event_id
from tests.support.judging import assert_nothing_lost
from tests.support.names import Names
from tests.support.raw_receiver import Behaviour, Peer, always, ok, receiving
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until

FEW = 2
MANY = 600
RATE_PER_S = 100
TIMEOUT_MS = 8_000
"""Longer than a busy machine stands still, and than a name server may take before a name counts as not
resolved."""
DELAY_MS_MAX = 1_500
"""Far below the timeout of a hostile endpoint, with room for a busy machine: so for 19 of 20, since whoever
waited for one such timeout would keep all waiting."""
FATES = {
    "bomb": ("exhausted", "http-500"),
    "endless-headers": ("exhausted", "protocol"),
    "endless-body": ("exhausted", "http-500"),
    "unfinished": ("exhausted", "timeout"),
    "redirecting": ("exhausted", "http-307"),
    "untrusted": ("exhausted", "tls"),
    "old-tls": ("exhausted", "tls"),
    "unnamed": ("exhausted", "dns"),
    "forbidden": ("blocked-address", "forbidden"),
}


async def test_hostile_endpoints_get_what_their_ladder_says_and_nobody_else_waits(
    kafka: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:

        async def serve(behave: Behaviour, tls: ssl.SSLContext | None = None) -> str:
            return (await stack.enter_async_context(receiving(behave, tls))).url()

        # Ports that any free one is taken from are knocked at by clients of servers that were there before.
        forbidden = await stack.enter_async_context(receiving(always(ok()), port=free_port()))
        urls = {
            "bomb": await serve(always(_bomb())),
            "endless-headers": await serve(_endless(b"HTTP/1.1 200 OK\r\n", b"X-More: of it\r\n" * 100)),
            "endless-body": await serve(
                _endless(b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nmore\r\n" * 999)
            ),
            "unfinished": await serve(always(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nso far")),
            "redirecting": await serve(always(_redirect(forbidden.url()))),
            "untrusted": await serve(always(ok()), _self_made_certificate()),
            "old-tls": (await serve(_old_tls)).replace("http:", "https:"),
            "unnamed": "https://receiver.invalid/hook",
            # Only 127.0.0.0/8 is allowed, and localhost leads to ::1 as well.
            "forbidden": forbidden.url(host="localhost"),
        }
        await asyncio.to_thread(_run, kafka, names, tmp_path, urls)
        assert forbidden.accepted == 0


def _run(kafka: KafkaCluster, names: Names, folder: Path, urls: Mapping[str, str]) -> None:
    few, many = names.topic("few"), names.topic("many")
    for topic in (few, many):
        kafka.create_topic(topic)
    with Receiver() as receiver:
        receiver.check("/sound", replace(SIGNATURE, every=7))
        hostile = [
            subscription(id_, url, events=["few"], ladder=["1s"], limits={"timeout": f"{TIMEOUT_MS}ms"})
            for id_, url in urls.items()
        ]
        write_subscriptions(folder, [subscription("sound", receiver.url("/sound")), *hostile])
        reading = {"format": "json", "id": {"field": "id"}, "type": {"map": {few: "few", many: "many"}}}
        settings = settings_for(
            names,
            folder,
            bootstrap_servers=kafka.bootstrap_servers,
            topics=[{"name": topic, **reading} for topic in (few, many)],
            delivery={"breaker": {"failures_to_open": 0}},  # each ladder is walked at its own pace
        )
        with ConnectorProcess(settings, folder) as connector:
            wait_until(lambda: connector.metric("partitions", group="source") >= 2, "both topics are read")
            producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
            for number in range(FEW):
                producer.produce(few, json.dumps({"id": f"few{number}"}))
            assert producer.flush(30) == 0
            with Feeder(kafka.bootstrap_servers, many, rate_per_s=RATE_PER_S, records=MANY) as feeder:
                feeder.join()
            wait_until(
                lambda: connector.metric("deliveries_dead_total") == FEW * len(urls),
                "every hostile delivery is a dead letter",
            )
            assert connector.metric("deliveries_dead_total", reason="blocked-address") == FEW
            assert connector.stop() == 0

        rules = [Rule.at("/sound")]
        verdict = assert_nothing_lost(
            kafka.bootstrap_servers, names, receiver, topics=[few, many], rules=rules, event_id=event_id
        )
        assert (verdict.accepted, verdict.duplicates) == (FEW + MANY, 0)
        seen = receiver.seen("/sound")
        delays_ms = sorted(
            seen[event_id(record)].attempts[0].at_ms - record.timestamp()[1]
            for record in read_all(kafka.bootstrap_servers, [few, many])
        )
        assert delays_ms[len(delays_ms) * 95 // 100] < DELAY_MS_MAX
        assert delays_ms[-1] < TIMEOUT_MS, "nobody waits for a timeout of theirs"

    letters = read_dead_letters(kafka.bootstrap_servers, names)
    for (_, id_), letter in letters.items():
        assert letter.why == FATES[id_]
        assert isinstance(letter.trail, Trail)
        assert [one.error_class for one in letter.trail.history] == [FATES[id_][1]] * 2  # tried twice
    assert len(letters) == FEW * len(urls)


def _bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    body = packer.compress(bytes(100_000_000)) + packer.flush()
    head = f"HTTP/1.1 500 X\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _redirect(url: str) -> bytes:
    return f"HTTP/1.1 307 X\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()


async def _old_tls(peer: Peer) -> None:
    await peer.request_begun()
    await peer.send(SERVER_HELLO_1_1)
    await peer.closed()


def _endless(begin: bytes, more: bytes) -> Behaviour:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(begin)
        while True:
            await peer.send(more)

    return behave


def _self_made_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context
