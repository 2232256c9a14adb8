"""The second sender over HTTP/2: against hypercorn, and against receivers that break it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import h2.errors
import pytest
import trustme

from connector.core.outcome import Failure, Reply
from connector.core.subscription import Egress
from connector.webhook.egress_sender import EgressSender
from tests.contracts.sender_tls_contract import authority, ca_file, server_tls
from tests.support.egress_proxy import egress_proxy
from tests.support.friendly_servers import hypercorn
from tests.support.http2_receiver import Http2Peer, frame, http2_receiving
from tests.support.posting import LATE_MS, LOOPBACK, kind, post, start

__all__ = ["authority", "ca_file"]

HTTP2 = Egress(http2=True)

GOAWAY_AFTER_1 = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"
GOAWAY_SOME_TIME = frame(7, b"\x7f\xff\xff\xff\x00\x00\x00\x00")


@pytest.fixture
async def sender(ca_file: str) -> AsyncIterator[EgressSender]:
    sender = EgressSender(guard=LOOPBACK, extra_ca_file=ca_file)
    yield sender
    await sender.close()


def replies(peer: Http2Peer, stream: int) -> None:
    peer.reply(stream)


async def test_hypercorn_takes_many_at_once_over_one_connection(
    sender: EgressSender, authority: trustme.CA, tmp_path: Path
) -> None:
    certificate_file = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate_file)
    async with hypercorn(certificate_file) as port, egress_proxy() as proxy:
        url = f"https://127.0.0.1:{port}/hook"
        directly = await asyncio.gather(*(post(sender, url, b"x" * 70_000, egress=HTTP2) for _ in range(30)))
        tunnelled = await post(sender, url, egress=Egress(http2=True, proxy=proxy.url))
        older = await post(sender, url, egress=Egress(proxy=proxy.url))

    assert {kind(outcome) for outcome in directly} == {"http-201"}
    bodies = {outcome.body for outcome in directly if isinstance(outcome, Reply)}
    assert bodies == {b"HTTP/2.0 POST /hook 70000"}
    assert isinstance(tunnelled, Reply)
    assert tunnelled.body == b"HTTP/2.0 POST /hook 2"
    assert isinstance(older, Reply)
    assert older.body == b"HTTP/1.1 POST /hook 2"


async def test_the_request_is_one_plain_post_with_the_headers_and_body_given(
    sender: EgressSender, authority: trustme.CA
) -> None:
    async with http2_receiving(replies, server_tls(authority, "127.0.0.1")) as receiver:
        outcome = await post(
            sender, receiver.url("/hooks?a=b"), b"{}", headers=[("Authorization", "Bearer t")], egress=HTTP2
        )

    assert outcome == Reply(200, body=b"ok")
    assert receiver.requests[0].body == b"{}"
    assert receiver.requests[0].headers == [
        (":method", "POST"),
        (":authority", f"127.0.0.1:{receiver.port}"),
        (":scheme", "https"),
        (":path", "/hooks?a=b"),
        ("user-agent", "webhook-connector/0.1.0"),
        ("content-type", "application/json"),
        ("authorization", "Bearer t"),
        ("webhook-id", "evt_1"),
        ("content-length", "2"),
    ]


async def test_requests_share_one_connection_from_the_first_on(
    sender: EgressSender, authority: trustme.CA
) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        waiting.append(stream)
        if len(waiting) == 20:
            for each in waiting:
                peer.reply(each)

    waiting: list[int] = []
    async with http2_receiving(answer, server_tls(authority, "127.0.0.1")) as receiver:
        outcomes = await asyncio.gather(*(post(sender, receiver.url(), egress=HTTP2) for _ in range(20)))

    assert {kind(outcome) for outcome in outcomes} == {"http-200"}
    assert (receiver.accepted, receiver.open_at_once_max) == (1, 20)


async def test_one_hanging_stream_ends_at_its_deadline_and_takes_no_other_with_it(
    sender: EgressSender, authority: trustme.CA
) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        if stream > 1 or peer.index:
            asyncio.get_running_loop().call_later(0.3, peer.reply_later, stream)

    async with http2_receiving(answer, server_tls(authority, "127.0.0.1")) as receiver:
        endpoint = sender.endpoint(receiver.url(), headers=(), content_type="a/b", egress=HTTP2)
        started_s = monotonic()
        hanging = start(sender, endpoint, timeout_ms=200)
        beside = start(sender, endpoint)
        first = await hanging
        took_ms = (monotonic() - started_s) * 1000
        second = await beside
        third = await start(sender, endpoint)

    assert (kind(first), kind(second), kind(third)) == ("timeout", "http-200", "http-200")
    assert 200 <= took_ms < 200 + LATE_MS
    # The server goes on with what nobody wants, so nothing new is given to that connection.
    assert receiver.accepted == 2


async def test_a_refused_stream_is_sent_once_more_and_no_oftener(
    sender: EgressSender, authority: trustme.CA
) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        if len(receiver.requests) == 2:
            peer.reply(stream)
        else:
            peer.h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)

    async with http2_receiving(answer, server_tls(authority, "127.0.0.1")) as receiver:
        first = await post(sender, receiver.url(), egress=HTTP2)
        second = await post(sender, receiver.url(), egress=HTTP2)

    assert (kind(first), kind(second)) == ("http-200", "reset")
    assert len(receiver.requests) == 4


async def test_a_stream_that_is_reset_while_it_was_worked_on_is_not_sent_again(
    sender: EgressSender, authority: trustme.CA
) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        peer.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)

    async with http2_receiving(answer, server_tls(authority, "127.0.0.1")) as receiver:
        outcome = await post(sender, receiver.url(), egress=HTTP2)

    assert kind(outcome) == "reset"
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(("last_stream", "outcome_due"), [(0, "http-200"), (1, "reset")])
async def test_a_request_behind_a_goaway_is_sent_once_more_and_one_before_it_is_not(
    sender: EgressSender, authority: trustme.CA, last_stream: int, outcome_due: str
) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        if peer.index == 0:
            peer.h2.close_connection(last_stream_id=last_stream)
            peer.flush()
            peer.close()
        else:
            peer.reply(stream)

    async with http2_receiving(answer, server_tls(authority, "127.0.0.1")) as receiver:
        outcome = await post(sender, receiver.url(), egress=HTTP2)

    assert kind(outcome) == outcome_due


@pytest.mark.parametrize(("leaving", "outcome_due"), [(1, "http-200"), (2, "reset")])
async def test_a_connection_whose_end_is_announced_as_it_opens_is_replaced_once(
    sender: EgressSender, authority: trustme.CA, leaving: int, outcome_due: str
) -> None:
    def greet(peer: Http2Peer) -> None:
        end = GOAWAY_SOME_TIME if peer.index < leaving else b""
        peer.writer.write(peer.h2.data_to_send() + end)

    async with http2_receiving(replies, server_tls(authority, "127.0.0.1"), greet=greet) as receiver:
        outcome = await post(sender, receiver.url(), egress=HTTP2)

    assert kind(outcome) == outcome_due
    assert receiver.accepted == 2


async def test_a_kept_connection_that_closes_without_a_byte_is_replaced_once(
    sender: EgressSender, authority: trustme.CA
) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        if stream == 1:
            peer.reply(stream)
        else:
            peer.abort()

    async with http2_receiving(answer, server_tls(authority, "127.0.0.1")) as receiver:
        outcomes = [kind(await post(sender, receiver.url(), egress=HTTP2)) for _ in range(2)]

    assert outcomes == ["http-200", "http-200"]
    assert (receiver.accepted, len(receiver.requests)) == (2, 3)


async def test_an_endless_body_is_cut_and_the_status_counts(
    sender: EgressSender, authority: trustme.CA
) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        peer.h2.send_headers(stream, [(":status", "200")])
        for _ in range(100):
            peer.h2.send_data(stream, b"z" * 16_000)

    async with http2_receiving(answer, server_tls(authority, "127.0.0.1")) as receiver:
        first = await post(sender, receiver.url(), egress=HTTP2)
        second = await post(sender, receiver.url(), egress=HTTP2)

    assert first == second == Reply(200, body=b"z" * 1024)
    assert receiver.accepted == 2


async def test_a_connection_with_much_behind_the_last_reply_is_not_kept(
    sender: EgressSender, authority: trustme.CA
) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        peer.reply(stream)
        if peer.index == 0:
            peer.flush()
            peer.writer.write(frame(0xEE, bytes(10_000)) * 6)

    async with http2_receiving(answer, server_tls(authority, "127.0.0.1")) as receiver:
        first = await post(sender, receiver.url(), egress=HTTP2)
        await asyncio.wait_for(receiver.peers[0].gone.wait(), 5)
        second = await post(sender, receiver.url(), egress=HTTP2)

    assert first == second == Reply(200, body=b"ok")
    assert receiver.accepted == 2


@pytest.mark.parametrize(
    "headers",
    [[(":status", "200"), *((f"x{n}", "y" * 1_000) for n in range(70))], [(":status", "abc")], [("x", "y")]],
    ids=["70 kB of headers", "no number", "no status"],
)
async def test_a_head_that_is_none_is_a_protocol_failure(
    sender: EgressSender, authority: trustme.CA, headers: list[tuple[str, str]]
) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        peer.h2.send_headers(stream, headers)

    async with http2_receiving(answer, server_tls(authority, "127.0.0.1")) as receiver:
        outcome = await post(sender, receiver.url(), egress=HTTP2)

    assert isinstance(outcome, Failure)
    assert outcome.kind == "protocol"


async def test_of_two_retry_afters_both_are_kept(sender: EgressSender, authority: trustme.CA) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        headers = [(":status", "503"), ("retry-after", "3600"), ("retry-after", "0")]
        peer.h2.send_headers(stream, headers, end_stream=True)

    async with http2_receiving(answer, server_tls(authority, "127.0.0.1")) as receiver:
        outcome = await post(sender, receiver.url(), egress=HTTP2)

    assert outcome == Reply(503, b"3600\n0")


async def test_a_graceful_goaway_costs_nothing_what_is_open_is_answered_and_the_rest_sent_elsewhere(
    sender: EgressSender, authority: trustme.CA
) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        if peer.index:
            peer.reply(stream, body=b"elsewhere")
        elif stream == 3:
            # As nginx does: stream 1 is answered, stream 3 was not looked at.
            peer.writer.write(GOAWAY_AFTER_1)
            asyncio.get_running_loop().call_later(0.05, finish, peer)

    def finish(peer: Http2Peer) -> None:
        peer.reply(1, body=b"here")
        peer.flush()

    async with http2_receiving(answer, server_tls(authority, "127.0.0.1")) as receiver:
        endpoint = sender.endpoint(receiver.url(), headers=(), content_type="a/b", egress=HTTP2)
        outcomes = await asyncio.gather(start(sender, endpoint), start(sender, endpoint))

    assert list(outcomes) == [Reply(200, body=b"here"), Reply(200, body=b"elsewhere")]
    assert receiver.accepted == 2


@pytest.mark.parametrize("is_reset", [False, True], ids=["and waits", "and resets the stream"])
async def test_one_that_answers_without_reading_the_body_has_answered(
    sender: EgressSender, authority: trustme.CA, is_reset: bool
) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        peer.reply(stream, 413)
        if is_reset:
            peer.h2.reset_stream(stream, h2.errors.ErrorCodes.NO_ERROR)

    tls = server_tls(authority, "127.0.0.1")
    async with http2_receiving(answer, tls, reads_bodies=False) as receiver:
        first = await post(sender, receiver.url(), b"x" * 300_000, egress=HTTP2)
        second = await post(sender, receiver.url(), b"x" * 300_000, egress=HTTP2)

    assert first == second == Reply(413, body=b"ok")
    assert receiver.accepted == 2


async def test_one_that_refuses_the_stream_within_the_body_is_asked_once_more(
    sender: EgressSender, authority: trustme.CA
) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        if peer.index == 0:
            peer.h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        else:
            peer.reply(stream)

    tls = server_tls(authority, "127.0.0.1")
    async with http2_receiving(answer, tls, reads_bodies=False) as receiver:
        outcome = await post(sender, receiver.url(), b"x" * 300_000, egress=HTTP2)

    assert kind(outcome) == "http-200"
    assert receiver.accepted == 2


async def test_a_window_that_never_opens_ends_at_the_deadline(
    sender: EgressSender, authority: trustme.CA
) -> None:
    tls = server_tls(authority, "127.0.0.1")
    async with http2_receiving(lambda peer, stream: None, tls, reads_bodies=False) as receiver:
        outcome = await post(sender, receiver.url(), b"x" * 300_000, timeout_ms=200, egress=HTTP2)
        await asyncio.wait_for(receiver.peers[0].gone.wait(), 5)

    assert kind(outcome) == "timeout"


async def test_redirects_are_replies_and_one_that_would_redirect_a_thousand_times_is_asked_once(
    sender: EgressSender, authority: trustme.CA
) -> None:
    def answer(peer: Http2Peer, stream: int) -> None:
        headers = [(":status", "308"), ("location", f"{receiver.url()}/{stream}"), ("content-length", "0")]
        peer.h2.send_headers(stream, headers, end_stream=True)

    async with http2_receiving(answer, server_tls(authority, "127.0.0.1")) as receiver:
        outcome = await post(sender, receiver.url(), egress=HTTP2)

    assert outcome == Reply(308)
    assert len(receiver.requests) == 1


async def test_a_hundred_hanging_requests_leave_nothing_behind(
    sender: EgressSender, authority: trustme.CA
) -> None:
    async with http2_receiving(lambda peer, stream: None, server_tls(authority, "127.0.0.1")) as receiver:
        endpoint = sender.endpoint(receiver.url(), headers=(), content_type="a/b", egress=HTTP2)
        outcomes = await asyncio.gather(*(start(sender, endpoint, timeout_ms=1_000) for _ in range(100)))
        await asyncio.gather(*receiver.handlers)

    assert [kind(outcome) for outcome in outcomes] == ["timeout"] * 100


async def test_cancel_all_and_close_end_what_is_under_way(
    sender: EgressSender, authority: trustme.CA
) -> None:
    arrived = asyncio.Event()
    async with http2_receiving(
        lambda peer, stream: arrived.set(), server_tls(authority, "127.0.0.1")
    ) as receiver:
        endpoint = sender.endpoint(receiver.url(), headers=(), content_type="a/b", egress=HTTP2)
        cancelled = start(sender, endpoint)
        await asyncio.wait_for(arrived.wait(), 5)
        sender.cancel_all()
        outcomes = [kind(await cancelled)]
        arrived.clear()
        closed = start(sender, endpoint)
        await asyncio.wait_for(arrived.wait(), 5)
        await sender.close()
        outcomes.append(kind(await closed))

    assert outcomes == ["reset", "reset"]
