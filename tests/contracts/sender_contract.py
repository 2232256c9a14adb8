"""What every :class:`connector.engine.ports.Sender` must do, over real sockets on 127.0.0.1.

A subclass gives the fixture ``make_sender``: a function that takes ``extra_ca_file``, ``lookup`` and
``allow_networks`` as keywords (127.0.0.0/8 unless said otherwise; plain http allowed) and returns a
sender, which the fixture closes. Receivers here are slow, broken and hostile in every way we know of.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import trustme

from connector.core.outcome import Failure, Reply
from connector.engine.ports import Endpoint, ForbiddenTarget, Sender
from connector.webhook.guard import Address
from connector.webhook.resolver import Answer, LookupFailed
from tests.support.raw_receiver import Peer, always, ok, receiving

MakeSender = Callable[..., Sender]

# How much later than its deadline a request may end: 50 ms are promised, the rest is a busy machine.
LATE_MS = 400


class Outcomes:
    """Collects what ``done`` was called with; a second call for one request fails the test."""

    def __init__(self) -> None:
        self.futures: dict[int, asyncio.Future[Reply | Failure]] = {}

    def done(self, context: int, outcome: Reply | Failure) -> None:
        self.futures[context].set_result(outcome)


def start(
    sender: Sender, endpoint: Endpoint, body: bytes = b"{}", timeout_ms: int = 5_000
) -> asyncio.Future[Reply | Failure]:
    """Post, and return what ``done`` will get."""
    outcomes = Outcomes()
    future = outcomes.futures[7] = asyncio.get_running_loop().create_future()
    sender.post(endpoint, b"webhook-id: evt_1\r\n", body, timeout_ms, 7, outcomes.done)
    assert not future.done(), "done must not be called before post returns"
    return future


async def post(
    sender: Sender, url: str, body: bytes = b"{}", timeout_ms: int = 5_000, **endpoint: Any
) -> Reply | Failure:
    prepared = sender.endpoint(url, **{"headers": (), "content_type": "application/json", **endpoint})
    return await start(sender, prepared, body, timeout_ms)


def kind(outcome: Reply | Failure) -> str:
    """The kind of a failure, or the status of a reply."""
    return outcome.kind if isinstance(outcome, Failure) else f"http-{outcome.status}"


class FixedLookup:
    """Answers from a table; a name that is not in it does not exist; ``hang`` never answers."""

    def __init__(self, table: dict[str, list[str]]) -> None:
        self.table = table
        self.asked: list[str] = []

    async def look_up(self, name: str) -> Answer:
        self.asked.append(name)
        if name == "hang.example":
            await asyncio.get_running_loop().create_future()
        if name not in self.table:
            raise LookupFailed(f"{name} does not resolve: no such name")
        addresses: list[Address] = [ip_address(text) for text in self.table[name]]
        return Answer(tuple(addresses), 60.0)

    async def close(self) -> None: ...


class RebindingLookup:
    """Answers one address after the other, and says that none of the answers lives."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def look_up(self, name: str) -> Answer:
        return Answer((ip_address(self.answers.pop(0)),), 0.0)

    async def close(self) -> None: ...


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(Path(path))
    return str(path)


def server_tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


