"""Links by place, within limits.

Promises: never more links than the limits; none older or longer idle than allowed; who waits is handed in
turn what there is, so that nobody who comes in between can take it. An HTTP/2 link is shared, so while one
to a place is being opened as many wait for it as it will carry, rather than open their own.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Iterator
from time import monotonic
from typing import Literal
from weakref import WeakKeyDictionary

from connector.core.outcome import Failure
from connector.webhook.http2 import STREAMS_MAX
from connector.webhook.link import Link
from connector.webhook.link_opener import LinkOpener, Opening
from connector.webhook.place import Place
from connector.webhook.room import Room

_REAP_EVERY_S = 1.0

_Grant = Link | Literal["may open"] | Failure
"""What one gets whose turn it is: a link, counted among its riders; leave to open one, on room that is taken
and counted among the openings; or a failure, where nothing is left that could come free."""


class _Shelf:
    """What there is of one place: its ``links``, retired ones included until they are gone; those being
    opened, or about to be (``openings``); and who waits, in order."""

    __slots__ = ("links", "openings", "streams_max", "waiting")

    def __init__(self, place: Place) -> None:
        self.links: list[Link] = []
        self.openings = 0
        self.waiting: deque[asyncio.Future[_Grant]] = deque()
        # How many requests a link carries at once, as was said last; until then what is hoped for.
        self.streams_max = STREAMS_MAX if place.wants_http2 and place.scheme == "https" else 1

    @property
    def is_opening_enough(self) -> bool:
        """Whether those who wait will all find room on what is being opened, each for another of them."""
        return (len(self.waiting) or 1) <= self.openings * (self.streams_max - 1)

    @property
    def claimed(self) -> int:
        return len(self.links) + self.openings


class LinkPool:
    """``room`` bounds links in all, ``links_per_place_max`` those towards one place. How many wait is for the
    caller to bound."""

    def __init__(
        self,
        opener: LinkOpener,
        room: Room,
        *,
        links_per_place_max: int,
        life_ms: int,
        idle_ms: int,
    ) -> None:
        self._opener = opener
        self._room = room
        room.share(self._evict)
        self._per_place_max = links_per_place_max
        self._life_s = life_ms / 1000
        self._idle_s = idle_ms / 1000
        self._shelves: WeakKeyDictionary[Place, _Shelf] = WeakKeyDictionary()
        self._links: set[Link] = set()
        # Their room is given back, but they are open until the loop says that they are gone.
        self._closing: set[Link] = set()
        self._reaper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    async def take(self, place: Place, opening: Opening, *, has_turn: bool = False) -> Link | Failure:
        """A link with room, counted among whose riders the caller is until it calls :meth:`leave`. Who
        ``has_turn`` does not wait behind the others."""
        shelf = self._shelves.get(place)
        if shelf is None:
            shelf = self._shelves[place] = _Shelf(place)
        if not has_turn:
            self._serve(shelf)  # room may have come back, which nobody told those who wait
        while True:
            grant = self._grant(shelf) if has_turn or not shelf.waiting else None
            if grant is None:
                grant = await self._wait(shelf, has_turn=has_turn)
            if grant == "may open":
                return await self._open(place, shelf, opening)
            if isinstance(grant, Failure) or grant.is_usable:
                return grant
            self._alight(grant)  # it ended between being handed over and now
            has_turn = True

    def leave(self, link: Link) -> None:
        """One rider less. The link is closed when it is of no more use."""
        self._alight(link)
        self._serve(self._shelves[link.place])

    async def close(self) -> None:
        """Close all links; returns when the last is gone."""
        for link in tuple(self._links):
            link.wire.abort()
        await self._empty.wait()
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None

    def is_opening(self, place: Place) -> bool:
        """Whether a link to this place is being opened just now."""
        shelf = self._shelves.get(place)
        return shelf is not None and shelf.openings > 0

    def _alight(self, link: Link) -> None:
        link.riders -= 1
        link.used_at_s = monotonic()
        if not link.riders and not link.may_idle:
            self._close(link)

    def _grant(self, shelf: _Shelf) -> _Grant | None:
        """What there is for one whose turn it is; ``None``: it has to wait."""
        link = self._roomy(shelf)
        if link is not None:
            link.riders += 1
            return link
        if not shelf.is_opening_enough and shelf.claimed < self._per_place_max and self._room.take():
            shelf.openings += 1
            return "may open"
        if not shelf.claimed:
            return Failure("resources", "the limit of connections is reached")
        return None

    def _roomy(self, shelf: _Shelf) -> Link | None:
        """The last opened first, so that the others age and are closed."""
        now_s = monotonic()
        for link in reversed(shelf.links):
            if link.has_room:
                if now_s - link.opened_at_s < self._life_s:
                    return link
                self._retire(link)
        return None

    async def _open(self, place: Place, shelf: _Shelf, opening: Opening) -> Link | Failure:
        """By the leave that was given for it."""
        opened: Link | Failure | None = None
        try:
            opened = await self._opener.open(place, opening)
            if isinstance(opened, Link) and opened.wire.has_ended:
                opened = Failure("connect", f"{place} closed the connection at once")
            return opened
        finally:
            shelf.openings -= 1
            if isinstance(opened, Link):
                self._add(opened, shelf)
            else:
                self._room.give_back()
            self._serve(shelf)  # whatever came of it, the next in line may do better

    def _add(self, link: Link, shelf: _Shelf) -> None:
        shelf.links.append(link)
        self._links.add(link)
        self._empty.clear()
        shelf.streams_max = link.streams_max
        link.limited = lambda: self._limited(link, shelf)
        link.wire.ended = lambda: self._gone(link, shelf)
        if self._reaper is None:
            self._schedule_reaper()

    def _limited(self, link: Link, shelf: _Shelf) -> None:
        shelf.streams_max = link.streams_max
        self._serve(shelf)

    def _gone(self, link: Link, shelf: _Shelf) -> None:
        shelf.links.remove(link)
        self._links.discard(link)
        if link in self._closing:
            self._closing.remove(link)
        else:
            self._room.give_back()
        if not self._links:
            self._empty.set()
        self._serve(shelf)

    async def _wait(self, shelf: _Shelf, *, has_turn: bool) -> _Grant:
        turn: asyncio.Future[_Grant] = asyncio.get_running_loop().create_future()
        if has_turn:
            shelf.waiting.appendleft(turn)
        else:
            shelf.waiting.append(turn)
        try:
            grant = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._return(turn.result(), shelf)
            elif turn in shelf.waiting:
                shelf.waiting.remove(turn)
            raise
        if isinstance(grant, Failure):
            self._serve(shelf)
        return grant

    def _serve(self, shelf: _Shelf) -> None:
        """Hand what there is to those who wait, in turn. Of a failure one hears at a time, and then has the
        next one served: room may come back, and to find none takes a look at all links."""
        grant: _Grant | None = None
        while shelf.waiting and not isinstance(grant, Failure):
            if not shelf.waiting[0].cancelled():
                grant = self._grant(shelf)
                if grant is None:
                    return
                shelf.waiting[0].set_result(grant)
            shelf.waiting.popleft()

    def _return(self, grant: _Grant, shelf: _Shelf) -> None:
        """Who was served has been cancelled: it is the next one's turn."""
        if isinstance(grant, Link):
            self._alight(grant)
        elif grant == "may open":
            shelf.openings -= 1
            self._room.give_back()
        self._serve(shelf)

    def _idle(self) -> Iterator[Link]:
        return (link for link in self._links if not link.riders and link not in self._closing)

    def _evict(self) -> bool:
        """Close the longest idle sixteenth to make room for another place."""
        batch = len(self._links) // 16 + 1
        oldest = heapq.nsmallest(batch, self._idle(), key=lambda link: link.used_at_s)
        for link in oldest:
            self._retire(link)
        return bool(oldest)

    def _reap(self) -> None:
        now_s = monotonic()
        for link in list(self._idle()):
            if now_s - link.used_at_s >= self._idle_s or now_s - link.opened_at_s >= self._life_s:
                self._retire(link)
        self._reaper = None
        if self._links:
            self._schedule_reaper()

    def _schedule_reaper(self) -> None:
        self._reaper = asyncio.get_running_loop().call_later(_REAP_EVERY_S, self._reap)

    def _retire(self, link: Link) -> None:
        link.is_retired = True
        if not link.riders:
            self._close(link)

    def _close(self, link: Link) -> None:
        """Its room comes back now: whoever is told what came of its request may need it before the loop says
        that it is gone."""
        if link in self._links and link not in self._closing:
            self._closing.add(link)
            self._room.give_back()
        link.wire.abort()
