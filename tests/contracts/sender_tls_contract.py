"""TLS as every :class:`connector.engine.ports.Sender` must do it, over real sockets on 127.0.0.1."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest
import trustme

from connector.core.outcome import Failure, Reply
from connector.core.subscription import TlsIdentity
from connector.engine.ports import UnusableIdentity
from connector.webhook.identity import read_identity
from tests.support.posting import LATE_MS, FixedLookup, MakeSender, kind, post, post_large_then_small
from tests.support.raw_receiver import Peer, always, answering_early, ok, receiving

SERVER_HELLO_1_1 = bytes.fromhex("160302002a" "02000026" "0302" + "00" * 32 + "00" "002f" "00")
"""What a server answers that knows nothing later than TLS 1.1; no OpenSSL of today would."""


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


def server_that_asks(authority: trustme.CA) -> ssl.SSLContext:
    """Of a server at 127.0.0.1 that wants a certificate of ``authority``."""
    context = server_tls(authority, "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    return context


def identity_of(folder: Path, authority: trustme.CA, name: str, ca_file: str = "") -> TlsIdentity:
    """An identity by that name, in files of ``folder`` that are written over."""
    certificate = authority.issue_cert(name)
    certificate_file, key_file = folder / "client.crt", folder / "client.key"
    certificate_file.write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    key_file.write_bytes(certificate.private_key_pem.bytes())
    return read_identity(
        certificate_file=certificate_file, key_file=key_file, ca_file=Path(ca_file) if ca_file else None
    )


async def naming(peer: Peer) -> None:
    """Answer every request with the name in the sender's certificate."""
    while True:
        await peer.request()
        await peer.send(ok(",".join(peer.client_names).encode()))


