"""Links by place, within limits.

Promises: never more links than the limits; none older or longer idle than allowed; who waits for one is
woken in turn, when there is hope. An HTTP/2 link is shared, so while the first one to a place is being
opened the others wait for it rather than open their own.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Iterator
from time import monotonic
from weakref import WeakKeyDictionary

from connector.core.outcome import Failure
from connector.webhook.link import STREAMS_MAX, Link
from connector.webhook.link_opener import LinkOpener, Opening
from connector.webhook.place import Place
from connector.webhook.room import Room

_REAP_EVERY_S = 1.0


class _Shelf:
    """What there is of one place: its ``links``, retired ones included until they are gone; those being
    opened (``openings``); and who waits, in order."""

    __slots__ = ("links", "openings", "speaks_http2", "waiting")

    def __init__(self, place: Place) -> None:
        self.links: list[Link] = []
        self.openings = 0
        self.waiting: deque[asyncio.Future[None]] = deque()
        # What it spoke last; until then what is hoped for.
        self.speaks_http2 = place.wants_http2 and place.scheme == "https"

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

    async def take(self, place: Place, opening: Opening) -> Link | Failure:
        """A link with room, counted among whose riders the caller is until it calls :meth:`leave`."""
        shelf = self._shelves.get(place)
        if shelf is None:
            shelf = self._shelves[place] = _Shelf(place)
        is_our_turn = not shelf.waiting
        while True:
            link = self._roomy(shelf) if is_our_turn else None
            if link is not None:
                link.riders += 1
                return link
            is_shared = shelf.speaks_http2 and shelf.openings > 0
            has_room = shelf.claimed < self._per_place_max
            if is_our_turn and not is_shared and has_room and self._room.take():
                return await self._open(place, shelf, opening)
            if is_our_turn and not shelf.claimed:
                self._wake(shelf)  # nothing else would; it fails too, unless room has come back
                return Failure("resources", "the limit of connections is reached")
            await self._wait(shelf)
            is_our_turn = True

    def leave(self, link: Link) -> None:
        """One rider less. The link is closed when it is of no more use."""
        link.riders -= 1
        link.used_at_s = monotonic()
        if not link.riders and not link.has_room:
            link.wire.abort()
        self._wake(self._shelves[link.place])

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
        """On room that was taken for it."""
        shelf.openings += 1
        opened: Link | Failure | None = None
        try:
            opened = await self._opener.open(place, opening)
        finally:
            shelf.openings -= 1
            if not isinstance(opened, Link) or opened.wire.has_ended:
                self._room.give_back()
            # Whatever came of it, the next in line may do better.
            self._wake(shelf)
        if isinstance(opened, Failure):
            return opened
        if opened.wire.has_ended:
            return Failure("connect", f"{place} closed the connection at once")
        self._add(opened, shelf)
        opened.riders = 1
        if opened.is_http2:
            self._wake(shelf, up_to=STREAMS_MAX)
        elif shelf.speaks_http2:
            self._wake(shelf, up_to=self._per_place_max)
        shelf.speaks_http2 = opened.is_http2
        return opened

    def _add(self, link: Link, shelf: _Shelf) -> None:
        shelf.links.append(link)
        self._links.add(link)
        self._empty.clear()
        link.wire.ended = lambda: self._gone(link, shelf)
        if self._reaper is None:
            self._schedule_reaper()

    def _gone(self, link: Link, shelf: _Shelf) -> None:
        shelf.links.remove(link)
        self._links.discard(link)
        if link in self._closing:
            self._closing.remove(link)
        else:
            self._room.give_back()
        if not self._links:
            self._empty.set()
        self._wake(shelf)

    async def _wait(self, shelf: _Shelf) -> None:
        turn = asyncio.get_running_loop().create_future()
        shelf.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in shelf.waiting:
                shelf.waiting.remove(turn)
            else:
                self._wake(shelf)  # our turn had come: it is the next one's
            raise

    def _wake(self, shelf: _Shelf, *, up_to: int = 1) -> None:
        while shelf.waiting and up_to:
            turn = shelf.waiting.popleft()
            if not turn.cancelled():
                up_to -= 1
                turn.set_result(None)

    def _idle(self) -> Iterator[Link]:
        return (link for link in self._links if not link.riders and not link.is_retired)

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
            self._closing.add(link)
            self._room.give_back()
            link.wire.abort()
