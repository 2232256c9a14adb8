"""A lane: one subscription at work, the unit of isolation.

A lane owns its two queues and counts its POSTs under way; what is full is full for this subscription
alone. How many may be under way is learnt from the endpoint (its *pace*), whether any may is the *breaker's*
to say, and how many may start in a second its rate limit's. A lane never starts anything itself: the
dispatcher does, by what :class:`~connector.engine.places.Places` allow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from connector.core.breaker import Breaker, BreakerRules, BreakerSnapshot
from connector.core.composer import Composer
from connector.core.disabling import Disabled, FailureRun
from connector.core.ladder import fit
from connector.core.limiter import TokenBucket
from connector.core.outcome import Deferred, Refused
from connector.core.pace import Pace
from connector.core.rate import WINDOW_MS, Rate
from connector.core.returns import Returns
from connector.core.subscription import Subscription
from connector.core.throughput import MEASURE_MS, Throughput
from connector.engine.delivery import Delivery
from connector.engine.host import NOTHING_WAITS, Host
from connector.engine.ports import Endpoint

PROOF_MS = 1_000
"""How long a burst may wait before the lane's pace decides what has room."""
UNBOUNDED = 1 << 62
STALL_MS = 2_500
"""A lane whose places are all taken and that heard nothing for so long is stalled, unless its endpoint is
known to take its time. Half of what a delivery may wait: what is queued then would wait in vain."""
STILL_MS = 60_000
"""What a lane has no room for waits for about so long where nothing ends at present."""
FAILING_MS = 30_000
"""The same where whatever ends has failed: as long as a breaker that opens for the first time."""
RETRIES_MS = 6_500
"""As many retries may wait as the lane makes in so long: the shortest tier hands all it has back at once
every 5 s, up to a second late, and the lane is not to idle before the next time."""
RETRIES_MAX = 2_000
"""But no more than that, a tenth of what a process has in hand, unless ``queue_max`` is more."""
SOON_MS = 200
"""What has its turn by then holds nobody up. Half a window is not taken in less."""
PROVEN_MS = 60_000
"""For how long a success shows that the endpoint works."""


