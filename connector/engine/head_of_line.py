"""The head-of-line rule: a partition is not held up by a few of its records.

When a window is half full, and at least half of its older half is settled, the rest has been *overtaken*
by hundreds of others. Before those have to wait, it is diverted: what is queued for an endpoint that failed
last and accepted nothing lately, and what is queued for any other and will not have its turn soon. (Later
would be too late: one batch may bring a quarter of a window within 40 ms, and a letter takes 50 to be
durable.) What is in flight for the former is diverted too, which may send it twice, when no more than a few
records are in the way. A partition whose window is full and stays so is paused, so that the others go on, and
what is queued of its records is diverted; all of it, which may send something twice, when it is held up by
few or the patience is over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from connector.core.ledger import Ticket
from connector.engine.flow import Flow, FlowLimits

FEW = 20
"""One of so many records of a window may be in the way: then the others wait for these few."""
OVERTAKE_EVERY_MS = 100
"""In which a busy partition takes what is left of its window. All partitions are looked at together: to find
what waits of their records takes a look at every lane that has something waiting."""
LOOKS_MAX = 20
"""For how many looks a full window may stay as it is before all in it is diverted: 5 s."""

_WHY = "head of line"


class Relief(Protocol):
    """Gives up deliveries that are in the way."""

    def divert_queued(self, tickets: Collection[Ticket], why: str) -> None:
        """Divert whatever of these records is queued."""

    def abandon(self, tickets: Collection[Ticket], why: str) -> None:
        """Divert whatever of these records is queued or in flight; their POSTs go on unheeded."""

    def divert_overtaken(self, tickets: Collection[Ticket], why: str, now_ms: int) -> None:
        """Divert what is queued of these for an endpoint that failed last, without a recent success; of what
        is queued for others, what was never tried and will not have its turn soon after ``now_ms``
        (monotonic)."""

    def abandon_suspects(self, tickets: Collection[Ticket], why: str) -> None:
        """Divert what is in flight of these to an endpoint that failed last, without a recent success; their
        POSTs go on unheeded."""


class HeadOfLine:
    """Looks at the flows' windows, and counts in each how often it has looked in vain."""

    def __init__(self, relief: Relief, limits: FlowLimits) -> None:
        self._relief = relief
        self._limits = limits
        self._half_full = limits.window_records_max // 2
        self._looks_ms = 0

    def is_to_look(self, now_ms: int) -> bool:
        """Whether it is time (monotonic) for :meth:`overtake`."""
        return now_ms >= self._looks_ms

    def overtake(self, flows: Iterable[Flow], now_ms: int) -> None:
        """Divert what the windows of ``flows`` will soon wait for."""
        self._looks_ms = now_ms + OVERTAKE_EVERY_MS
        overtaken: list[Ticket] = []
        few: list[Ticket] = []
        for flow in flows:
            if flow.ledger.window >= self._half_full:
                stragglers = flow.ledger.stragglers()
                overtaken += stragglers
                if len(stragglers) * FEW <= flow.ledger.window:
                    few += stragglers
        if overtaken:
            self._relief.divert_overtaken(overtaken, _WHY, now_ms)
        if few:
            self._relief.abandon_suspects(few, _WHY)

    def stuck(self, flows: Iterable[Flow]) -> list[Flow]:
        """Look, and relieve the flows whose windows stay as they are. Which of them are to be paused."""
        return [flow for flow in flows if self._is_stuck(flow) and not flow.is_paused]

    def _is_stuck(self, flow: Flow) -> bool:
        if not flow.carry or self._limits.has_window(flow.ledger, flow.carry[0]):
            flow.still_looks = 0
            return False
        flow.still_looks += 1
        if flow.still_looks <= 1:
            return False
        ledger = flow.ledger
        is_held_by_few = ledger.open_count * FEW <= ledger.window
        is_over = is_held_by_few or flow.still_looks > LOOKS_MAX
        relieve = self._relief.abandon if is_over else self._relief.divert_queued
        relieve(ledger.open_tickets(), _WHY)
        return True
