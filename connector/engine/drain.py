"""The drain: what is in hand of leaving partitions ends within a budget.

What is queued is given back; what is in flight may end; what a partly delivered record still owes is
diverted, so that the record settles and its other deliveries are not repeated. The rest is read again
whole by the next owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol

from connector.core.ledger import Ledger, Ticket
from connector.engine.flow import Flow
from connector.engine.ports import Clock

DRAIN_LOOK_MS = 10
"""How often a drain looks whether it is done."""


class Leaving(Protocol):
    """Gives up deliveries whose partitions leave."""

    def withdraw(self, ledgers: Collection[Ledger]) -> None:
        """Give back what is queued for these; divert what a partly delivered record still owes."""

    def has_under_way(self, ledgers: Collection[Ledger]) -> bool:
        """Whether a POST or a write for one of these is under way."""

    def abandon(self, tickets: Collection[Ticket], why: str) -> None:
        """Divert whatever of these records is queued or in flight; their POSTs go on unheeded."""


class Drain:
    """Drains flows, any number at a time."""

    def __init__(self, handing_over: Leaving, clock: Clock) -> None:
        self._handing_over = handing_over
        self._clock = clock
        self._hurry_at_ms = 1 << 62

    def hurry(self) -> None:
        """End every drain, under way or to come, at its next look."""
        self._hurry_at_ms = 0

    async def drain(self, flows: Sequence[Flow], budget_ms: int) -> None:
        """Give back what is queued, then wait for what is in flight: two thirds of the budget for the
        replies, the last third for the letters of what a partly delivered record still owes."""
        for flow in flows:
            flow.is_draining = True
            flow.carry.clear()
            flow.end_offset = -1
            flow.wake_ms = 0
        ledgers = [flow.ledger for flow in flows]
        self._handing_over.withdraw(ledgers)
        started_ms = self._clock.monotonic_ms()
        if not await self._until_quiet(ledgers, started_ms + budget_ms * 2 // 3):
            # Only what is partly delivered: the rest is read again whole, and repeats nothing.
            partly = [ticket for one in ledgers for ticket in one.open_tickets() if ticket.settled_deliveries]
            self._handing_over.abandon(partly, "partition leaves")
            await self._until_quiet(ledgers, started_ms + budget_ms)

    async def _until_quiet(self, ledgers: Sequence[Ledger], deadline_ms: int) -> bool:
        while self._handing_over.has_under_way(ledgers):
            if self._clock.monotonic_ms() >= min(deadline_ms, self._hurry_at_ms):
                return False
            await asyncio.sleep(DRAIN_LOOK_MS / 1_000)
        return True
