"""Places: which lane may have another POST under way.

A lane's own limit is its own matter. Beyond it there are three that lanes share: the process's, each
host's, so that a thousand subscriptions to one host cannot storm it, and a quarter of the process's for all
lanes without a recent success together, so that a hundred endpoints that hang cannot take all of it. Of those
lanes, the ones that were never tried come before the ones that failed.

A lane that has something to start and may not waits in one line: the general one when only the process is
full, else in the line of what it lacks. Whatever ends a POST moves the next ones up, and who was moved up and
does not take the place passes it on, so nobody is looked for: all of it is O(1).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from connector.engine.delivery import Delivery
from connector.engine.host import NOTHING_WAITS, Host
from connector.engine.lane import Lane
from connector.engine.ports import Clock

UNPROVEN_SHARE: Final = 4
"""One of so many places may be used by lanes without a recent success."""
ASK_AGAIN_MS: Final = 250
"""A lane that waits for its rate limit asks again so soon at the latest: its share may have grown."""


class Places:
    """``flying`` are the deliveries whose POSTs are under way, ``waiting`` counts those in lanes' queues, and
    ``queued`` are these lanes, so that nobody has to look at all there are; ``line`` are the lanes that wait
    for no more than their turn. While ``is_closed`` nothing waiting starts.

    A lane is in the one line that its ``line`` names, once, and in no other; one that has something waiting
    and lacks nothing is in none but the general one: ``tests/engine/test_places.py``.
    """

    def __init__(self, *, in_flight_max: int, clock: Clock, start: Callable[[Delivery], None]) -> None:
        self._in_flight_max = in_flight_max
        self._unproven_max = max(1, in_flight_max // UNPROVEN_SHARE)
        self._clock = clock
        self._start = start
        self._unproven = 0
        self.line: deque[Lane] = deque()
        self._untried: deque[Lane] = deque()
        self._suspects: deque[Lane] = deque()
        self._timed: deque[Lane] = deque()  # never filled: it marks lanes that wait for their rate limit
        self.flying: set[Delivery] = set()
        self.waiting = 0
        self._queued: dict[Lane, None] = {}  # in the order in which they began to have something waiting
        self.is_closed = False

    def may_start(self, lane: Lane) -> bool:
        """Whether a new delivery of ``lane`` may start at once; a token of its rate limit is then used."""
        if (
            self.is_closed
            or lane.queue
            or lane.retries
            or len(self.flying) >= self._in_flight_max
            or lane.host.in_flight >= lane.host.in_flight_max
            or not (lane.is_proven or self._unproven < self._unproven_max)
        ):
            return False
        if lane.breaker.state == "closed":
            if lane.in_flight >= lane.pace.limit:
                return False
        elif not lane.has_place(self._clock.now_ms()):
            return False
        return lane.bucket is None or not lane.bucket.take(self._clock.monotonic_ms())

    @property
    def queued(self) -> Sequence[Lane]:
        """The lanes that have something waiting now."""
        return tuple(self._queued)

    def enqueue(self, delivery: Delivery, now_ms: int) -> bool:
        """Let ``delivery`` wait in its lane from ``now_ms`` (monotonic); false when there is no room."""
        lane = delivery.lane
        if not lane.enqueue(delivery, now_ms):
            return False
        self.waiting += 1
        self._queued[lane] = None
        self.line_up(lane)
        return True

    def put_back(self, delivery: Delivery) -> None:
        """It was started and is to wait again, ahead of all others."""
        lane = delivery.lane
        lane.put_back(delivery)
        self.waiting += 1
        self._queued[lane] = None

    def occupy(self, delivery: Delivery) -> None:
        """Its POST starts."""
        lane = delivery.lane
        host = delivery.host = lane.host
        delivery.resets = lane.resets
        if not lane.in_flight:
            lane.moved_ms = delivery.since_ms
        lane.in_flight += 1
        host.in_flight += 1
        if not lane.is_proven:
            delivery.is_unproven = True
            self._unproven += 1
        self.flying.add(delivery)

    def vacate(self, delivery: Delivery) -> None:
        """Its POST has ended: those that lacked this place move up."""
        lane = delivery.lane
        if delivery.resets >= lane.url_resets:
            lane.in_flight -= 1
        host = delivery.host
        host.in_flight -= 1
        if host.line:
            self._move_up(host.line)
        if delivery.is_unproven:
            delivery.is_unproven = False
            self._unproven -= 1
            if self._untried or self._suspects:
                self._move_up_unproven()
        self.flying.discard(delivery)

    def line_up(self, lane: Lane) -> None:
        """``lane`` may have something to start, and a place for it."""
        line = lane.line
        if line is not None and lane.is_proven and (line is self._untried or line is self._suspects):
            line.remove(lane)  # it has proven itself: once a minute at most
            line = None
        if line is None and (lane.queue or lane.retries):
            lane.line = self.line
            self.line.append(lane)

    def reopen(self, host: Host) -> None:
        """It is no longer at rest: those that waited for that move up, one after the other."""
        if host.line:
            self._move_up(host.line)

    def line_up_anew(self, lanes: Iterable[Lane]) -> None:
        """These are all lanes there are now, and some may lead elsewhere: whoever has something to start
        lines up again."""
        for line in (self.line, self._untried, self._suspects):
            line.clear()
        for delivery in self.flying:
            delivery.host.line = NOTHING_WAITS  # of a host, perhaps, that no lane leads to any more
        for lane in lanes:
            lane.host.line = NOTHING_WAITS
            if lane.line is not self._timed:
                lane.line = None
            self.line_up(lane)

    def take_out(self, lane: Lane, is_leaving: Callable[[Delivery], bool]) -> list[Delivery]:
        """Take those out of the queues of ``lane``."""
        return self._left(lane, lane.remove(is_leaving))

    def take_surplus(self, lane: Lane, now_ms: int) -> list[Delivery]:
        """Take out of the queues of ``lane`` what there is no room for at ``now_ms`` (monotonic)."""
        return self._left(lane, lane.take_surplus(now_ms))

    def _left(self, lane: Lane, leaving: list[Delivery]) -> list[Delivery]:
        self.waiting -= len(leaving)
        if not lane.waiting:
            self._queued.pop(lane, None)
        return leaving

    def serve(self) -> None:
        """Give free places to the lanes in line in turn, one each."""
        line = self.line
        while line and len(self.flying) < self._in_flight_max and not self.is_closed:
            lane = line.popleft()
            lane.line = None
            if self._is_next(lane):
                delivery = lane.next()
                self.waiting -= 1
                if not (lane.queue or lane.retries):
                    del self._queued[lane]
                self._start(delivery)
                self.line_up(lane)
            self._pass_on(lane)

    def _is_next(self, lane: Lane) -> bool:
        """Whether ``lane`` may start one now; else it waits for what it lacks, if that is shared."""
        if not lane.waiting or not lane.has_place(self._clock.now_ms()):
            return False  # its own answers, or its next delivery, line it up again
        if lane.host.in_flight >= lane.host.in_flight_max:
            lane.host.line = lane.host.line or deque()
            self._wait_in(lane.host.line, lane)
        elif not lane.is_proven and self._unproven >= self._unproven_max:
            self._wait_in(self._suspects if lane.has_failed else self._untried, lane)
        elif lane.bucket is not None and (wait_ms := lane.bucket.take(self._clock.monotonic_ms())):
            lane.line = self._timed
            wait_ms = min(wait_ms, ASK_AGAIN_MS)
            asyncio.get_running_loop().call_later(wait_ms / 1_000, self._timed_out, lane)
        else:
            return True
        return False

    def _wait_in(self, line: deque[Lane], lane: Lane) -> None:
        lane.line = line
        line.append(lane)

    def _pass_on(self, lane: Lane) -> None:
        """``lane`` has had its turn. It may have been moved up and have started nothing, or have proven
        itself meanwhile and not used what it was moved up for: what is free is for the next in line."""
        host = lane.host
        if host.line and host.in_flight < host.in_flight_max:
            self._move_up(host.line)
        if self._unproven < self._unproven_max and (self._untried or self._suspects):
            self._move_up_unproven()

    def _move_up_unproven(self) -> None:
        if not self._move_up(self._untried):
            self._move_up(self._suspects)

    def _move_up(self, line: deque[Lane]) -> bool:
        """Whether somebody in ``line`` still had something to start."""
        while line:
            lane = line.popleft()
            lane.line = None
            self.line_up(lane)
            if lane.line is not None:
                return True
        return False

    def _timed_out(self, lane: Lane) -> None:
        lane.line = None
        self.line_up(lane)
        self.serve()
