"""How a subscription stands: what its workers have told one another of it, put together for an operator.

It is as old as the news it is made of. Workers tell when a breaker opens or closes, when a subscription
is disabled or enabled, and when they begin or end to park; of a run of failures, once an hour that it goes
on, and that it is over; and what they know of a subscription when it leaves their view or leads to another
URL. What each of them learns in between it keeps to itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, Literal

from connector.core.breaker import RETRY_AFTER, Breaker, BreakerRules, BreakerSnapshot
from connector.core.disabling import Disabled
from connector.core.sharing import (
    BacklogNews,
    EndpointNews,
    Fault,
    Forgotten,
    ParkingNews,
    WorkerNews,
    decode,
    digest_of,
    key_of,
)
from connector.core.subscription import Subscription

State = Literal["disabled", "held off", "open", "paused", "well"]
"""The first that is true: disabled for failing too long, held off by ``Retry-After``, its breaker open for
failures, paused on purpose, or nothing is known against it."""

BacklogState = Literal["none", "parked", "replaying"]

OPERATOR: Final = "operator"
"""Who tells of a reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One subscription. ``breaker`` is closed where nobody told of one. ``failing_since_ms`` (Unix) and
    ``failed_attempts`` are the failures in a row, 0 without any. ``cursor`` is how far a backlog has been
    replayed: partition → next offset. ``parking`` are the workers that park what they get for it.
    ``told_by`` and ``told_at_ms`` say whose news of the endpoint this is and of when; empty and 0
    without any. ``reset_at_ms`` is when it was last forgotten on purpose, 0 for never."""

    subscription_id: str
    shown_url: str
    is_paused: bool
    breaker: BreakerSnapshot
    disabled: Disabled | None
    failing_since_ms: int
    failed_attempts: int
    backlog: BacklogState
    cursor: Mapping[int, int]
    parking: tuple[str, ...]
    told_by: str
    told_at_ms: int
    reset_at_ms: int

    @property
    def state(self) -> State:
        if self.disabled is not None:
            return "disabled"
        if self.breaker.state == "open":
            return "held off" if self.breaker.why == RETRY_AFTER else "open"
        return "paused" if self.is_paused else "well"

    @property
    def has_trouble(self) -> bool:
        """Whether its endpoint gets less than it is owed, and nobody meant it to."""
        return self.state not in ("paused", "well")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Everything on the board, by subscription and by worker. ``parking`` are the subscriptions that each
    worker parks for; ``faults`` are records that say nothing to this version."""

    endpoints: Mapping[str, EndpointNews]
    backlogs: Mapping[str, BacklogNews]
    workers: Sequence[WorkerNews]
    parking: Mapping[str, Set[str]]
    faults: Sequence[Fault]

    def staying(self) -> dict[bytes, WorkerNews]:
        """The workers that have not said that they leave, by the keys of their news: who is alive tells them
        again every second."""
        return {key_of(one): one for one in self.workers if not one.is_leaving}


def known(records: Iterable[tuple[bytes, bytes]]) -> Known:
    """What the newest records of the board, keys and values, say."""
    endpoints: dict[str, EndpointNews] = {}
    backlogs: dict[str, BacklogNews] = {}
    workers: list[WorkerNews] = []
    parking: dict[str, Set[str]] = {}
    faults: list[Fault] = []
    for key, value in records:
        match decode(key, value):
            case EndpointNews() as news:
                endpoints[news.subscription_id] = news
            case BacklogNews() as news:
                backlogs[news.subscription_id] = news
            case WorkerNews() as news:
                workers.append(news)
            case ParkingNews() as news:
                parking[news.worker] = frozenset(news.subscription_ids)
            case Fault() as fault:
                faults.append(fault)
            case Forgotten():
                pass
    workers.sort(key=lambda one: one.worker)
    return Known(endpoints=endpoints, backlogs=backlogs, workers=workers, parking=parking, faults=faults)


def standing(subscription: Subscription, board: Known, alive: Iterable[WorkerNews]) -> Standing:
    """How ``subscription`` stands by what lies on the ``board``."""
    id_ = subscription.id
    news, backlog = board.endpoints.get(id_), board.backlogs.get(id_)
    if news is not None and not news.are_of(subscription.url):
        news = None
    disabled = news.disabled if news is not None else None
    parking = tuple(one.worker for one in alive if id_ in board.parking.get(one.worker, ()))
    return Standing(
        subscription_id=id_,
        shown_url=subscription.shown_url,
        is_paused=subscription.paused,
        breaker=news.breaker if news is not None else _CLOSED,
        disabled=disabled,
        failing_since_ms=news.failing_since_ms if news is not None else 0,
        failed_attempts=news.failed_attempts if news is not None else 0,
        backlog=_backlog_state(backlog, is_kept=subscription.paused or disabled is not None),
        cursor=backlog.cursor if backlog is not None else {},
        parking=parking,
        told_by=news.worker if news is not None else "",
        told_at_ms=news.at_ms if news is not None else 0,
        reset_at_ms=news.reset_at_ms if news is not None else 0,
    )


def reset(subscription_id: str, url: str, before: EndpointNews | None, *, now_ms: int) -> EndpointNews:
    """News by which every worker forgets what it has learnt of the endpoint at ``url``. It counts as later
    than any reset ``before``, whose clock may have been ahead of ours."""
    at_ms = max(now_ms, before.reset_at_ms + 1 if before is not None else 0)
    return EndpointNews(
        subscription_id=subscription_id,
        url_digest=digest_of(url),
        url_since_ms=0,
        worker=OPERATOR,
        at_ms=now_ms,
        breaker=_CLOSED,
        disabled=None,
        failing_since_ms=0,
        failed_attempts=0,
        succeeded_at_ms=0,
        reset_at_ms=at_ms,
        cleared_at_ms=at_ms,
    )


_CLOSED: Final = Breaker(BreakerRules()).snapshot()


def _backlog_state(backlog: BacklogNews | None, *, is_kept: bool) -> BacklogState:
    if backlog is None or backlog.is_done:
        return "none"
    return "parked" if is_kept else "replaying"
