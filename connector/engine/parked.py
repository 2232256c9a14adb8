"""Parked: for which subscriptions something may lie parked, as all workers know it before anything does.

Parking is told in two steps, each heard back before the next: for whom this worker parks, then that the
backlog is open again. So whoever knows of an opening knows who parks, and replays nothing yet; only then is
anything parked. Who is parking for whom is :mod:`connector.engine.presence`'s to know, and the replay is
:mod:`connector.engine.backlog`'s.

What is known of a backlog stays on the board when its subscription is gone: its cursor says what must not be
replayed again, and the letters below it may lie there for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from connector.core.backlog import merged, opened
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
from connector.engine.lane import Lane
from connector.engine.ports import Clock, Log
from connector.engine.shared import Board

_BACKLOG: Final = "backlog/"


class Parked:
    """Opens backlogs, and knows of everybody's how far they were replayed."""

    def __init__(self, board: Board, worker_id: str, clock: Clock, log: Log) -> None:
        self._board = board
        self._worker_id = worker_id
        self._clock = clock
        self._log = log
        self.backlogs: dict[str, BacklogNews] = {}
        """By subscription: whether something may lie parked for it, and how far that was replayed."""
        self._openings: dict[str, int] = {}
        """Of those we park for, as all have heard by now: the opening that was told for it."""

    def is_announced(self, subscription_id: str) -> bool:
        """Whether all know that something may lie parked for this one: before, nothing is parked."""
        backlog, opening = self.backlogs.get(subscription_id), self._openings.get(subscription_id)
        if backlog is None or opening is None:
            return False
        return backlog.openings >= opening and not backlog.is_done

    @property
    def backlogs_open(self) -> int:
        """For how many subscriptions something may lie parked."""
        return sum(not backlog.is_done for backlog in self.backlogs.values())

    def tell(self, news: BacklogNews) -> None:
        """Tell of a backlog; what is out of date changes nothing."""
        self._board.post(*encode(news))

    def dropped(self, lanes: Iterable[Lane]) -> None:
        """These are in our view no longer."""
        for lane in lanes:
            backlog = self.backlogs.get(lane.subscription.id)
            if backlog is not None and not backlog.is_done:
                self._log.warning(
                    "a subscription is gone for which something may lie parked",
                    subscription=lane.subscription.id,
                    cure="put it back within a quarter of an hour, or its letters become dead",
                )

    # ── hearing ─────────────────────────────────────────────────────────────────────────────────

    def heard(self, news: News | Fault) -> None:
        """Something the board told."""
        match news:
            case BacklogNews():
                self._heard_of_backlog(news)
            case ParkingNews(worker=self._worker_id):
                self._heard_own(news)
            case Forgotten(key=key) if key.startswith(_BACKLOG):
                self.backlogs.pop(key.removeprefix(_BACKLOG), None)
            case EndpointNews() | WorkerNews() | ParkingNews() | Forgotten() | Fault():
                pass
            case _:
                assert_never(news)

    def _heard_own(self, news: ParkingNews) -> None:
        """All know for whom we park: only now each backlog is opened, so that whoever knows of the opening
        knows that it is not to be replayed yet."""
        openings, self._openings = self._openings, {}
        for id_ in news.subscription_ids:
            if id_ in openings:
                self._openings[id_] = openings[id_]
            else:
                self._open(id_)

    def _heard_of_backlog(self, news: BacklogNews) -> None:
        id_ = news.subscription_id
        backlog = merged(self.backlogs.get(id_), news)
        self.backlogs[id_] = backlog
        if backlog is not news:
            self.tell(backlog)  # it took the place of what we know
        elif backlog.is_done and id_ in self._openings:
            self._open(id_)  # by one who has not heard that we park

    def _open(self, id_: str) -> None:
        news = opened(self.backlogs.get(id_), id_, now_ms=self._clock.now_ms())
        self._openings[id_] = news.openings
        self.tell(news)
