"""Places: which lane may have another POST under way.

A lane's own limit is its own matter. Beyond it there are three that lanes share: the process's, each
host's, so that a thousand subscriptions to one host cannot storm it, and a quarter of the process's for all
lanes without a recent success together, so that a hundred endpoints that hang cannot take all of it. Of those
lanes, the ones that were never tried come before the ones that failed.

A lane that has something to start and may not waits in one line: the general one when only the process is
full, else in the line of what it lacks. Whatever ends a POST moves the next ones up, so nobody is looked
for: all of it is O(1).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from connector.engine.lane import Delivery, Lane
from connector.engine.ports import Clock

UNPROVEN_SHARE: Final = 4
"""One of so many places may be used by lanes without a recent success."""


class Places:
    """``flying`` are the deliveries whose POSTs are under way, ``waiting`` counts those in lanes' queues.
    While ``is_closed`` nothing waiting starts."""

    def __init__(
        self, *, in_flight_max: int, host_in_flight_max: int, clock: Clock, start: Callable[[Delivery], None]
    ) -> None:
        self._in_flight_max = in_flight_max
        self._host_in_flight_max = host_in_flight_max
        self._unproven_max = max(1, in_flight_max // UNPROVEN_SHARE)
        self._clock = clock
        self._start = start
        self._unproven = 0
        self._line: deque[Lane] = deque()
        self._untried: deque[Lane] = deque()
        self._suspects: deque[Lane] = deque()
        self._timed: deque[Lane] = deque()  # never filled: it marks lanes that wait for their rate limit
        self.flying: set[Delivery] = set()
        self.waiting = 0
        self.is_closed = False

    @property
    def has_line(self) -> bool:
        """Whether a lane waits for no more than its turn."""
        return bool(self._line)

    def may_start(self, lane: Lane) -> bool:
        """Whether a new delivery of ``lane`` may start at once; a token of its rate limit is then used."""
        if (
            lane.queue
            or lane.retries
            or self.is_closed
            or len(self.flying) >= self._in_flight_max
            or lane.host.in_flight >= self._host_in_flight_max
            or not (lane.is_proven or self._unproven < self._unproven_max)
            or not lane.has_place(0 if lane.breaker.state == "closed" else self._clock.now_ms())
        ):
            return False
        return lane.bucket is None or not lane.bucket.take(self._clock.monotonic_ms())

    def occupy(self, delivery: Delivery) -> None:
        """Its POST starts."""
        lane = delivery.lane
        host = delivery.host = lane.host
        lane.in_flight += 1
        host.in_flight += 1
        if not lane.is_proven:
            delivery.is_unproven = True
            self._unproven += 1
        self.flying.add(delivery)

    def vacate(self, delivery: Delivery) -> None:
        """Its POST has ended: those that lacked this place move up."""
        lane = delivery.lane
        lane.in_flight -= 1
        host = delivery.host
        host.in_flight -= 1
        if host.line:
            self._move_up(host.line)
        if delivery.is_unproven:
            delivery.is_unproven = False
            self._unproven -= 1
            self._move_up(self._untried if self._untried else self._suspects)
        self.flying.discard(delivery)

    def line_up(self, lane: Lane) -> None:
        """``lane`` may have something to start, and a place for it."""
        line = lane.line
        # One that has proven itself leaves its place in a line of the others behind, to be passed over.
        is_proven_now = lane.is_proven and (line is self._untried or line is self._suspects)
        if (line is None or is_proven_now) and (lane.queue or lane.retries):
            lane.line = self._line
            self._line.append(lane)

    def serve(self) -> None:
        """Give free places to the lanes in line in turn, one each."""
        line = self._line
        while line and len(self.flying) < self._in_flight_max and not self.is_closed:
            lane = line.popleft()
            if lane.line is not line:
                continue
            lane.line = None
            if self._is_next(lane):
                self.waiting -= 1
                self._start(lane.next())
                self.line_up(lane)

    def _is_next(self, lane: Lane) -> bool:
        """Whether ``lane`` may start one now; else it waits for what it lacks, if that is shared."""
        if not lane.waiting or not lane.has_place(self._clock.now_ms()):
            return False  # its own answers, or its next delivery, line it up again
        if lane.host.in_flight >= self._host_in_flight_max:
            self._wait_in(lane.host.line, lane)
        elif not lane.is_proven and self._unproven >= self._unproven_max:
            self._wait_in(self._suspects if lane.has_failed else self._untried, lane)
        elif lane.bucket is not None and (wait_ms := lane.bucket.take(self._clock.monotonic_ms())):
            lane.line = self._timed
            asyncio.get_running_loop().call_later(wait_ms / 1_000, self._timed_out, lane)
        else:
            return True
        return False

    def _wait_in(self, line: deque[Lane], lane: Lane) -> None:
        lane.line = line
        line.append(lane)

    def _move_up(self, line: deque[Lane]) -> None:
        while line:
            lane = line.popleft()
            if lane.line is line:
                lane.line = None
                self.line_up(lane)
                return

    def _timed_out(self, lane: Lane) -> None:
        if lane.line is self._timed:
            lane.line = None
            self.line_up(lane)
            self.serve()
