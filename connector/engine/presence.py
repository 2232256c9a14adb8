"""Who is alive, and which part of a rate limit each may use.

Every worker posts news of itself every second and counts those it hears of. A limit that holds for the
group is divided by that count. The sum of what all use never exceeds the limit, as long as news takes no
longer than a second, because whoever uses a share is counted by everybody:

* a newcomer uses nothing until its own announcement has come back and 1.5 s more are over: by then all
  others have heard it too, and have reduced their shares at once;
* a share grows only when a worker says that it leaves (it uses nothing from then on), or has been silent
  for 5 s by our own clock: five of its news are missing by then.

Silence says something about a worker only while the board itself is heard, which our own news proves by
coming back. When it does not, time stands still here: the shares stay as they were, since nothing tells an
outage of the board from the death of all others, and to deliver at the last known rate is right in the
first case and merely careful in the second. When it is heard again, everybody has another 5 s.

For whom a worker parks is told when it changes, and by a number with every news: ten thousand paused
subscriptions are some 600 kB, too much for every second. Who has not heard the list of that number takes the
worker for one that may park for anybody.

What leaving and dead workers leave on the board is removed, so that it does not grow with every worker
that ever was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import assert_never

from connector.core.sharing import (
    BacklogNews,
    EndpointNews,
    Fault,
    Forgotten,
    News,
    ParkingNews,
    WorkerNews,
    encode,
)
from connector.engine.ports import Clock
from connector.engine.shared import Board

BEAT_MS = 1_000
SILENT_MS = 5_000
"""So long after its last news a worker is taken for dead."""
JOIN_MS = 1_500
"""So long after our announcement came back everybody else has heard it: news takes a second at most."""
ECHO_MS = 2_500
"""Our own news comes back this often at least while the board is heard: a beat and a second on its way, and
a margin. It must be so much shorter than :data:`SILENT_MS` that an outage ends no worker: others were heard
at most 2 s before our last echo."""
FORGET_MS = 60_000
"""So long after its last news a dead worker's key is removed: nobody counts it by then."""

_WORKER = "worker/"
_PARKING = "parking/"


@dataclass(slots=True)
class _Peer:
    """Another worker. ``news`` is ``None`` while it has told none that we can read, and so is ``parking``."""

    heard_at_ms: int
    news: WorkerNews | None = None
    parking: ParkingNews | None = None

    @property
    def is_leaving(self) -> bool:
        return self.news is not None and self.news.is_leaving

    @property
    def parks_for(self) -> Collection[str] | None:
        """The subscriptions it parks for; ``None`` while that is not known."""
        number = self.parking.number if self.parking is not None else 0
        if self.news is None or number < self.news.parking_number:
            return None
        return self.parking.subscription_ids if self.parking is not None else ()


