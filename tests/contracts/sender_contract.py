"""What every :class:`connector.engine.ports.Sender` must do, over real sockets on 127.0.0.1.

A subclass gives the fixture ``make_sender``: a function that takes ``extra_ca_file``, ``lookup``,
``guard`` (``LOOPBACK`` unless said otherwise) as keywords and returns a sender that may use plain http, which
the fixture closes. Hostile receivers and TLS have contracts of their own, which this one holds.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Network

import pytest

from connector.core.judging import retry_after_ms
from connector.core.outcome import Failure, Reply
from connector.engine.ports import ForbiddenTarget
from connector.webhook.guard import Guard
from tests.contracts.sender_hostile_contract import HostileContract
from tests.contracts.sender_tls_contract import TlsContract
from tests.support.posting import (
    LOOPBACK,
    BrokenLookup,
    FixedLookup,
    MakeSender,
    RebindingLookup,
    kind,
    post,
    start,
)
from tests.support.raw_receiver import Peer, always, ok, receiving

HOUSE = Guard(allowed=LOOPBACK.allowed, forbidden=(IPv4Network("127.0.0.0/24"),))


class SenderContract(TlsContract, HostileContract):
    """Subclass, and give ``make_sender``."""

    # ── what is sent ────────────────────────────────────────────────────────────────────────────

    async def test_the_request_is_one_plain_post_with_the_headers_and_body_given(
        self, make_sender: MakeSender
    ) -> None:
        sender = make_sender()
        async with receiving(always(ok())) as receiver:
            outcome = await post(
                sender,
                receiver.url("/hooks/1?a=b"),
                b'{"a":1}',
                headers=[("Authorization", "Bearer t")],
                content_type="application/cloudevents+json",
            )

        request = receiver.requests[0]
        assert kind(outcome) == "http-200"
        assert request.line == "POST /hooks/1?a=b HTTP/1.1"
        assert request.body == b'{"a":1}'
        assert {name: request.headers[name] for name in sorted(request.headers)} == {
            "authorization": "Bearer t",
            "content-length": "7",
            "content-type": "application/cloudevents+json",
            "host": f"127.0.0.1:{receiver.port}",
            "user-agent": "webhook-connector/0.1.0",
            "webhook-id": "evt_1",
        }

    async def test_a_large_body_arrives_whole(self, make_sender: MakeSender) -> None:
        sender = make_sender()
        async with receiving(always(ok())) as receiver:
            outcome = await post(sender, receiver.url(), b"x" * 3_000_000)

        assert kind(outcome) == "http-200"
        assert receiver.requests[0].body == b"x" * 3_000_000

    async def test_requests_that_follow_each_other_share_a_connection(self, make_sender: MakeSender) -> None:
        sender = make_sender()
        async with receiving(always(ok())) as receiver:
            for _ in range(5):
                await post(sender, receiver.url())

        assert (receiver.accepted, len(receiver.requests)) == (1, 5)

    # ── what comes back ─────────────────────────────────────────────────────────────────────────

    async def test_the_reply_keeps_status_the_headers_that_matter_and_a_snippet(
        self, make_sender: MakeSender
    ) -> None:
        sender = make_sender()
        answer = (
            b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 120\r\n"
            b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n"
            b"Content-Length: 2000\r\n\r\n" + b"y" * 2000
        )
        async with receiving(always(answer)) as receiver:
            outcome = await post(sender, receiver.url())

        assert outcome == Reply(
            status=503,
            retry_after=b"120",
            date=b"Sun, 06 Nov 1994 08:49:37 GMT",
            body=b"y" * 1024,
            content_type=b"text/plain",
        )

    @pytest.mark.parametrize("values", [("3600", "0"), ("0", "3600"), ("3600", "soon"), ("soon", "3600")])
    async def test_of_two_retry_afters_the_longest_counts(
        self, make_sender: MakeSender, values: tuple[str, str]
    ) -> None:
        sender = make_sender()
        asked = "".join(f"Retry-After: {value}\r\n" for value in values)
        answer = f"HTTP/1.1 503 X\r\n{asked}Content-Length: 0\r\n\r\n"
        async with receiving(always(answer.encode())) as receiver:
            outcome = await post(sender, receiver.url())

        assert isinstance(outcome, Reply)
        assert retry_after_ms(outcome, now_ms=0) == 3_600_000

    @pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
    async def test_redirects_are_replies_and_not_followed(self, make_sender: MakeSender, status: int) -> None:
        sender = make_sender()
        async with receiving(always(ok())) as inside:
            head = f"HTTP/1.1 {status} X\r\nLocation: {inside.url()}\r\nRefresh: 0; url={inside.url()}\r\n"
            async with receiving(always(f"{head}Content-Length: 0\r\n\r\n".encode())) as receiver:
                outcome = await post(sender, receiver.url())

        assert kind(outcome) == f"http-{status}"
        assert (inside.accepted, len(receiver.requests)) == (0, 1)

    async def test_one_that_would_redirect_a_thousand_times_is_asked_once(
        self, make_sender: MakeSender
    ) -> None:
        async def behave(peer: Peer) -> None:
            for hop in range(1_000):
                await peer.request()
                await peer.send(b"HTTP/1.1 308 X\r\nLocation: /%d\r\nContent-Length: 0\r\n\r\n" % hop)

        sender = make_sender()
        async with receiving(behave) as receiver:
            outcome = await post(sender, receiver.url())

        assert kind(outcome) == "http-308"
        assert [request.line for request in receiver.requests] == ["POST /hook HTTP/1.1"]

    @pytest.mark.parametrize(
        ("answer", "body"),
        [
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
            (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
            (b"HTTP/1.1 200 \r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        ],
        ids=["chunked", "no content", "after 100", "http 1.0", "close"],
    )
    async def test_every_ordinary_kind_of_reply_is_understood(
        self, make_sender: MakeSender, answer: bytes, body: bytes
    ) -> None:
        sender = make_sender()
        async with receiving(always(answer)) as receiver:
            first = await post(sender, receiver.url())
            second = await post(sender, receiver.url())

        assert isinstance(first, Reply)
        assert first == second
        assert first.body == body

    async def test_a_body_that_ends_with_the_connection_is_whole(self, make_sender: MakeSender) -> None:
        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")

        sender = make_sender()
        async with receiving(behave) as receiver:
            outcome = await post(sender, receiver.url())

        assert isinstance(outcome, Reply)
        assert outcome.body == b"all of it"

    # ── the deadline, and connections ────────────────────────────────────────────────────────────

    async def test_the_deadline_covers_the_name_look_up(self, make_sender: MakeSender) -> None:
        sender = make_sender(lookup=FixedLookup({}))

        outcome = await post(sender, "http://hang.example/hook", timeout_ms=200)

        assert kind(outcome) == "timeout"

    async def test_the_deadline_covers_connecting(self, make_sender: MakeSender) -> None:
        sender = make_sender()
        with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
            # A full queue of connections nobody accepts: the next one hangs.
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for client in (first, second):
                client.setblocking(False)
                client.connect_ex(listener.getsockname())
            outcome = await post(sender, f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout_ms=200)

        assert kind(outcome) == "timeout"

    async def test_the_deadline_covers_sending(self, make_sender: MakeSender) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            await asyncio.get_running_loop().create_future()

        async with receiving(behave) as receiver:
            outcome = await post(sender, receiver.url(), b"x" * 30_000_000, timeout_ms=300)

        assert kind(outcome) == "timeout"

    async def test_nobody_listening_is_a_connect_failure(self, make_sender: MakeSender) -> None:
        sender = make_sender()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            outcome = await post(sender, f"http://127.0.0.1:{unused.getsockname()[1]}/")

        assert kind(outcome) == "connect"

    async def test_headers_of_one_reply_are_not_kept_for_the_next(self, make_sender: MakeSender) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(ok(b"first", b"Retry-After: 5\r\nContent-Type: a/b\r\n"))
            await peer.request()
            await peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
            await peer.closed()

        async with receiving(behave) as receiver:
            await post(sender, receiver.url())
            second = await post(sender, receiver.url())

        assert second == Reply(status=204)
        assert receiver.accepted == 1

    # ── names and addresses ─────────────────────────────────────────────────────────────────────

    async def test_a_name_that_does_not_exist_is_a_dns_failure(self, make_sender: MakeSender) -> None:
        sender = make_sender(lookup=FixedLookup({}))

        outcome = await post(sender, "http://nowhere.example/hook")

        assert isinstance(outcome, Failure)
        assert outcome.kind == "dns"
        assert "nowhere.example" in outcome.detail

    @pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://[::1]/", "http://[::ffff:10.0.0.1]/"])
    async def test_a_forbidden_address_in_the_url_is_refused_when_the_endpoint_is_made(
        self, make_sender: MakeSender, url: str
    ) -> None:
        sender = make_sender()

        with pytest.raises(ForbiddenTarget, match="allow_networks"):
            sender.endpoint(url, headers=(), content_type="application/json")

    async def test_a_name_with_one_forbidden_address_among_its_answers_is_not_connected_to(
        self, make_sender: MakeSender
    ) -> None:
        lookup = FixedLookup({"partner.example": ["127.0.0.1", "10.0.0.1"]})
        sender = make_sender(lookup=lookup)
        async with receiving(always(ok())) as receiver:
            outcome = await post(sender, receiver.url(host="partner.example"))

        assert isinstance(outcome, Failure)
        assert outcome.kind == "forbidden"
        assert "10.0.0.1 is in 10.0.0.0/8 (private)" in outcome.detail
        assert receiver.accepted == 0

    async def test_what_is_forbidden_in_what_is_allowed_is_refused_when_the_endpoint_is_made(
        self, make_sender: MakeSender
    ) -> None:
        sender = make_sender(guard=HOUSE)

        with pytest.raises(ForbiddenTarget, match=r"127\.0\.0\.0/24, which forbid_networks names"):
            sender.endpoint("http://127.0.0.1/", headers=(), content_type="application/json")

    async def test_what_is_forbidden_in_what_is_allowed_is_not_connected_to(
        self, make_sender: MakeSender
    ) -> None:
        lookup = FixedLookup({"partner.example": ["127.0.0.1"]})
        sender = make_sender(guard=HOUSE, lookup=lookup)
        async with receiving(always(ok())) as receiver:
            outcome = await post(sender, receiver.url(host="partner.example"))

        assert isinstance(outcome, Failure)
        assert outcome.kind == "forbidden"
        assert "127.0.0.1 is in 127.0.0.0/24, which forbid_networks names" in outcome.detail
        assert receiver.accepted == 0

    async def test_a_name_is_looked_up_once_and_the_address_that_was_vetted_is_connected_to(
        self, make_sender: MakeSender
    ) -> None:
        lookup = RebindingLookup("127.0.0.1", "10.0.0.1")
        sender = make_sender(lookup=lookup)
        async with receiving(always(ok())) as receiver:
            outcome = await post(sender, receiver.url(host="rebinding.example"))

        assert kind(outcome) == "http-200"
        assert receiver.requests[0].headers["host"] == f"rebinding.example:{receiver.port}"
        assert lookup.answers == ["10.0.0.1"]

    async def test_a_name_that_leads_inside_later_is_not_connected_to_then(
        self, make_sender: MakeSender
    ) -> None:
        sender = make_sender(lookup=RebindingLookup("127.0.0.1", "10.0.0.1", "127.0.0.1"))
        answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        async with receiving(always(answer)) as receiver:
            outcomes = [kind(await post(sender, receiver.url(host="rebinding.example"))) for _ in range(3)]

        assert outcomes == ["http-200", "forbidden", "http-200"]

    @pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
    async def test_a_proxy_in_the_environment_is_not_used(
        self, make_sender: MakeSender, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        async with receiving(always(ok())) as proxy, receiving(always(ok())) as receiver:
            monkeypatch.setenv(name, proxy.url(""))
            outcome = await post(make_sender(), receiver.url())

        assert kind(outcome) == "http-200"
        assert (proxy.accepted, receiver.accepted) == (0, 1)

    # ── what nobody foresaw ─────────────────────────────────────────────────────────────────────

    async def test_an_error_that_nobody_foresaw_is_a_failure_and_gives_its_place_back(
        self, make_sender: MakeSender
    ) -> None:
        lookup = BrokenLookup({"partner.example": ["127.0.0.1"]})
        sender = make_sender(lookup=lookup)
        async with receiving(always(ok())) as receiver:
            url = receiver.url(host="partner.example")
            # More than there are places for one host.
            broken = await asyncio.gather(*(post(sender, url) for _ in range(300)))
            lookup.is_mended = True
            after = await post(sender, url)

        assert {(kind(outcome), "RuntimeError" in str(outcome)) for outcome in broken} == {("protocol", True)}
        assert kind(after) == "http-200"

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    async def test_cancel_all_ends_every_request_with_a_reset(self, make_sender: MakeSender) -> None:
        sender = make_sender(lookup=FixedLookup({}))

        async def behave(peer: Peer) -> None:
            await peer.request()
            arrived.set()
            await peer.closed()

        arrived = asyncio.Event()
        async with receiving(behave) as receiver:
            sent = start(sender, sender.endpoint(receiver.url(), headers=(), content_type="a/b"))
            await asyncio.wait_for(arrived.wait(), 5)
            resolving = start(sender, sender.endpoint("http://hang.example/", headers=(), content_type="a/b"))

            sender.cancel_all()

            assert [kind(await future) for future in (sent, resolving)] == ["reset", "reset"]

    async def test_close_ends_what_is_under_way_and_post_after_it_fails(
        self, make_sender: MakeSender
    ) -> None:
        sender = make_sender()
        async with receiving(Peer.closed) as receiver:
            endpoint = sender.endpoint(receiver.url(), headers=(), content_type="a/b")
            under_way = start(sender, endpoint)

            await sender.close()

            assert kind(await under_way) == "reset"
            assert kind(await start(sender, endpoint)) == "reset"

    async def test_a_hundred_hanging_requests_leave_nothing_behind(self, make_sender: MakeSender) -> None:
        sender = make_sender()
        async with receiving(Peer.closed) as receiver:
            endpoint = sender.endpoint(receiver.url(), headers=(), content_type="a/b")
            outcomes = await asyncio.gather(*(start(sender, endpoint, timeout_ms=1_000) for _ in range(100)))
            await asyncio.gather(*receiver.handlers)

        assert [kind(outcome) for outcome in outcomes] == ["timeout"] * 100
