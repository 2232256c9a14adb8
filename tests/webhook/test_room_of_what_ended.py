"""Whoever is told what came of a request may need the room of its connection at once: as many may be under
way as there is room for. So it has come back by then, by both senders, whatever came of the request."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme

from connector.core.outcome import Failure, Reply
from connector.engine.ports import Endpoint, Sender
from connector.webhook.room import Room
from tests.contracts.sender_tls_contract import authority, ca_file, server_tls
from tests.support.posting import FixedLookup, MakeSender, kind
from tests.support.raw_receiver import Peer, always, ok, receiving
from tests.support.senders import BOTH, senders_of

__all__ = ["authority", "ca_file"]


@pytest.fixture(params=BOTH)
async def make_sender(request: pytest.FixtureRequest, ca_file: str) -> AsyncIterator[MakeSender]:
    async with senders_of(request.param, extra_ca_file=ca_file) as make:
        yield make


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest, authority: trustme.CA) -> ssl.SSLContext | None:
    return server_tls(authority, "127.0.0.1") if request.param == "https" else None


def endpoint_at(sender: Sender, url: str) -> Endpoint:
    return sender.endpoint(url, headers=(), content_type="a/b")


async def one_upon_the_other(sender: Sender, *urls: str, timeout_ms: int = 5_000) -> list[str]:
    """What comes of POSTs of which each begins within the ``done`` of the one before. Only the first has but
    ``timeout_ms``."""
    outcomes: list[str] = []
    has_ended = asyncio.Event()

    def done(left: tuple[str, ...], outcome: Reply | Failure) -> None:
        outcomes.append(kind(outcome))
        if left:
            sender.post(endpoint_at(sender, left[0]), b"", b"{}", 5_000, left[1:], done)
        else:
            has_ended.set()

    sender.post(endpoint_at(sender, urls[0]), b"", b"{}", timeout_ms, urls[1:], done)
    await asyncio.wait_for(has_ended.wait(), 20)
    return outcomes


@pytest.mark.parametrize(
    ("reply", "outcome_due"),
    [
        (ok(headers=b"Connection: close\r\n"), "http-200"),
        (ok() + b"more", "http-200"),
        (b"this is not HTTP\r\n\r\n", "protocol"),
    ],
    ids=["closing", "with a stray rest", "nonsense"],
)
async def test_a_connection_that_cannot_be_kept_has_given_its_room_back_when_its_outcome_is_told(
    make_sender: MakeSender, tls: ssl.SSLContext | None, reply: bytes, outcome_due: str
) -> None:
    room = Room(1)
    sender = make_sender(room=room)
    async with receiving(always(reply), tls) as ending, receiving(always(ok())) as healthy:
        outcomes = await one_upon_the_other(sender, ending.url(), healthy.url())
        await sender.close()

    assert outcomes == [outcome_due, "http-200"]
    assert room.taken == 0


async def test_a_request_without_a_reply_has_given_its_room_back_when_its_time_is_up(
    make_sender: MakeSender, tls: ssl.SSLContext | None
) -> None:
    room = Room(1)
    sender = make_sender(room=room)
    async with receiving(Peer.closed, tls) as hanging, receiving(always(ok())) as healthy:
        outcomes = await one_upon_the_other(sender, hanging.url(), healthy.url(), timeout_ms=200)
        await sender.close()

    assert outcomes == ["timeout", "http-200"]
    assert room.taken == 0


async def test_a_connection_never_opened_has_given_its_room_back_when_the_time_is_up(
    make_sender: MakeSender,
) -> None:
    room = Room(1)
    sender = make_sender(room=room, lookup=FixedLookup({}))
    async with receiving(always(ok())) as healthy:
        urls = "http://hang.example/", healthy.url()
        outcomes = await one_upon_the_other(sender, *urls, timeout_ms=200)
        await sender.close()

    assert outcomes == ["timeout", "http-200"]
    assert room.taken == 0


async def test_what_is_cancelled_has_given_its_room_back_when_it_is_told(make_sender: MakeSender) -> None:
    room = Room(1)
    sender = make_sender(room=room)
    asked = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.closed()

    async with receiving(behave) as hanging, receiving(always(ok())) as healthy:
        under_way = asyncio.create_task(one_upon_the_other(sender, hanging.url(), healthy.url()))
        await asked.wait()
        sender.cancel_all()
        outcomes = await under_way

    assert outcomes == ["reset", "http-200"]
