"""Whose fault it is that nothing arrives through an egress proxy."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import trustme

from connector.core.outcome import Failure, Reply
from connector.core.subscription import Egress
from connector.webhook.egress_sender import EgressSender
from connector.webhook.guard import Guard
from connector.webhook.proxy import forwarded_failure, parse_proxy, tunnel_failure
from tests.contracts.sender_tls_contract import authority, ca_file, server_tls
from tests.support.egress_proxy import EgressProxy, egress_proxy
from tests.support.posting import LOOPBACK, FixedLookup, kind, post
from tests.support.raw_receiver import always, ok, receiving

__all__ = ["authority", "ca_file"]


@pytest.fixture
async def sender(ca_file: str) -> AsyncIterator[EgressSender]:
    sender = EgressSender(guard=LOOPBACK, allow_http=True, extra_ca_file=ca_file, lookup=FixedLookup({}))
    yield sender
    await sender.close()


@pytest.fixture
async def proxy() -> AsyncIterator[EgressProxy]:
    async with egress_proxy(names={"partner.example": "127.0.0.1", "hang.example": ""}) as proxy:
        yield proxy


async def test_https_goes_through_a_tunnel_to_the_name_and_the_proxy_sees_nothing_else(
    sender: EgressSender, proxy: EgressProxy, authority: trustme.CA
) -> None:
    async with receiving(always(ok()), server_tls(authority, "partner.example")) as receiver:
        url = receiver.url(host="partner.example")
        outcomes = [kind(await post(sender, url, egress=Egress(proxy=proxy.url))) for _ in range(3)]

    assert outcomes == ["http-200"] * 3
    assert proxy.asked == [f"CONNECT partner.example:{receiver.port} HTTP/1.1"]
    assert receiver.requests[0].line == "POST /hook HTTP/1.1"
    assert list(receiver.requests[0].headers) == [
        "host", "user-agent", "content-type", "webhook-id", "content-length",
    ]  # fmt: skip


async def test_plain_http_is_forwarded_with_the_whole_url(sender: EgressSender, proxy: EgressProxy) -> None:
    async with receiving(always(ok())) as receiver:
        url = receiver.url("/hook?a=b")
        outcomes = [kind(await post(sender, url, egress=Egress(proxy=proxy.url))) for _ in range(2)]

    assert outcomes == ["http-200"] * 2
    assert proxy.asked == [f"POST {url} HTTP/1.1"] * 2
    assert receiver.requests[0].headers["host"] == f"127.0.0.1:{receiver.port}"


async def test_ways_never_share_a_connection(sender: EgressSender, proxy: EgressProxy) -> None:
    async with receiving(always(ok())) as receiver, egress_proxy() as other:
        for egress in (Egress(), Egress(proxy=proxy.url), Egress(proxy=other.url)):
            await post(sender, receiver.url(), egress=egress)

    assert (receiver.accepted, proxy.accepted, other.accepted) == (3, 1, 1)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_not_there_is_the_proxys_fault(sender: EgressSender, scheme: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        egress = Egress(proxy=f"http://127.0.0.1:{unused.getsockname()[1]}")
        outcome = await post(sender, f"{scheme}://partner.example/", egress=egress)

    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.is_ours) == ("proxy", True)


async def test_a_proxy_whose_name_does_not_resolve_is_the_proxys_fault(sender: EgressSender) -> None:
    egress = Egress(proxy="http://nowhere.invalid:3128")

    outcome = await post(sender, "https://partner.example/", egress=egress)

    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.is_ours) == ("proxy", True)
    assert "nowhere.invalid" in outcome.detail


async def test_a_proxy_that_does_not_take_the_connection_is_the_proxys_fault(sender: EgressSender) -> None:
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        # A full queue of connections nobody accepts: the next one hangs.
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        egress = Egress(proxy=f"http://127.0.0.1:{listener.getsockname()[1]}")
        outcome = await post(sender, "https://partner.example/", timeout_ms=200, egress=egress)

    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.is_ours) == ("proxy", True)


@pytest.mark.parametrize(
    ("answer", "is_doubtful"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", False),
        (b"SSH-2.0-OpenSSH\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000, True),
    ],
)
async def test_a_proxy_that_opens_no_tunnel_and_does_not_say_why_is_at_fault_in_doubt(
    sender: EgressSender, proxy: EgressProxy, answer: bytes, is_doubtful: bool
) -> None:
    proxy.answer = answer

    outcome = await post(sender, "https://partner.example/", egress=Egress(proxy=proxy.url))

    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.is_doubtful) == ("proxy", is_doubtful)


async def test_a_receiver_that_the_proxy_cannot_reach_is_at_fault_where_the_proxy_says_so(
    sender: EgressSender, proxy: EgressProxy
) -> None:
    egress = Egress(proxy=proxy.url)

    unknown = await post(sender, "https://nowhere.example/", egress=egress)
    refused = await post(sender, "https://127.0.0.1:1/", egress=egress)

    assert (kind(unknown), kind(refused)) == ("dns", "connect")


async def test_a_silent_proxy_is_at_fault_unless_it_answers_somebody_else_meanwhile(
    sender: EgressSender, proxy: EgressProxy
) -> None:
    egress = Egress(proxy=proxy.url)

    alone = await post(sender, "https://hang.example/", timeout_ms=200, egress=egress)
    beside, _ = await asyncio.gather(
        post(sender, "https://hang.example/", timeout_ms=500, egress=egress),
        post(sender, "https://nowhere.example/", egress=egress),
    )

    assert (kind(alone), kind(beside)) == ("proxy", "timeout")
    assert isinstance(alone, Failure)
    assert alone.is_doubtful


async def test_a_receiver_that_breaks_tls_off_behind_a_tunnel_is_billed_itself(
    sender: EgressSender, proxy: EgressProxy, authority: trustme.CA
) -> None:
    async with receiving(always(ok()), server_tls(authority, "other.example")) as receiver:
        outcome = await post(sender, receiver.url(host="partner.example"), egress=Egress(proxy=proxy.url))

    assert kind(outcome) == "tls"


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (502, {}, "proxy"),
        (504, {}, "proxy"),
        (407, {}, "proxy"),
        (403, {}, "forbidden"),
        (502, {b"proxy-status": b"p; error=connection_refused"}, "connect"),
        (504, {b"proxy-status": b"p; error=connection_timeout"}, "connect"),
        (502, {b"proxy-status": b"p; error=destination_ip_prohibited"}, "forbidden"),
        (502, {b"proxy-status": b'p; details="; error=dns_error"; error=proxy_internal_error'}, "proxy"),
        (500, {b"proxy-status": b"p; error=something_new"}, "proxy"),
        (503, {b"x-squid-error": b"ERR_CONNECT_FAIL 111"}, "connect"),
        (503, {b"x-squid-error": b"ERR_DNS_FAIL 0"}, "dns"),
        (503, {b"x-squid-error": b"ERR_CANNOT_FORWARD 0"}, "proxy"),
        (407, {b"x-smokescreen-error": b"host resolves to a denied address"}, "forbidden"),
        (502, {b"x-smokescreen-error": b"dial tcp: refused"}, "connect"),
    ],
)
def test_what_a_refused_tunnel_means(status: int, headers: dict[bytes, bytes], expected: str) -> None:
    failure = tunnel_failure(status, headers, proxy="egress:3128", where="partner.example:443")

    assert failure is not None
    assert failure.kind == expected
    assert failure.is_ours == (expected == "proxy" and status == 407)


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, None),
        (502, {}, None),
        (503, {b"via": b"1.1 egress"}, None),
        (407, {}, "proxy"),
        (503, {b"x-squid-error": b"ERR_CONNECT_FAIL 111"}, "connect"),
        (502, {b"proxy-status": b"p; error=proxy_configuration_error"}, "proxy"),
        (504, {b"proxy-status": b"p; error=connection_timeout"}, "connect"),
        # What no proxy says in another's stead is the receiver's, whatever it bears.
        (200, {b"proxy-status": b"p; error=proxy_internal_error"}, None),
        (410, {b"x-squid-error": b"ERR_CANNOT_FORWARD 0"}, None),
        (429, {b"x-smokescreen-error": b"denied"}, None),
        (500, {b"x-squid-error": b"ERR_CANNOT_FORWARD 0"}, None),
    ],
)
def test_whose_a_reply_through_a_forwarding_proxy_is(
    status: int, headers: dict[bytes, bytes], expected: str | None
) -> None:
    reply = Reply(status, retry_after=b"60")

    failure = forwarded_failure(reply, headers, proxy="egress:3128", where="partner.example")

    assert (failure and failure.kind) == expected
    assert failure is None or (failure.reply is reply and not failure.is_ours)


_PAGE = b"x" * 20_000
_ASKS_FOR_CREDENTIALS = b"HTTP/1.1 407 X\r\nContent-Length: 20000\r\n\r\n" + _PAGE
_CANNOT_FORWARD = b"HTTP/1.1 503 X\r\nX-Squid-Error: ERR_CANNOT_FORWARD 0\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        _ASKS_FOR_CREDENTIALS,
        _CANNOT_FORWARD + b"Content-Length: 20000\r\n\r\n" + _PAGE,
        _CANNOT_FORWARD + b"X: " + _PAGE + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 " + _PAGE + _CANNOT_FORWARD[12:] + b"Content-Length: 0\r\n\r\n",
        _CANNOT_FORWARD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["407 with a long page", "a long page", "a long header", "a long reason", "a coding h11 refuses"],
)
async def test_a_proxys_own_reply_is_its_own_whatever_httpcore_makes_of_it(
    sender: EgressSender, proxy: EgressProxy, answer: bytes
) -> None:
    proxy.answer = answer

    outcome = await post(sender, "http://partner.example/", egress=Egress(proxy=proxy.url))

    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.is_doubtful) == ("proxy", True)


async def test_a_proxys_own_reply_is_its_own_each_time_that_it_gives_the_same(
    sender: EgressSender, proxy: EgressProxy
) -> None:
    # Byte for byte, over a kept connection.
    answer = _CANNOT_FORWARD + b"Content-Length: 0\r\n\r\n"
    async with receiving(always(answer)) as forging:
        outcomes = [kind(await post(sender, forging.url(), egress=Egress(proxy=proxy.url))) for _ in range(3)]

    assert outcomes == ["proxy"] * 3
    assert forging.accepted == 1


async def test_a_mark_that_a_receiver_forges_excuses_no_success_and_keeps_retry_after(
    sender: EgressSender, proxy: EgressProxy
) -> None:
    mark = b"Proxy-Status: egress; error=proxy_internal_error\r\n"
    busy = b"HTTP/1.1 503 X\r\n" + mark + b"Retry-After: 60\r\nContent-Length: 0\r\n\r\n"
    async with receiving(always(ok(headers=mark))) as happy, receiving(always(busy)) as forging:
        accepted = await post(sender, happy.url(), egress=Egress(proxy=proxy.url))
        excused = await post(sender, forging.url(), egress=Egress(proxy=proxy.url))

    assert kind(accepted) == "http-200"
    assert isinstance(excused, Failure)
    assert excused.kind == "proxy"
    assert excused.reply == Reply(503, b"60")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("socks5://egress:1080", "http://host:port"),
        ("https://egress:3128", "http://host:port"),
        ("egress:3128", "http://host:port"),
        ("http://me:secret@egress:3128", "user-info"),
        ("http://egress:3128/path", "path"),
        ("http://egress..internal:3128", "DNS name"),
    ],
)
def test_a_proxys_url_that_means_nothing_is_refused_with_its_cure(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_proxy(url)


def test_a_proxy_may_be_inside_the_house() -> None:
    assert parse_proxy("http://10.0.0.7:3128").authority == "10.0.0.7:3128"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_forbidden_literal_is_refused_with_a_proxy_as_without(scheme: str) -> None:
    sender = EgressSender(guard=Guard(), allow_http=True)

    with pytest.raises(ValueError, match="allow_networks"):
        sender.endpoint(
            f"{scheme}://10.0.0.1/", headers=(), content_type="a/b", egress=Egress(proxy="http://egress:3128")
        )
    await sender.close()
