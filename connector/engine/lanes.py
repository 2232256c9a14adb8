"""Lanes: one per subscription, the unit of isolation.

A lane owns its queue and counts its POSTs under way; what is full is full for this subscription
alone. The dispatcher moves deliveries through lanes; a lane never starts anything itself.

A change of the subscriptions replaces what a lane sends with (URL, secrets, limits) between two
deliveries and never touches what is in flight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from connector.core.composer import Composer
from connector.core.event import Event
from connector.core.headers import Trail
from connector.core.ledger import Ticket
from connector.core.matching import Matcher
from connector.core.record import Record
from connector.core.subscription import Subscription
from connector.engine.ports import Endpoint, Sender

PROOF_MS = 1_000
"""How long a burst may wait before the lane's pace decides what has room."""
UNBOUNDED = 1 << 62
RATE_WINDOW_MS = 1_000
"""Over how long a lane's pace is measured: long enough to be steady, short enough to notice a stop."""


@dataclass(slots=True, eq=False)
class Delivery:
    """One event on its way to one subscription.

    ``ticket`` is the record in hand that owes this delivery; ``record`` is the source record as first
    read, also when the delivery came from a tier; ``trail`` is what the tier's headers told of its past,
    ``None`` for a first attempt. ``body`` is what was sent in the attempt under way, which began at
    ``started_ms`` (Unix); ``queued_ms`` (monotonic) is when it began to wait for a place.
    """

    ticket: Ticket
    record: Record
    event: Event
    lane: Lane
    trail: Trail | None = None
    queued_ms: int = 0
    started_ms: int = 0
    body: bytes = b""


class Lane:
    """A subscription at work.

    ``queue`` waits for one of ``subscription.in_flight_max`` places. What may wait is
    ``subscription.queue_max``, or what the lane's own pace will clear within a second, the larger: a fast
    endpoint with a backlog is not diverted, and a hanging one does not collect more than its share. A
    burst after a pause says nothing about the pace yet, so a lane whose last attempt did not fail has
    :data:`PROOF_MS` to show one. A lane that was found *in the way* (its POSTs under way held up a whole
    partition) lets nothing wait until one of them has ended. A removed subscription's lane is not
    ``is_live``.
    """

    __slots__ = (
        "_rate_count",
        "_rate_per_s",
        "_rate_since_ms",
        "attempts",
        "busy_since_ms",
        "composer",
        "endpoint",
        "has_failed",
        "in_flight",
        "is_in_the_way",
        "is_live",
        "is_queued",
        "not_before_ms",
        "queue",
        "subscription",
    )

    def __init__(self, subscription: Subscription, composer: Composer, endpoint: Endpoint) -> None:
        self.subscription = subscription
        self.composer = composer
        self.endpoint = endpoint
        self.queue: deque[Delivery] = deque()
        self.in_flight = 0
        self.is_live = True
        self.is_queued = False  # whether the dispatcher has it in line for a place
        self.is_in_the_way = False
        self.busy_since_ms = 0  # monotonic: since when something waits that was not worked off; 0: nothing
        self.has_failed = False  # whether the last attempt did
        self.attempts = 0
        self.not_before_ms = 0  # Unix: until when retries are to stay away, by an answer that came too late
        self._rate_count = 0
        self._rate_per_s = 0.0
        self._rate_since_ms = 0

    def has_place(self) -> bool:
        """Whether another POST may start now."""
        return self.in_flight < self.subscription.in_flight_max

    def room(self, now_ms: int) -> int:
        """How many deliveries may wait here; there is no bound of the lane's own while it may still
        prove its pace, only the process's."""
        if self.is_in_the_way:
            return 0
        if not self.has_failed and now_ms - self.busy_since_ms < PROOF_MS:
            return UNBOUNDED
        return max(self.subscription.queue_max, int(self.rate_per_s(now_ms)))

    def enqueue(self, delivery: Delivery, now_ms: int) -> bool:
        """Let ``delivery`` wait here; false, and nothing has changed, when there is no room."""
        waiting = len(self.queue)
        if self.is_in_the_way or (waiting >= self.subscription.queue_max and waiting >= self.room(now_ms)):
            return False
        if not self.busy_since_ms:
            self.busy_since_ms = now_ms
        delivery.queued_ms = now_ms
        self.queue.append(delivery)
        return True

    def next(self) -> Delivery:
        """Take the delivery that has waited longest out of the queue, to start it."""
        delivery = self.queue.popleft()
        if not self.queue:
            self.busy_since_ms = 0  # worked off: the next burst gets its own time to prove a pace
        return delivery

    def finished(self, now_ms: int, *, has_failed: bool) -> None:
        """An attempt ended: the lane's pace is measured by these."""
        self._roll(now_ms)
        self._rate_count += 1
        self.has_failed = has_failed
        self.is_in_the_way = False

    def rate_per_s(self, now_ms: int) -> float:
        """Attempts ended per second, over the last whole window or this one, the larger."""
        self._roll(now_ms)
        elapsed_ms = max(now_ms - self._rate_since_ms, 50)
        return max(self._rate_per_s, self._rate_count * 1_000 / elapsed_ms)

    def drain_estimate_ms(self, now_ms: int) -> int:
        """How long what waits here will take at the recent pace; a minute when nothing moves."""
        rate = self.rate_per_s(now_ms)
        return min(60_000, int(len(self.queue) * 1_000 / rate)) if rate else 60_000

    def _roll(self, now_ms: int) -> None:
        elapsed_ms = now_ms - self._rate_since_ms
        if elapsed_ms >= RATE_WINDOW_MS:
            # More than one window without a call: nothing ended in the last whole one.
            self._rate_per_s = (
                self._rate_count * 1_000 / elapsed_ms if elapsed_ms < 2 * RATE_WINDOW_MS else 0.0
            )
            self._rate_count = 0
            self._rate_since_ms = now_ms