class TlsContract:
    """Subclass, and give ``make_sender``."""

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

    async def test_a_file_of_authorities_that_is_of_no_use_is_refused_when_the_sender_is_made(
        self, make_sender: MakeSender, tmp_path: Path
    ) -> None:
        with pytest.raises(UnusableIdentity, match=r"none\.pem cannot be used \(No such file"):
            make_sender(extra_ca_file=str(tmp_path / "none.pem"))

    async def test_a_file_of_authorities_that_is_lost_before_it_is_needed_is_refused_with_the_endpoint(
        self, make_sender: MakeSender, authority: trustme.CA, tmp_path: Path
    ) -> None:
        file = tmp_path / "lost.pem"
        authority.cert_pem.write_to_path(file)
        sender = make_sender(extra_ca_file=str(file))
        file.unlink()

        with pytest.raises(UnusableIdentity, match=r"lost\.pem cannot be used \(No such file"):
            sender.endpoint("https://a.example/", headers=(), content_type="a/b")

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

    @pytest.mark.parametrize(
        ("status", "body_bytes"), [(413, 1_000_000), (413, 30_000_000), (200, 30_000_000)]
    )
    async def test_a_tls_connection_whose_reply_came_before_the_request_was_read_is_not_used_again(
        self, make_sender: MakeSender, authority: trustme.CA, ca_file: str, status: int, body_bytes: int
    ) -> None:
        receiver = receiving(answering_early(status), server_tls(authority, "127.0.0.1"))
        kinds = await post_large_then_small(make_sender(extra_ca_file=ca_file), receiver, body_bytes)

        assert kinds == [f"http-{status}", "http-200"]

    async def test_a_tls_connection_is_used_again_after_a_large_request_that_was_accepted(
        self, make_sender: MakeSender, authority: trustme.CA, ca_file: str
    ) -> None:
        sender = make_sender(extra_ca_file=ca_file)
        async with receiving(always(ok()), server_tls(authority, "127.0.0.1")) as receiver:
            outcomes = [kind(await post(sender, receiver.url(), b"x" * 3_000_000)) for _ in range(3)]

        assert outcomes == ["http-200"] * 3
        assert receiver.accepted == 1

    async def test_the_deadline_covers_the_tls_handshake(self, make_sender: MakeSender) -> None:
        sender = make_sender()

        async with receiving(Peer.closed) as receiver:
            outcome = await post(sender, f"https://127.0.0.1:{receiver.port}/", timeout_ms=200)
            # The socket is freed as well: the receiver sees it close.
            await asyncio.wait_for(asyncio.gather(*receiver.handlers), 5)

        assert kind(outcome) == "timeout"

    async def test_a_tls_handshake_a_byte_at_a_time_ends_at_the_deadline(
        self, make_sender: MakeSender
    ) -> None:
        async def behave(peer: Peer) -> None:
            await peer.request_begun()
            for byte in SERVER_HELLO_1_1:
                await peer.send(bytes([byte]))
                await asyncio.sleep(0.03)

        sender = make_sender()
        async with receiving(behave) as receiver:
            started_s = monotonic()
            outcome = await post(sender, f"https://127.0.0.1:{receiver.port}/", timeout_ms=600)
            took_ms = (monotonic() - started_s) * 1000
            await asyncio.wait_for(asyncio.gather(*receiver.handlers), 5)

        assert kind(outcome) == "timeout"
        assert 600 <= took_ms < 600 + LATE_MS

    async def test_a_server_that_speaks_only_tls_1_1_is_a_tls_failure(self, make_sender: MakeSender) -> None:
        async def behave(peer: Peer) -> None:
            await peer.request_begun()
            await peer.send(SERVER_HELLO_1_1)
            await peer.closed()

        sender = make_sender()
        async with receiving(behave) as receiver:
            outcome = await post(sender, f"https://127.0.0.1:{receiver.port}/")

        assert isinstance(outcome, Failure)
        assert outcome.kind == "tls"
        assert "UNSUPPORTED_PROTOCOL" in outcome.detail

    async def test_tls_1_2_is_spoken(
        self, make_sender: MakeSender, authority: trustme.CA, ca_file: str
    ) -> None:
        tls = server_tls(authority, "127.0.0.1")
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        sender = make_sender(extra_ca_file=ca_file)
        async with receiving(always(ok()), tls) as receiver:
            outcome = await post(sender, receiver.url())

        assert kind(outcome) == "http-200"

    # ── identities ──────────────────────────────────────────────────────────────────────────────

    async def test_a_receiver_that_asks_for_a_certificate_is_shown_the_endpoints_own(
        self, make_sender: MakeSender, authority: trustme.CA, ca_file: str, tmp_path: Path
    ) -> None:
        sender = make_sender(extra_ca_file=ca_file)
        identity = identity_of(tmp_path, authority, "acme.example")
        async with receiving(naming, server_that_asks(authority)) as receiver:
            outcomes = [await post(sender, receiver.url(), tls=identity) for _ in range(3)]

        assert outcomes == [Reply(200, body=b"acme.example")] * 3
        assert receiver.accepted == 1

    async def test_endpoints_of_two_identities_at_one_host_never_share_a_connection(
        self, make_sender: MakeSender, authority: trustme.CA, ca_file: str, tmp_path: Path
    ) -> None:
        sender = make_sender(extra_ca_file=ca_file)
        folders = [tmp_path / "acme", tmp_path / "bolt"]
        for folder in folders:
            folder.mkdir()
        acme, bolt = (identity_of(folder, authority, f"{folder.name}.example") for folder in folders)
        asking = server_that_asks(authority)
        asking.verify_mode = ssl.CERT_OPTIONAL
        async with receiving(naming, asking) as receiver:
            outcomes = [
                await post(sender, receiver.url(f"/{number}"), tls=identity)
                for number in range(3)
                for identity in (acme, bolt, None)
            ]

        assert outcomes == [
            Reply(200, body=b"acme.example"),
            Reply(200, body=b"bolt.example"),
            Reply(200),
        ] * 3  # fmt: skip
        assert receiver.accepted == 3

    async def test_a_rotated_certificate_is_shown_by_the_endpoint_that_is_prepared_then(
        self, make_sender: MakeSender, authority: trustme.CA, ca_file: str, tmp_path: Path
    ) -> None:
        sender = make_sender(extra_ca_file=ca_file)
        async with receiving(naming, server_that_asks(authority)) as receiver:
            old = identity_of(tmp_path, authority, "old.example")
            first = await post(sender, receiver.url(), tls=old)
            new = identity_of(tmp_path, authority, "new.example")
            second = await post(sender, receiver.url(), tls=new)

        assert (first, second) == (Reply(200, body=b"old.example"), Reply(200, body=b"new.example"))

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_a_receiver_that_misses_a_certificate_and_says_so_is_a_tls_failure(
        self, make_sender: MakeSender, authority: trustme.CA, ca_file: str, version: ssl.TLSVersion
    ) -> None:
        asking = server_that_asks(authority)
        asking.maximum_version = version
        sender = make_sender(extra_ca_file=ca_file)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            # asyncio's own server hangs up without saying why.
            refusing = asyncio.create_task(asyncio.to_thread(_refuse_one, listener, asking))
            outcome = await post(sender, f"https://127.0.0.1:{listener.getsockname()[1]}/")
            await refusing

        assert isinstance(outcome, Failure)
        assert outcome.kind == "tls"
        assert "ALERT" in outcome.detail

    async def test_authorities_of_its_own_are_the_only_ones_an_endpoint_trusts(
        self, make_sender: MakeSender, authority: trustme.CA, ca_file: str, tmp_path: Path
    ) -> None:
        other = trustme.CA()
        other_file = tmp_path / "other.pem"
        other.cert_pem.write_to_path(other_file)
        own = read_identity(certificate_file=None, key_file=None, ca_file=other_file)
        sender = make_sender(extra_ca_file=ca_file)
        async with (
            receiving(always(ok()), server_tls(other, "127.0.0.1")) as of_other,
            receiving(always(ok()), server_tls(authority, "127.0.0.1")) as of_deployment,
        ):
            outcomes = [
                kind(await post(sender, receiver.url(), tls=identity))
                for receiver in (of_other, of_deployment)
                for identity in (own, None)
            ]

        assert outcomes == ["http-200", "tls", "tls", "http-200"]

    async def test_an_identity_that_cannot_be_used_any_more_is_refused_when_the_endpoint_is_made(
        self, make_sender: MakeSender, authority: trustme.CA, tmp_path: Path
    ) -> None:
        identity = identity_of(tmp_path, authority, "acme.example")
        (tmp_path / "client.key").unlink()

        with pytest.raises(UnusableIdentity, match=r"client\.key cannot be used"):
            make_sender().endpoint("https://a.example/", headers=(), content_type="a/b", tls=identity)


def _refuse_one(listener: socket.socket, tls: ssl.SSLContext) -> None:
    """Take one connection, and refuse it as ``tls`` says. What comes meanwhile is read: to close before would
    be a reset, which may overtake the alert."""
    accepted, _ = listener.accept()
    wrapped = tls.wrap_socket(accepted.dup(), server_side=True, do_handshake_on_connect=False)
    with accepted as raw, wrapped:
        with suppress(ssl.SSLError):
            wrapped.do_handshake()
        raw.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while raw.recv(65536):
                pass