class Lane:
    """A subscription at work.

    ``queue`` holds fresh deliveries, ``retries`` those from a tier; when both wait they start in turn. What
    may wait of the fresh ones is ``subscription.queue_max``, or what the lane's own pace will clear within a
    second, the larger: a fast endpoint with a backlog is not diverted, and a hanging one does not collect
    more than its share. Of retries, which fresh events so never crowd out, as many may wait again, or what
    the lane makes until the shortest tier brings more. A burst after a pause says nothing about the pace yet,
    so a lane whose last attempt did not fail has :data:`PROOF_MS` to show one, unless it has ``returns``:
    then more came than it could take, and a part of that is still to come back. In a *stalled* lane (its
    places are taken by POSTs that nothing is heard of) only as many wait as it has places: the next answers
    will need no more, and all others would wait in vain, holding up their partitions. A lane that was found
    *in the way* (its POSTs under way held up a whole partition) lets nothing wait until one of them has
    ended. A removed subscription's lane is not ``is_live``.

    ``in_flight`` are the POSTs under way to the URL that it leads to now.

    ``resets`` counts how often what was learnt was forgotten. The answer of an attempt that began before the
    last time is about what the lane knows no longer, perhaps about another URL: it teaches the lane nothing
    (``tests/engine/test_outdated_answers.py``), but that this URL asks to be left alone.
    """

    __slots__ = (
        "_is_retrys_turn",
        "attempts",
        "breaker",
        "bucket",
        "busy_since_ms",
        "cleared_at_ms",
        "composer",
        "disabled",
        "endpoint",
        "failures",
        "has_failed",
        "host",
        "in_flight",
        "is_in_the_way",
        "is_live",
        "is_proven",
        "is_shut_by_others",
        "line",
        "moved_ms",
        "pace",
        "proven_ms",
        "queue",
        "rate",
        "reset_at_ms",
        "resets",
        "retries",
        "returns",
        "subscription",
        "throughput",
        "url_resets",
        "url_since_ms",
    )

    def __init__(
        self,
        subscription: Subscription,
        composer: Composer,
        endpoint: Endpoint,
        host: Host,
        rules: BreakerRules,
    ) -> None:
        self.subscription = subscription
        self.composer = composer
        self.endpoint = endpoint
        self.host = host
        self.pace = Pace(subscription.in_flight_max)
        self.breaker = Breaker(rules)
        self.is_shut_by_others = False  # whether another worker told of what its breaker was last shut for
        self.bucket = _bucket(subscription)
        self.failures = FailureRun()
        self.disabled: Disabled | None = None
        self.reset_at_ms = 0  # Unix: when what was learnt of the endpoint was last forgotten on purpose
        self.cleared_at_ms = 0  # Unix: when even a wish to be left alone was, by an operator
        self.url_since_ms = 0  # Unix: when it was last seen to lead to another URL than before; 0: never
        self.resets = 0
        self.url_resets = 0  # what ``resets`` was when it began to lead to this URL
        self.queue: deque[Delivery] = NOTHING_WAITS
        self.retries: deque[Delivery] = NOTHING_WAITS
        self.in_flight = 0
        self.is_live = True
        self.line: deque[Lane] | None = None  # where it waits for a place; see Places
        self.is_proven = False  # whether it succeeded within PROVEN_MS
        self.proven_ms = 0  # monotonic: when it last succeeded; 0: never
        self.moved_ms = 0  # monotonic: when an attempt last ended, or the first of those under way began
        self.is_in_the_way = False
        self.busy_since_ms = 0  # monotonic: since when something waits without a break; 0: nothing does
        self.has_failed = False  # whether the last attempt did
        self.attempts = 0
        self.rate = Rate()  # at which attempts end
        self.returns: Returns | None = None  # what has gone to tiers for want of room, while there is any
        self.throughput: Throughput | None = None  # while it has more to do than it can take
        self._is_retrys_turn = False

    def change(
        self, subscription: Subscription, composer: Composer, endpoint: Endpoint, host: Host, now_ms: int
    ) -> None:
        """Send with these from now on. What was learnt of another URL does not hold for this one."""
        if endpoint.url != self.endpoint.url:
            self.breaker.reset()
            self._begin_anew()
            self.in_flight = 0  # what hangs at another URL says nothing of how many this one takes
            self.is_in_the_way = False
            self.url_resets = self.resets
            self.reset_at_ms = self.cleared_at_ms = 0
            self.url_since_ms = max(now_ms, self.url_since_ms + 1)
        if self.subscription.paused and not subscription.paused:
            self.failures.resumed(now_ms)
        self.pace.rebound(subscription.in_flight_max)
        if subscription.rate_per_s != self.subscription.rate_per_s:
            self.bucket = _bucket(subscription)
        self.subscription, self.composer, self.endpoint, self.host = subscription, composer, endpoint, host

    def forget(self, at_ms: int) -> None:
        """What was learnt of the endpoint before ``at_ms`` (Unix) holds no longer: it is like a new one, but
        for a time that it asked to be left alone. The time told of it is later than that of the reset before,
        even if the clock is not."""
        self.reset_at_ms = max(at_ms, self.reset_at_ms + 1)
        self._begin_anew()

    def clear(self, at_ms: int) -> None:
        """An operator wants it tried whatever it has asked for until ``at_ms`` (Unix)."""
        self.cleared_at_ms = at_ms
        self.breaker.reset()

    def _begin_anew(self) -> None:
        self.resets += 1
        self.breaker.succeeded()  # which ends all but a hold-off
        self.pace.restart()
        self.failures = FailureRun()
        self.disabled = None
        self.is_proven = False
        self.proven_ms = 0
        self.has_failed = False

    # ── waiting ─────────────────────────────────────────────────────────────────────────────────

    @property
    def is_parking(self) -> bool:
        """Whether what it gets is parked: somebody paused it, or it is disabled."""
        return self.subscription.paused or self.disabled is not None

    @property
    def is_suspect(self) -> bool:
        """Whether it failed last, and had no success lately."""
        return self.has_failed and not self.is_proven

    @property
    def waiting(self) -> int:
        """Deliveries that wait here for a place."""
        return len(self.queue) + len(self.retries)

    def has_place(self, now_ms: int) -> bool:
        """Whether another POST may start at ``now_ms`` (Unix), as far as this lane is asked."""
        breaker = self.breaker
        if breaker.state == "closed":
            return self.in_flight < self.pace.limit
        return breaker.may_probe(now_ms)

    def is_shut(self, now_ms: int) -> bool:
        """Whether nothing may be tried at ``now_ms`` (Unix): the breaker is open, and not to be asked yet."""
        return self.breaker.state == "open" and now_ms < self.breaker.until_ms

    def is_stalled(self, now_ms: int) -> bool:
        """Whether nothing was heard lately of what is under way, and nothing more may start (monotonic)."""
        silent_ms = now_ms - self.moved_ms
        if silent_ms <= STALL_MS or self.in_flight < self.pace.limit:
            return False
        return silent_ms > self.pace.slow_ms or not self.is_proven

    def room(self, now_ms: int) -> int:
        """How many fresh deliveries may wait here; there is no bound of the lane's own while it may still
        prove its pace, only the process's."""
        if (bound := self._bound(now_ms)) is not None:
            return bound
        return max(self.subscription.queue_max, int(self.rate.per_s(now_ms)))

    def retry_room(self, now_ms: int) -> int:
        """The same for retries."""
        if (bound := self._bound(now_ms)) is not None:
            return bound
        per_s = self._watched(now_ms).per_s or self.rate.per_s(now_ms)
        return max(self.subscription.queue_max, min(int(per_s * RETRIES_MS / 1_000), RETRIES_MAX))

    def _bound(self, now_ms: int) -> int | None:
        """What bounds either queue whatever the pace; ``None``: nothing does."""
        if self.is_in_the_way:
            return 0
        if self.is_stalled(now_ms):
            return self.pace.limit
        may_prove_itself = not self.has_failed and now_ms - self.busy_since_ms < PROOF_MS
        if may_prove_itself and not self._awaits_returns(now_ms):
            return UNBOUNDED
        return None

    def _watched(self, now_ms: int) -> Throughput:
        """What it makes while it has enough to do. Ask at every look."""
        pace = self.pace
        throughput = self.throughput = self.throughput or Throughput()
        throughput.look(
            attempts=self.attempts,
            busy_since_ms=self.busy_since_ms,
            is_learning=pace.is_learning and self.in_flight >= pace.limit and not self.has_failed,
            now_ms=now_ms,
        )
        return throughput

    def enqueue(self, delivery: Delivery, now_ms: int) -> bool:
        """Let ``delivery`` wait here; false, and nothing has changed, when there is no room."""
        if self.is_in_the_way:
            return False
        is_fresh = delivery.trail is None
        waiting = len(self.queue if is_fresh else self.retries)
        sure = 0 if self.is_stalled(now_ms) else self.subscription.queue_max
        if waiting >= sure and waiting >= (self.room(now_ms) if is_fresh else self.retry_room(now_ms)):
            return False
        if not self.busy_since_ms:
            self.busy_since_ms = now_ms
        delivery.since_ms = now_ms
        self._queue_of(delivery).append(delivery)
        return True

    def put_back(self, delivery: Delivery) -> None:
        """It was started and is to wait again, ahead of all others."""
        delivery.is_probe = False
        self._queue_of(delivery).appendleft(delivery)

    def _queue_of(self, delivery: Delivery) -> deque[Delivery]:
        """Where ``delivery`` waits; made here for the first that does."""
        if delivery.trail is None:
            self.queue = self.queue or deque()
            return self.queue
        self.retries = self.retries or deque()
        return self.retries

    def wait_anew(self, now_ms: int) -> None:
        """What waits here could not be sent for a fault of ours: its time to wait, and the lane's to prove
        a pace, begin at ``now_ms`` (monotonic)."""
        if self.waiting:
            self.busy_since_ms = now_ms
            for queue in (self.queue, self.retries):
                for delivery in queue:
                    delivery.since_ms = now_ms

    def next(self) -> Delivery:
        """Take the delivery that is to start next out of its queue: of fresh ones and retries in turn."""
        queue = self.queue
        if self.retries and (self._is_retrys_turn or not queue):
            queue = self.retries
        self._is_retrys_turn = queue is self.queue
        delivery = queue.popleft()
        self._rest_if_empty()
        return delivery

    def take_surplus(self, now_ms: int) -> list[Delivery]:
        """Take out of its queues the youngest that there is no room for."""
        surplus = [self.queue.pop() for _ in range(len(self.queue) - self.room(now_ms))]
        surplus += [self.retries.pop() for _ in range(len(self.retries) - self.retry_room(now_ms))]
        if surplus:
            self._rest_if_empty()
        return surplus

    def late(self, now_ms: int) -> set[Delivery]:
        """What waits here of fresh deliveries and will not have its turn soon, by the pace of late; nothing
        while a pace may still be proven."""
        if self._bound(now_ms) == UNBOUNDED:
            return set()
        soon = max(int(self.rate.per_s(now_ms) * SOON_MS / 1_000), 1)
        return set(islice(self.queue, soon, None))

    def remove(self, is_leaving: Callable[[Delivery], bool]) -> list[Delivery]:
        """Take those out of the queues."""
        leaving = [one for queue in (self.queue, self.retries) for one in queue if is_leaving(one)]
        if leaving:
            self.queue = deque(one for one in self.queue if not is_leaving(one))
            self.retries = deque(one for one in self.retries if not is_leaving(one))
            self._rest_if_empty()
        return leaving

    def _rest_if_empty(self) -> None:
        if not self.queue and not self.retries:
            self.queue = self.retries = NOTHING_WAITS
            self.busy_since_ms = 0  # the next burst gets its own time to prove a pace

    # ── what attempts tell ──────────────────────────────────────────────────────────────────────

    def succeeded(self, delivery: Delivery, monotonic_ms: int) -> bool:
        """An attempt was accepted, with its place still held. Whether the breaker's state changed by it. If
        the endpoint has asked for a pause all the same: :meth:`hold_off`."""
        if delivery.resets != self.resets:
            self._moved(monotonic_ms)
            return False
        rate = self.rate
        if monotonic_ms - rate.since_ms >= WINDOW_MS:
            rate.roll(monotonic_ms)
        rate.count += 1
        self.is_in_the_way = False
        self.moved_ms = monotonic_ms
        self.has_failed = False
        self.is_proven = True
        self.proven_ms = monotonic_ms
        pace, breaker, begun_ms = self.pace, self.breaker, delivery.since_ms
        pace.succeeded(monotonic_ms - begun_ms, begun_ms, monotonic_ms, is_full=self.in_flight >= pace.limit)
        if self.failures.attempts:
            self.failures.succeeded()
        return (breaker.failures > 0 or breaker.state != "closed") and self._reopen()

    def hold_off(self, delivery: Delivery, until_ms: int, now_ms: int) -> bool:
        """An answer came with the wish to be left alone until then (Unix): it holds whatever was forgotten
        meanwhile, for the URL that was asked. Whether it is news."""
        return delivery.resets >= self.url_resets and self.breaker.hold_off(until_ms, now_ms)

    def failed(self, delivery: Delivery, outcome: Deferred | Refused, now_ms: int, monotonic_ms: int) -> bool:
        """An attempt was not accepted at ``now_ms`` (Unix), with its place still held. Whether the breaker's
        state changed by it."""
        self._moved(monotonic_ms)
        if delivery.resets != self.resets:
            return self.hold_off(delivery, now_ms + outcome.retry_after_ms, now_ms)
        if isinstance(outcome, Deferred) and not outcome.is_counted:
            if outcome.is_doubtful:
                self.pace.failed(delivery.since_ms, monotonic_ms)  # it takes fewer places while in doubt
            if outcome.retry_after_ms:
                return self.breaker.hold_off(now_ms + outcome.retry_after_ms, now_ms)
            if delivery.is_probe:
                self.breaker.probe_lost()
            return False
        self.has_failed = True
        self.failures.failed(now_ms)
        if isinstance(outcome, Deferred) and outcome.slows_lane:
            self.pace.failed(delivery.since_ms, monotonic_ms)
        if outcome.retry_after_ms:
            return self.breaker.hold_off(now_ms + outcome.retry_after_ms, now_ms)
        if isinstance(outcome, Refused):
            return self._reopen()  # it refuses, so it is there
        is_shut_now = self.breaker.failed(now_ms, outcome.error_class, is_probe=delivery.is_probe)
        self.is_shut_by_others &= not is_shut_now
        return is_shut_now

    def adopt(self, told: BreakerSnapshot, now_ms: int) -> bool:
        """Another worker has ``told`` what it learnt. Whether the breaker changed by it."""
        if not self.breaker.adopt(told, now_ms):
            return False
        self.is_shut_by_others = self.breaker.state == "open"
        if not self.is_shut_by_others:
            self.pace.restart()
        return True

    def _moved(self, monotonic_ms: int) -> None:
        """An attempt has ended, whatever came of it."""
        self.rate.roll(monotonic_ms)
        self.rate.count += 1
        self.is_in_the_way = False
        self.moved_ms = monotonic_ms

    def _reopen(self) -> bool:
        has_changed = self.breaker.succeeded()
        if has_changed:
            self.pace.restart()
        return has_changed

    # ── what waits elsewhere ────────────────────────────────────────────────────────────────────

    def rest_ms(self, now_ms: int) -> int:
        """For how long what there is no room for here would come back in vain; 0 where something moves. That
        attempts end is no pace while all of them fail; that they are refused is one: it is there."""
        if self.host.is_at_rest or self.is_stalled(now_ms):
            return STILL_MS
        return FAILING_MS if self.is_suspect and self.breaker.failures else 0

    def take_tier(self, tiers: Sequence[int], now_ms: int) -> int:
        """The tier for one more that there is no room for here, where something moves."""
        per_s = self._watched(now_ms).expected_per_s(self.rate, self.bucket, now_ms)
        if per_s == 0:
            return fit(STILL_MS, tiers)
        returns = self.returns = self.returns or Returns()
        if per_s is None:
            return returns.add(fit(MEASURE_MS, tiers), now_ms)  # it is back when that is known
        # What is still here without room goes the same way.
        waiting = min(len(self.queue), self.room(now_ms)) + min(len(self.retries), self.retry_room(now_ms))
        return returns.take_tier(tiers, waiting=waiting, per_s=per_s, now_ms=now_ms)

    # ── what holds no longer ────────────────────────────────────────────────────────────────────

    def expire(self, now_ms: int) -> None:
        """Forget a success of long ago, what waited elsewhere once all of it is back, and what the lane makes
        once it has nothing to do. Ask every few seconds (monotonic)."""
        if self.is_proven and now_ms - self.proven_ms > PROVEN_MS:
            self.is_proven = False
        if self.throughput is not None and not self._awaits_returns(now_ms) and not self.busy_since_ms:
            self.throughput = None

    def _awaits_returns(self, now_ms: int) -> bool:
        """Whether a part of what went to tiers for want of room is still to come back."""
        if self.returns is not None and self.returns.are_over(now_ms):
            self.returns = None
        return self.returns is not None


def _bucket(subscription: Subscription) -> TokenBucket | None:
    rate_per_s = subscription.rate_per_s
    return None if rate_per_s is None else TokenBucket(rate_per_s)
