"""Knowledge: what this worker learns of endpoints, told to the others, and what they tell, applied here.

Everything is told through the board, newest value per key. News of one subscription is merged, not taken
over: two workers may learn different things in the same second, and the later record replaces the earlier
one on the board. So whoever hears less than it knows says again what it knows.

What was learnt of another URL than the subscription has here is not applied before it leads there. Workers
see a new file at different times: who sees the change takes over what was told of the new URL, unless the old
one was told of since, and whoever knows more answers. Of two that tell of different URLs, who saw the change,
or the later one, tells again, but once only to those that tell of no change: an older release, which never
does, might answer each time. Who began with the new URL saw no change and tells nothing again: what it learns
may be lost if it is gone before the others see the new URL.

What was known of a subscription that leaves the view holds when it comes back within a week; then the leader
removes it, so that the board does not grow with every subscription that ever was.

A breaker judges for itself (:meth:`~connector.core.breaker.Breaker.adopt`). *Disabled* holds until a reset
that is later: an operator's, or that of a worker whose probe succeeded. What ``Retry-After`` asked for holds
until an operator's: the endpoint may have asked one worker to stay away while it accepted a probe of another,
and news of the two cross each other.

A run of failures is everybody's, and so is its end: whoever hears of one and knows of a later success answers
with what it knows, and whoever succeeds later says so once. Of what succeeds all the time nothing is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, assert_never

from connector.core.breaker import RETRY_AFTER
from connector.core.disabling import agreed
from connector.core.sharing import (
    BacklogNews,
    EndpointNews,
    Fault,
    Forgotten,
    News,
    ParkingNews,
    WorkerNews,
    digest_of,
    encode,
    key_of,
)
from connector.engine.lane import Lane
from connector.engine.lanes import Lanes
from connector.engine.ports import Clock
from connector.engine.presence import Presence
from connector.engine.round import Round
from connector.engine.shared import Board

UNKNOWN_MAX: Final = 20_000
"""News kept of subscriptions that are not in our view; the oldest are forgotten."""
UNVIEWED_MAX_MS: Final = 7 * 24 * 3_600_000
"""Older news of an endpoint whose subscription is in no view are removed. Who drops a subscription tells what
is known of it, so they are no older than its absence, unless nobody was there to see it go."""
WITHDRAW_EVERY_MS: Final = 3_600_000
"""How often is looked for those, and how long after a start: a wrong file may be mended until then."""
WITHDRAWN_MAX: Final = 1_000
"""So many are removed at once."""
RUNS_TOLD_MAX: Final = 25
"""So many runs of failures are told of at each look."""

_ENDPOINT = "endpoint/"


class Knowledge:
    """Keeps lanes and board in step. ``on_change`` is called for a lane whose breaker, or whether it is
    disabled, was changed by what others told."""

    def __init__(
        self,
        *,
        board: Board,
        presence: Presence,
        worker_id: str,
        lanes: Lanes,
        clock: Clock,
        on_change: Callable[[Lane], None],
    ) -> None:
        self._board = board
        self._presence = presence
        self._worker_id = worker_id
        self._lanes = lanes
        self._round = Round(lanes)
        self._clock = clock
        self._on_change = on_change
        self._unknown: dict[str, EndpointNews] = {}
        """The newest of each subscription that is not in our view."""
        self._elsewhere: dict[str, EndpointNews] = {}
        """The newest of each that is in our view, if they are of another URL than it leads to here."""
        self._insisted: set[str] = set()
        """Subscriptions for which we have answered news of another URL that tell of no change."""
        self._withdraws_at_ms = clock.monotonic_ms() + WITHDRAW_EVERY_MS

    def tell(self, lane: Lane) -> None:
        """Something about this lane has changed here."""
        self._board.post(*encode(self._news_of(lane)))
        lane.failures.all_know(lane.failures.attempts, self._clock.now_ms())

    def look(self) -> None:
        """Tell of runs of failures now and then, and withdraw what nobody needs."""
        now_ms = self._clock.monotonic_ms()
        if now_ms >= self._withdraws_at_ms and self._presence.is_leading:
            self._withdraws_at_ms = now_ms + WITHDRAW_EVERY_MS
            self._withdraw()
        self._tell_runs(self._round.next(), RUNS_TOLD_MAX)

    def tell_runs(self) -> None:
        """Of all runs of failures what the others do not know: that one has ended, or that it goes on."""
        self._tell_runs(self._lanes, None)

    def _tell_runs(self, lanes: Iterable[Lane], runs_max: int | None) -> None:
        now_ms = self._clock.now_ms()
        news = (lane for lane in lanes if lane.failures.is_news(now_ms) and lane.disabled is None)
        for lane in islice(news, runs_max):
            self.tell(lane)

    def _withdraw(self) -> None:
        """What was told long ago of subscriptions that are in no view."""
        told_by_ms = self._clock.now_ms() - UNVIEWED_MAX_MS
        for news in islice((one for one in self._unknown.values() if one.at_ms <= told_by_ms), WITHDRAWN_MAX):
            self._board.post(key_of(news), None)

    def viewed(self, lanes: Iterable[Lane]) -> None:
        """These lanes are new: what was heard of them before they were is applied."""
        for lane in lanes:
            news = self._unknown.pop(lane.subscription.id, None)
            if news is not None:
                self._apply(lane, news)
                if not news.are_of(lane.subscription.url):
                    self.tell(lane)  # who knows more of the URL it leads to now says so

    def moved(self, lanes: Iterable[Lane]) -> None:
        """These lead to another URL than before: what others told of it is applied."""
        for lane in lanes:
            self._insisted.discard(lane.subscription.id)
            news = self._elsewhere.pop(lane.subscription.id, None)
            if news is not None:
                self._apply(lane, news)
            self.tell(lane)

    def dropped(self, lanes: Iterable[Lane]) -> None:
        """These are in our view no longer. What is known of them is told, for whoever has them later."""
        for lane in lanes:
            id_ = lane.subscription.id
            self._insisted.discard(id_)
            news = self._elsewhere.pop(id_, None)
            if news is None:  # else others have seen before us that it leads elsewhere
                news = self._news_of(lane)
                self.tell(lane)
            self._keep(news)

    @property
    def is_heard(self) -> bool:
        """Whether the board is: what we tell, and what others do, arrives."""
        return self._presence.is_board_heard

    # ── hearing ─────────────────────────────────────────────────────────────────────────────────

    def heard(self, news: News | Fault) -> None:
        """Something the board told."""
        match news:
            case EndpointNews():
                self._heard_of(news)
            case Forgotten(key=key) if key.startswith(_ENDPOINT):
                self._heard_withdrawn(key.removeprefix(_ENDPOINT))
            case BacklogNews() | WorkerNews() | ParkingNews() | Forgotten() | Fault():
                pass
            case _:
                assert_never(news)

    def _heard_of(self, news: EndpointNews) -> None:
        lane = self._lanes.get(news.subscription_id)
        if lane is not None:
            self._apply(lane, news)
        else:
            self._keep(news)

    def _heard_withdrawn(self, subscription_id: str) -> None:
        lane = self._lanes.get(subscription_id)
        if lane is not None:
            self.tell(lane)  # the leader's view is an old one
        else:
            self._unknown.pop(subscription_id, None)

    def _keep(self, news: EndpointNews) -> None:
        self._unknown.pop(news.subscription_id, None)
        self._unknown[news.subscription_id] = news
        if len(self._unknown) > UNKNOWN_MAX:
            del self._unknown[next(iter(self._unknown))]

    def _apply(self, lane: Lane, news: EndpointNews) -> None:
        now_ms = self._clock.now_ms()
        has_changed = False
        if not news.are_of(lane.subscription.url):
            self._elsewhere[lane.subscription.id] = news
            if news.url_since_ms < lane.url_since_ms:
                self._insist(lane, news)
            return
        self._elsewhere.pop(lane.subscription.id, None)
        lane.url_since_ms = max(lane.url_since_ms, news.url_since_ms)
        if news.cleared_at_ms > lane.cleared_at_ms:
            lane.clear(news.cleared_at_ms)
            has_changed = True
        if news.reset_at_ms > lane.reset_at_ms:
            lane.forget(news.reset_at_ms)
            has_changed = True
        was_learnt_before = news.reset_at_ms < lane.reset_at_ms
        was_asked_before = news.cleared_at_ms < lane.cleared_at_ms
        was_shut_before = was_asked_before if news.breaker.why == RETRY_AFTER else was_learnt_before
        if not was_shut_before and lane.adopt(news.breaker, now_ms):
            has_changed = True
        is_less = was_learnt_before or was_asked_before
        if not was_learnt_before:
            if news.disabled is not None and lane.disabled is None:
                lane.disabled = news.disabled
                has_changed = True
            elif lane.disabled is not None and news.disabled is not None:
                lane.disabled = agreed(lane.disabled, news.disabled)
            is_less |= self._hear_of_failures(lane, news, now_ms)
        if is_less or lane.disabled != news.disabled or lane.breaker.is_longer(news.breaker, now_ms):
            self.tell(lane)  # these news took the place of what we know
        if has_changed:
            self._on_change(lane)

    def _insist(self, lane: Lane, news: EndpointNews) -> None:
        """These news are of the URL it had before."""
        id_ = lane.subscription.id
        if not news.url_since_ms:
            if id_ in self._insisted:
                return
            self._insisted.add(id_)
        self.tell(lane)

    def _hear_of_failures(self, lane: Lane, news: EndpointNews, now_ms: int) -> bool:
        """Whether another worker tells of failures in a row that we know the end of."""
        lane.failures.all_know(news.failed_attempts, now_ms)
        lane.failures.told_of_success(min(news.succeeded_at_ms, now_ms))
        if self._succeeded_at_ms(lane) > news.failing_since_ms:
            return news.failed_attempts > 0 and news.worker != self._worker_id
        lane.failures.told_of_run(
            news.failing_since_ms, news.failed_attempts, told_at_ms=news.at_ms, now_ms=now_ms
        )
        return False

    def _succeeded_at_ms(self, lane: Lane) -> int:
        """When it last accepted something, of anybody as far as was told (Unix); 0: never."""
        told_ms = lane.failures.told_success_ms
        if not lane.proven_ms:
            return told_ms
        ago_ms = self._clock.monotonic_ms() - lane.proven_ms
        return max(told_ms, self._clock.now_ms() - ago_ms)

    def _news_of(self, lane: Lane) -> EndpointNews:
        return EndpointNews(
            subscription_id=lane.subscription.id,
            url_digest=digest_of(lane.subscription.url),
            url_since_ms=lane.url_since_ms,
            worker=self._worker_id,
            at_ms=self._clock.now_ms(),
            breaker=lane.breaker.snapshot(),
            disabled=lane.disabled,
            failing_since_ms=lane.failures.since_ms,
            failed_attempts=lane.failures.attempts,
            succeeded_at_ms=self._succeeded_at_ms(lane),
            reset_at_ms=lane.reset_at_ms,
            cleared_at_ms=lane.cleared_at_ms,
        )
