"""Links by place, within limits.

Promises: never more links than the limits; who waits is handed in turn what there is, so that nobody who
comes in between can take it. None is older or longer idle than allowed, which :mod:`connector.webhook.upkeep`
sees to. An HTTP/2 link is shared, so while one to a place is being opened as many wait for it as it will
carry, rather than open their own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import Literal
from weakref import WeakKeyDictionary

from connector.core.outcome import Failure
from connector.webhook.http2 import STREAMS_MAX
from connector.webhook.link import Link
from connector.webhook.link_opener import LinkOpener, Opening
from connector.webhook.place import Place
from connector.webhook.room import Room
from connector.webhook.upkeep import Upkeep

_Grant = Link | Literal["may open"] | Failure
"""What one gets whose turn it is: a link, counted among its riders; leave to open one, on room that is taken
and counted among the openings; or a failure, where nothing is left that could come free."""


class _Waiting:
    """Who waits for its ``turn``, and for a link that was opened, or carried, since ``since_s`` (0: any)."""

    __slots__ = ("since_s", "turn")

    def __init__(self, since_s: float) -> None:
        self.since_s = since_s
        self.turn: asyncio.Future[_Grant] = asyncio.get_running_loop().create_future()


class _Shelf:
    """What there is of one place: its ``links``, retired ones included until they are gone; those being
    opened, or about to be (``openings``); and who waits, in order."""

    __slots__ = ("links", "openings", "streams_max", "waiting")

    def __init__(self, place: Place) -> None:
        self.links: list[Link] = []
        self.openings = 0
        self.waiting: deque[_Waiting] = deque()
        # How many requests a link carries at once, as was said last; until then what is hoped for.
        self.streams_max = STREAMS_MAX if place.wants_http2 and place.scheme == "https" else 1

    @property
    def is_opening_enough(self) -> bool:
        """Whether those who wait will all find room on what is being opened, each for another of them."""
        return (len(self.waiting) or 1) <= self.openings * (self.streams_max - 1)

    @property
    def is_waited_at(self) -> bool:
        """Whether anybody waits for whatever there is. Those who wait for a new link stand in front, and
        leave the kept ones to whoever comes."""
        return bool(self.waiting) and not self.waiting[-1].since_s

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
        self._upkeep: Upkeep[Link] = Upkeep(room, life_ms=life_ms, idle_ms=idle_ms)
        self._per_place_max = links_per_place_max
        self._life_s = life_ms / 1000
        self._shelves: WeakKeyDictionary[Place, _Shelf] = WeakKeyDictionary()

    async def take(self, place: Place, opening: Opening, *, anew: bool = False) -> Link | Failure:
        """A link with room, counted among whose riders the caller is until it calls :meth:`leave`.

        Who takes one ``anew``, because another was of no use, does not wait behind the others. It gets one
        that is opened from now on, or has carried a request since; one that was kept all the while only where
        no more may be opened: what has forgotten one kept connection has often forgotten all of them.
        """
        shelf = self._shelves.get(place)
        if shelf is None:
            shelf = self._shelves[place] = _Shelf(place)
        if not anew:
            self._serve(shelf)  # room may have come back, which nobody told those who wait
        has_turn = anew
        since_s = monotonic() if anew else 0.0
        while True:
            grant = self._grant(shelf, since_s) if has_turn or not shelf.is_waited_at else None
            if grant is None:
                grant = await self._wait(shelf, since_s, has_turn=has_turn)
            if grant == "may open":
                return await self._open(place, shelf, opening)
            if isinstance(grant, Failure) or grant.is_usable:
                return grant
            self._alight(grant)  # it ended between being handed over and now
            has_turn = True

    def leave(self, link: Link) -> None:
        """One rider less, which it has carried. The link is closed when it is of no more use."""
        link.used_at_s = monotonic()
        self._alight(link)
        self._serve(self._shelves[link.place])

    async def close(self) -> None:
        """Close all links; returns when the last is gone."""
        await self._upkeep.close()

    def is_opening(self, place: Place) -> bool:
        """Whether a link to this place is being opened just now."""
        shelf = self._shelves.get(place)
        return shelf is not None and shelf.openings > 0

    def _alight(self, link: Link) -> None:
        link.riders -= 1
        if link.is_idle and not link.may_idle:
            self._upkeep.retire(link)

    def _grant(self, shelf: _Shelf, since_s: float) -> _Grant | None:
        """What there is for one whose turn it is; ``None``: it has to wait."""
        link = self._roomy(shelf, since_s)
        if link is None:
            if shelf.is_opening_enough:
                return None
            if shelf.claimed < self._per_place_max and self._room.take():
                shelf.openings += 1
                return "may open"
            if not shelf.claimed:
                return Failure("resources", "the limit of connections is reached")
            link = self._roomy(shelf, 0.0) if since_s else None
        if link is not None:
            link.riders += 1
        return link

    def _roomy(self, shelf: _Shelf, since_s: float) -> Link | None:
        """The last opened first, so that the others age and are closed."""
        now_s = monotonic()
        for link in reversed(shelf.links):
            if link.used_at_s >= since_s and link.has_room:
                if now_s - link.opened_at_s < self._life_s:
                    return link
                link.is_retired = True
                if link.is_idle:
                    self._upkeep.retire(link)
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
        self._upkeep.add(link)
        shelf.streams_max = link.streams_max
        link.limited = lambda: self._limited(link, shelf)
        link.wire.ended = lambda: self._gone(link, shelf)

    def _limited(self, link: Link, shelf: _Shelf) -> None:
        shelf.streams_max = link.streams_max
        self._serve(shelf)

    def _gone(self, link: Link, shelf: _Shelf) -> None:
        shelf.links.remove(link)
        self._upkeep.gone(link)
        self._serve(shelf)

    async def _wait(self, shelf: _Shelf, since_s: float, *, has_turn: bool) -> _Grant:
        waiting = _Waiting(since_s)
        turn = waiting.turn
        if has_turn:
            shelf.waiting.appendleft(waiting)
        else:
            shelf.waiting.append(waiting)
        try:
            grant = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._return(turn.result(), shelf)
            elif waiting in shelf.waiting:
                shelf.waiting.remove(waiting)
            raise
        if isinstance(grant, Failure):
            self._serve(shelf)
        return grant

    def _serve(self, shelf: _Shelf) -> None:
        """Hand what there is to those who wait, in turn. Of a failure one hears at a time, and then has the
        next one served: room may come back, and to find none takes a look at all links."""
        grant: _Grant | None = None
        while shelf.waiting and not isinstance(grant, Failure):
            first = shelf.waiting[0]
            if not first.turn.cancelled():
                grant = self._grant(shelf, first.since_s)
                if grant is None:
                    return
                first.turn.set_result(grant)
            shelf.waiting.popleft()

    def _return(self, grant: _Grant, shelf: _Shelf) -> None:
        """Who was served has been cancelled: it is the next one's turn."""
        if isinstance(grant, Link):
            self._alight(grant)
        elif grant == "may open":
            shelf.openings -= 1
            self._room.give_back()
        self._serve(shelf)
