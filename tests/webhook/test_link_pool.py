"""Who waits for a link of the second sender is handed what comes free, and nobody overtakes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpcore
import pytest

from connector.core.outcome import Failure, Reply
from connector.webhook.link import Link
from connector.webhook.link_opener import LinkOpener, Stage
from connector.webhook.link_pool import LinkPool
from connector.webhook.place import Place
from connector.webhook.resolver import Resolver
from connector.webhook.room import Room
from connector.webhook.target import parse_target
from tests.support.posting import LOOPBACK, FixedLookup
from tests.support.raw_receiver import always, ok, receiving


@dataclass
class Wanting:
    """Whoever wants a link."""

    deadline_s: float = 0.0  # of use for names with several addresses only

    def reached(self, stage: Stage) -> None: ...


class Bed:
    """A pool with room for one link, to one receiver."""

    def __init__(self, url: str) -> None:
        self.room = Room(1)
        self._resolver = Resolver(FixedLookup({}), budget_ms=1_000)
        self.pool = LinkPool(
            LinkOpener(self._resolver, LOOPBACK),
            self.room,
            links_per_place_max=1,
            life_ms=60_000,
            idle_ms=60_000,
        )
        target = parse_target(url, allow_http=True, guard=LOOPBACK)
        self.place = Place(target, None, None, wants_http2=False)
        self.url = url

    def take(self) -> asyncio.Task[Link | Failure]:
        return asyncio.create_task(self.pool.take(self.place, Wanting()))

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