class Lanes:
    """All lanes by subscription id, and which of them want an event of a given type."""

    def __init__(self, sender: Sender, compile_lane: Callable[[Subscription], Composer]) -> None:
        self._sender = sender
        self._compile = compile_lane
        self._by_id: dict[str, Lane] = {}
        self._matcher: Matcher[Lane] = Matcher(())

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, subscription_id: str) -> Lane | None:
        return self._by_id.get(subscription_id)

    def matching(self, event_type: str) -> Sequence[Lane]:
        """The lanes whose subscription wants events of this type, in file order."""
        return self._matcher.match(event_type)

    def replace(self, subscriptions: Sequence[Subscription]) -> list[Lane]:
        """Take a new view. Returns the lanes that may not keep their queue: removed, or now paused.

        Raises :class:`~connector.engine.ports.ForbiddenTarget` before anything has changed.
        """
        lanes: dict[str, Lane] = {}
        changes: list[tuple[Lane, Subscription, Composer, Endpoint]] = []
        for one in subscriptions:
            lane = self._by_id.get(one.id)
            if lane is None:
                lane = Lane(one, *self._prepare(one))
            elif lane.subscription != one:
                changes.append((lane, one, *self._prepare(one)))
            lanes[one.id] = lane
        for lane, subscription, composer, endpoint in changes:
            lane.subscription, lane.composer, lane.endpoint = subscription, composer, endpoint
        removed = [lane for id_, lane in self._by_id.items() if id_ not in lanes]
        for lane in removed:
            lane.is_live = False
        self._by_id = lanes
        self._matcher = Matcher((lane.subscription.events, lane) for lane in self._by_id.values())
        return removed + [lane for lane in self._by_id.values() if lane.subscription.paused and lane.queue]

    def _prepare(self, subscription: Subscription) -> tuple[Composer, Endpoint]:
        composer = self._compile(subscription)
        endpoint = self._sender.endpoint(
            subscription.url,
            headers=subscription.headers,
            content_type=composer.content_type,
            tls=subscription.tls,
            egress=subscription.egress,
        )
        return composer, endpoint