class Presence:
    """One worker among those on ``board``. ``worker_id`` is of this start of the process: one that is used
    again would take news of its former life for its own. Times are monotonic milliseconds.

    Two workers may each take themselves for the leader for some seconds after a change: a leader's job must
    bear that.
    """

    def __init__(self, board: Board, clock: Clock, worker_id: str) -> None:
        self._board = board
        self._clock = clock
        self._worker_id = worker_id
        self._parking: tuple[str, ...] = ()
        self._parking_number = 0
        self._peers: dict[str, _Peer] = {}
        self._beat_at_ms = self._board_heard_at_ms = clock.monotonic_ms()
        self._joins_at_ms: int | None = None  # None until our announcement has come back
        self._is_leaving = False

    # ── what others are told ────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Announce this worker and post its news every second until it leaves."""
        while not self._is_leaving:
            self._beat()
            await asyncio.sleep(BEAT_MS / 1_000)

    def park(self, subscription_ids: Collection[str]) -> None:
        """Tell at once, and from now on, that these subscriptions' deliveries are parked here."""
        parking = tuple(sorted(subscription_ids))
        if parking != self._parking and not self._is_leaving:
            self._parking = parking
            self._parking_number += 1
            self._tell_parking()
            self._post()

    def leave(self) -> None:
        """Use nothing from now on, and say so."""
        if not self._is_leaving:
            self._is_leaving = True
            self._post()

    def _beat(self) -> None:
        now_ms = self._clock.monotonic_ms()
        if self._was_frozen(now_ms):
            self._joins_at_ms = None
        self._beat_at_ms = now_ms
        self._post()
        if self.is_leading:
            for worker_id in self._forgettable(now_ms):
                self._withdraw(worker_id)

    def _post(self) -> None:
        news = WorkerNews(
            worker=self._worker_id,
            at_ms=self._clock.now_ms(),
            parking_number=self._parking_number,
            is_leaving=self._is_leaving,
        )
        self._board.post(*encode(news))

    def _tell_parking(self) -> None:
        news = ParkingNews(
            worker=self._worker_id, number=self._parking_number, subscription_ids=self._parking
        )
        self._board.post(*encode(news))

    def _withdraw(self, worker_id: str) -> None:
        for kind in (_PARKING, _WORKER):
            self._board.post(f"{kind}{worker_id}".encode(), None)

    # ── what others tell ────────────────────────────────────────────────────────────────────────

    def heard(self, news: News | Fault) -> None:
        """Something the board told."""
        match news:
            case WorkerNews(worker=self._worker_id):
                self._heard_own(news)
            case WorkerNews():
                self._heard_of(news.worker).news = news
            case ParkingNews(worker=self._worker_id):
                pass
            case ParkingNews():
                self._heard_of(news.worker).parking = news
            case Fault(key=key) if key.startswith(_WORKER):
                self._heard_of(key.removeprefix(_WORKER)).news = None
            case Fault(key=key) if key.startswith(_PARKING):
                self._heard_of(key.removeprefix(_PARKING)).parking = None
            case Forgotten(key=key) if key.startswith(_WORKER):
                self._peers.pop(key.removeprefix(_WORKER), None)
            case Forgotten(key=key) if key == f"{_PARKING}{self._worker_id}":
                if not self._is_leaving:
                    self._tell_parking()  # we stood still for so long that others took us for dead
            case EndpointNews() | BacklogNews() | Forgotten() | Fault():
                pass
            case _:
                assert_never(news)

    def _heard_of(self, worker_id: str) -> _Peer:
        now_ms = self._clock.monotonic_ms()
        peer = self._peers.setdefault(worker_id, _Peer(now_ms))
        peer.heard_at_ms = now_ms
        return peer

    def _heard_own(self, news: WorkerNews) -> None:
        now_ms = self._clock.monotonic_ms()
        if not self._is_board_heard(now_ms):
            for worker_id in self._live_peers(now_ms):
                self._peers[worker_id].heard_at_ms = now_ms
        self._board_heard_at_ms = now_ms
        if self._joins_at_ms is None:
            self._joins_at_ms = now_ms + JOIN_MS
        if news is not None and news.is_leaving:
            self._withdraw(self._worker_id)

    # ── what follows ────────────────────────────────────────────────────────────────────────────

    def live(self) -> set[str]:
        """Everybody who is alive; this worker once its announcement has come back."""
        live = set(self._live_peers(self._clock.monotonic_ms()))
        if self._joins_at_ms is not None and not self._is_leaving:
            live.add(self._worker_id)
        return live

    @property
    def leader(self) -> str | None:
        """The one for jobs that one worker does; ``None`` while nobody is known to be alive."""
        return min(self.live(), default=None)

    @property
    def is_leading(self) -> bool:
        """Whether this worker is to do the jobs that one does: nobody while the board is not heard."""
        return self.is_board_heard and self.leader == self._worker_id

    @property
    def is_board_heard(self) -> bool:
        """Whether news arrive: our own has come back lately."""
        return self._is_board_heard(self._clock.monotonic_ms())

    def parking(self) -> set[str] | None:
        """The subscriptions that anybody alive parks for, this worker included; ``None`` while somebody is
        alive of whom that is not known."""
        parking = set(self._parking)
        for worker_id in self._live_peers(self._clock.monotonic_ms()):
            parks_for = self._peers[worker_id].parks_for
            if parks_for is None:
                return None
            parking.update(parks_for)
        return parking

    def share(self, now_ms: int) -> float:
        """The part of a group's rate limit that this worker may use, from 0 to 1."""
        has_joined = self._joins_at_ms is not None and now_ms >= self._joins_at_ms
        if not has_joined or self._is_leaving or self._was_frozen(now_ms):
            return 0.0
        return 1 / (1 + len(self._live_peers(now_ms)))

    def _was_frozen(self, now_ms: int) -> bool:
        """This process stood still for so long that others have taken it for dead: it begins anew."""
        return now_ms - self._beat_at_ms > SILENT_MS

    def _is_board_heard(self, now_ms: int) -> bool:
        return now_ms - self._board_heard_at_ms <= ECHO_MS

    def _live_peers(self, now_ms: int) -> list[str]:
        # Time stands still while the board is not heard.
        as_of_ms = min(now_ms, self._board_heard_at_ms + ECHO_MS)
        return [
            worker_id
            for worker_id, peer in self._peers.items()
            if as_of_ms - peer.heard_at_ms <= SILENT_MS and not peer.is_leaving
        ]

    def _forgettable(self, now_ms: int) -> list[str]:
        return [
            worker_id for worker_id, peer in self._peers.items() if now_ms - peer.heard_at_ms > FORGET_MS
        ]
