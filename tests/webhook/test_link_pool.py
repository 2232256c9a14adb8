"""Who waits for a link of the second sender is handed what comes free, and nobody overtakes it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpcore
import pytest
import trustme

from connector.core.outcome import Failure, Reply
from connector.webhook.link import Link
from connector.webhook.link_opener import LinkOpener, Stage
from connector.webhook.link_pool import LinkPool
from connector.webhook.place import Place
from connector.webhook.resolver import Resolver
from connector.webhook.room import Room
from connector.webhook.target import parse_target
from tests.contracts.sender_tls_contract import authority, ca_file, server_tls
from tests.support.http2_receiver import http2_receiving
from tests.support.posting import LOOPBACK, FixedLookup
from tests.support.raw_receiver import always, ok, receiving

__all__ = ["authority", "ca_file"]


@dataclass
class Wanting:
    """Whoever wants a link."""

    deadline_s: float = 0.0  # of use for names with several addresses only

    def reached(self, stage: Stage) -> None: ...


class Bed:
    """A pool with room for one link, or so many, to one receiver: over HTTP/2 if there is TLS."""

    def __init__(self, url: str, *, links_max: int = 1, tls: ssl.SSLContext | None = None) -> None:
        self.room = Room(links_max)
        self._resolver = Resolver(FixedLookup({}), budget_ms=1_000)
        self.pool = LinkPool(
            LinkOpener(self._resolver, LOOPBACK),
            self.room,
            links_per_place_max=links_max,
            life_ms=60_000,
            idle_ms=60_000,
        )
        target = parse_target(url, allow_http=True, guard=LOOPBACK)
        self.place = Place(target, None, tls, wants_http2=tls is not None)
        self.url = url

    def take(self, *, anew: bool = False) -> asyncio.Task[Link | Failure]:
        return asyncio.create_task(self.pool.take(self.place, Wanting(), anew=anew))

    async def link(self) -> Link:
        """One that has carried a request, and is not left yet."""
        taken = await self.take()
        assert isinstance(taken, Link)
        headers = [(b"Host", b"receiver"), (b"Content-Length", b"0")]
        answer = await taken.carry(httpcore.Request(b"POST", self.url, headers=headers))
        assert isinstance(answer, Reply)
        return taken

    async def close(self) -> None:
        await self.pool.close()
        await self._resolver.close()


@pytest.fixture
async def bed() -> AsyncIterator[Bed]:
    async with receiving(always(ok())) as receiver:
        bed = Bed(receiver.url())
        yield bed
        await bed.close()


async def test_who_comes_in_the_turn_in_which_a_link_comes_free_does_not_get_it_before_who_waits(
    bed: Bed,
) -> None:
    link = await bed.link()
    waiting = bed.take()
    await asyncio.sleep(0)
    newcomer = bed.take()

    bed.pool.leave(link)
    done, _ = await asyncio.wait({waiting, newcomer}, return_when=asyncio.FIRST_COMPLETED)

    assert done == {waiting}
    newcomer.cancel()


async def test_a_link_handed_to_who_is_cancelled_goes_to_the_next(bed: Bed) -> None:
    link = await bed.link()
    cancelled, following = bed.take(), bed.take()
    await asyncio.sleep(0)

    bed.pool.leave(link)
    cancelled.cancel()

    assert await following is link
    assert link.riders == 1


async def test_leave_to_open_given_to_who_is_cancelled_goes_to_the_next(bed: Bed) -> None:
    link = await bed.link()
    cancelled, following = bed.take(), bed.take()
    await asyncio.sleep(0)
    gone = asyncio.Event()
    pools_own = link.wire.ended
    assert pools_own is not None

    def ended() -> None:
        pools_own()
        cancelled.cancel()
        gone.set()

    link.wire.ended = ended
    link.wire.abort()
    await gone.wait()

    opened = await following
    assert isinstance(opened, Link)
    assert cancelled.cancelled()
    assert bed.room.taken == 1


async def test_who_is_handed_a_link_that_dies_meanwhile_keeps_its_turn(bed: Bed) -> None:
    link = await bed.link()
    first, second = bed.take(), bed.take()
    await asyncio.sleep(0)

    bed.pool.leave(link)
    link.wire.abort()
    done, _ = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)

    assert done == {first}
    assert first.result() is not link
    second.cancel()


async def test_who_wants_a_new_link_gets_an_older_one_where_no_more_may_be_opened(bed: Bed) -> None:
    kept = await bed.link()
    bed.pool.leave(kept)

    assert await bed.take(anew=True) is kept


async def test_who_wants_a_new_link_and_may_share_the_one_being_opened_is_not_handed_an_older_one(
    authority: trustme.CA, ca_file: str
) -> None:
    tls = ssl.create_default_context(cafile=ca_file)
    tls.set_alpn_protocols(["h2"])
    async with http2_receiving(lambda peer, stream: None, server_tls(authority, "127.0.0.1")) as receiver:
        bed = Bed(receiver.url(), links_max=2, tls=tls)
        kept = await bed.take()
        assert isinstance(kept, Link)
        bed.pool.leave(kept)

        opening, sharing = bed.take(anew=True), bed.take(anew=True)
        await asyncio.sleep(0)
        newcomer = bed.take()  # has those served who wait, and takes what they do not want

        assert await newcomer is kept
        assert await sharing is await opening is not kept
        await bed.close()