class SenderContract:
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

    # ── receivers that waste time ───────────────────────────────────────────────────────────────

    async def test_one_that_never_answers_ends_at_the_deadline_and_loses_its_connection(
        self, make_sender: MakeSender
    ) -> None:
        sender = make_sender()
        gone = asyncio.Event()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.closed()
            gone.set()

        async with receiving(behave) as receiver:
            started_s = monotonic()
            outcome = await post(sender, receiver.url(), timeout_ms=300)
            took_ms = (monotonic() - started_s) * 1000
            await asyncio.wait_for(gone.wait(), 5)

        assert kind(outcome) == "timeout"
        assert 300 <= took_ms < 300 + LATE_MS

    @pytest.mark.parametrize(
        "prefix",
        [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n"],
        ids=["status line", "header", "body"],
    )
    async def test_one_that_sends_a_byte_at_a_time_ends_at_the_deadline(
        self, make_sender: MakeSender, prefix: bytes
    ) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(prefix)
            for byte in b"HTTP/1.1 200 OK and nothing more":
                await peer.send(bytes([byte]))
                await asyncio.sleep(0.03)

        async with receiving(behave) as receiver:
            started_s = monotonic()
            outcome = await post(sender, receiver.url(), timeout_ms=300)
            took_ms = (monotonic() - started_s) * 1000

        assert kind(outcome) == "timeout"
        assert 300 <= took_ms < 300 + LATE_MS

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

    async def test_the_deadline_covers_the_tls_handshake(self, make_sender: MakeSender) -> None:
        sender = make_sender()

        async with receiving(Peer.closed) as receiver:
            outcome = await post(sender, f"https://127.0.0.1:{receiver.port}/", timeout_ms=200)
            # The socket is freed as well: the receiver sees it close.
            await asyncio.wait_for(asyncio.gather(*receiver.handlers), 5)

        assert kind(outcome) == "timeout"

    async def test_the_deadline_covers_sending(self, make_sender: MakeSender) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            await asyncio.get_running_loop().create_future()

        async with receiving(behave) as receiver:
            outcome = await post(sender, receiver.url(), b"x" * 30_000_000, timeout_ms=300)

        assert kind(outcome) == "timeout"

    # ── receivers that waste memory ─────────────────────────────────────────────────────────────

    @pytest.mark.parametrize(
        ("start_with", "repeat"),
        [
            (b"HTTP/1.1 200 OK\r\n", b"X-Filler: yes\r\n" * 1000),
            (b"HTTP/1.1 200 OK\r\nX-Filler: ", b"x" * 10_000),
            (b"HTTP/1.1 200 ", b"O" * 10_000),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
            (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        ],
        ids=["headers", "one header", "status line", "100 continue", "103 early hints"],
    )
    async def test_an_endless_head_is_a_protocol_failure_and_is_not_read_on(
        self, make_sender: MakeSender, start_with: bytes, repeat: bytes
    ) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(start_with)
            while True:
                await peer.send(repeat)

        async with receiving(behave) as receiver:
            outcome = await post(sender, receiver.url())

        assert kind(outcome) == "protocol"
        assert receiver.peers[0].sent_bytes < 16_000_000

    @pytest.mark.parametrize("framing", [b"", b"Content-Length: 99999999999\r\n"], ids=["close", "length"])
    async def test_an_endless_body_is_cut_and_the_status_counts(
        self, make_sender: MakeSender, framing: bytes
    ) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
            while True:
                await peer.send(b"z" * 50_000)

        async with receiving(behave) as receiver:
            outcome = await post(sender, receiver.url())

        assert isinstance(outcome, Reply)
        assert (outcome.status, outcome.body) == (200, b"z" * 1024)
        assert receiver.peers[0].sent_bytes < 16_000_000

    async def test_a_compressed_reply_is_not_decompressed_and_yields_no_snippet(
        self, make_sender: MakeSender
    ) -> None:
        sender = make_sender()
        bomb = gzip.compress(b"0" * 50_000_000)
        async with receiving(always(ok(bomb, b"Content-Encoding: gzip\r\n"))) as receiver:
            outcome = await post(sender, receiver.url())

        assert isinstance(outcome, Reply)
        assert (outcome.status, outcome.body) == (200, b"")

    # ── receivers that break off or talk nonsense ───────────────────────────────────────────────

    @pytest.mark.parametrize(
        "answer",
        [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"],
        ids=["nothing", "half a head", "half a body"],
    )
    @pytest.mark.parametrize("is_reset", [False, True], ids=["end", "reset"])
    async def test_a_connection_that_breaks_before_the_reply_is_whole_is_a_reset_and_not_retried(
        self, make_sender: MakeSender, answer: bytes, is_reset: bool
    ) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(answer)
            if is_reset:
                peer.reset()

        async with receiving(behave) as receiver:
            outcome = await post(sender, receiver.url())

        assert kind(outcome) == "reset"
        assert len(receiver.requests) == 1

    @pytest.mark.parametrize(
        "answer",
        [
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 20x OK\r\n\r\n",
            b"HTTP/1.1 099 Low\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        ],
    )
    async def test_what_is_not_http_is_a_protocol_failure(
        self, make_sender: MakeSender, answer: bytes
    ) -> None:
        sender = make_sender()
        async with receiving(always(answer)) as receiver:
            outcome = await post(sender, receiver.url())

        assert kind(outcome) == "protocol"

    async def test_nobody_listening_is_a_connect_failure(self, make_sender: MakeSender) -> None:
        sender = make_sender()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            outcome = await post(sender, f"http://127.0.0.1:{unused.getsockname()[1]}/")

        assert kind(outcome) == "connect"

    # ── nothing of one reply gets into the next ─────────────────────────────────────────────────

    @pytest.mark.parametrize(
        "answer",
        [
            ok(b"first") + ok(b"smuggled"),
            ok(b"first") + b"garbage",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst and more than it said",
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nfirst",
        ],
        ids=["second reply", "garbage", "body longer than its length", "close"],
    )
    async def test_a_connection_with_bytes_after_the_reply_is_not_used_again(
        self, make_sender: MakeSender, answer: bytes
    ) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(answer if peer.index == 0 else ok(b"second"))
            await peer.closed()

        async with receiving(behave) as receiver:
            first = await post(sender, receiver.url())
            second = await post(sender, receiver.url())

        assert isinstance(first, Reply)
        assert isinstance(second, Reply)
        assert (first.body, second.body, receiver.accepted) == (b"first", b"second", 2)

    async def test_a_late_408_on_an_idle_connection_is_given_to_nobody(self, make_sender: MakeSender) -> None:
        sender = make_sender()
        gone = asyncio.Event()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(ok())
            if peer.index == 0:
                await peer.send(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
                await peer.closed()
                gone.set()
            await peer.closed()

        async with receiving(behave) as receiver:
            first = await post(sender, receiver.url())
            await asyncio.wait_for(gone.wait(), 5)
            second = await post(sender, receiver.url())

        assert (kind(first), kind(second), receiver.accepted) == ("http-200", "http-200", 2)

    async def test_a_connection_whose_reply_came_before_the_request_was_sent_is_not_used_again(
        self, make_sender: MakeSender
    ) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            if peer.index == 0:
                await peer.request_begun()
                await peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
                await asyncio.get_running_loop().create_future()
            await always(ok())(peer)

        async with receiving(behave) as receiver:
            first = await post(sender, receiver.url(), b"x" * 30_000_000)
            second = await post(sender, receiver.url())

        assert (kind(first), kind(second)) == ("http-413", "http-200")

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

    # ── the keep-alive race ─────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("is_reset", [False, True], ids=["end", "reset"])
    async def test_a_kept_connection_that_closes_without_a_byte_is_replaced_once(
        self, make_sender: MakeSender, is_reset: bool
    ) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(ok(b"%d" % peer.index))
            await peer.request()
            if is_reset:
                peer.reset()

        async with receiving(behave) as receiver:
            await post(sender, receiver.url())
            second = await post(sender, receiver.url())

        assert isinstance(second, Reply)
        assert (second.status, second.body) == (200, b"1")
        assert len(receiver.requests) == 3

    async def test_the_replacement_is_not_replaced(self, make_sender: MakeSender) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            if peer.index == 0:
                await peer.request()
                await peer.send(ok())
            await peer.request()

        async with receiving(behave) as receiver:
            await post(sender, receiver.url())
            second = await post(sender, receiver.url())

        assert kind(second) == "reset"
        assert len(receiver.requests) == 3

    async def test_a_kept_connection_that_breaks_within_the_reply_is_not_replaced(
        self, make_sender: MakeSender
    ) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(ok())
            await peer.request()
            await peer.send(b"H")

        async with receiving(behave) as receiver:
            await post(sender, receiver.url())
            second = await post(sender, receiver.url())

        assert kind(second) == "reset"
        assert len(receiver.requests) == 2

    async def test_a_connection_closed_while_idle_is_noticed(self, make_sender: MakeSender) -> None:
        sender = make_sender()

        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(ok())

        async with receiving(behave) as receiver:
            outcomes = [kind(await post(sender, receiver.url())) for _ in range(20)]

        assert outcomes == ["http-200"] * 20
        assert len(receiver.requests) == 20

    # ── TLS ─────────────────────────────────────────────────────────────────────────────────────

    async def test_https_works_with_a_certificate_of_the_deployments_authority(
        self, make_sender: MakeSender, authority: trustme.CA, ca_file: str
    ) -> None:
        lookup = FixedLookup({"partner.example": ["127.0.0.1"]})
        sender = make_sender(extra_ca_file=ca_file, lookup=lookup)
        async with receiving(always(ok()), server_tls(authority, "partner.example")) as receiver:
            url = receiver.url(host="partner.example")
            outcomes = [kind(await post(sender, url)) for _ in range(3)]

        assert outcomes == ["http-200"] * 3
        assert receiver.accepted == 1
        assert receiver.requests[0].headers["host"] == f"partner.example:{receiver.port}"

    async def test_a_certificate_of_an_unknown_authority_is_a_tls_failure(
        self, make_sender: MakeSender, authority: trustme.CA
    ) -> None:
        sender = make_sender()
        async with receiving(always(ok()), server_tls(authority, "127.0.0.1")) as receiver:
            outcome = await post(sender, receiver.url())

        assert isinstance(outcome, Failure)
        assert outcome.kind == "tls"
        assert "certificate" in outcome.detail
        assert receiver.requests == []

    async def test_a_certificate_for_another_name_is_a_tls_failure(
        self, make_sender: MakeSender, authority: trustme.CA, ca_file: str
    ) -> None:
        lookup = FixedLookup({"partner.example": ["127.0.0.1"]})
        sender = make_sender(extra_ca_file=ca_file, lookup=lookup)
        async with receiving(always(ok()), server_tls(authority, "other.example")) as receiver:
            outcome = await post(sender, receiver.url(host="partner.example"))

        assert isinstance(outcome, Failure)
        assert outcome.kind == "tls"
        assert "partner.example" in outcome.detail

    async def test_https_to_a_plain_server_is_a_tls_failure(self, make_sender: MakeSender) -> None:
        async def behave(peer: Peer) -> None:
            await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await peer.closed()

        sender = make_sender()
        async with receiving(behave) as receiver:
            outcome = await post(sender, f"https://127.0.0.1:{receiver.port}/")

        assert kind(outcome) == "tls"

    async def test_a_tls_connection_closed_while_idle_is_noticed(
        self, make_sender: MakeSender, authority: trustme.CA, ca_file: str
    ) -> None:
        async def behave(peer: Peer) -> None:
            await peer.request()
            await peer.send(ok())
            peer.close()

        sender = make_sender(extra_ca_file=ca_file)
        async with receiving(behave, server_tls(authority, "127.0.0.1")) as receiver:
            outcomes = [kind(await post(sender, receiver.url())) for _ in range(5)]

        assert outcomes == ["http-200"] * 5

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
            resolving = start(
                sender, sender.endpoint("http://hang.example/", headers=(), content_type="a/b")
            )

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
            outcomes = await asyncio.gather(*(start(sender, endpoint, timeout_ms=200) for _ in range(100)))
            await asyncio.gather(*receiver.handlers)

        assert [kind(outcome) for outcome in outcomes] == ["timeout"] * 100
