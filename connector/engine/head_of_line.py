"""The head-of-line rule: a partition whose window is full and stays so is relieved.

A partition that was given no record since the last look, because its window is full, is paused so that
the others go on, and what is queued of its records is diverted. What is in flight follows when nearly all
of the window is settled, or the patience is over: that may send something twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from connector.core.ledger import Ticket
from connector.engine.flow import Flow, FlowLimits
from connector.engine.ports import TopicPartition
from connector.engine.turns import Turns

LOOKS_MAX = 20
"""For how many looks a full window may stay as it is before all in it is diverted: 5 s."""


class Relief(Protocol):
    """Gives up deliveries that are in the way."""

    def divert_queued(self, tickets: Collection[Ticket], why: str) -> None:
        """Divert whatever of these records is queued."""

    def abandon(self, tickets: Collection[Ticket], why: str) -> None:
        """Divert whatever of these records is queued or in flight; their POSTs go on unheeded."""


class HeadOfLine:
    """Looks at the flows' windows, and counts in each how often it has looked in vain."""

    def __init__(
        self,
        *,
        flows: Mapping[TopicPartition, Flow],
        turns: Turns,
        handing_over: Relief,
        limits: FlowLimits,
    ) -> None:
        self._flows = flows
        self._turns = turns
        self._handing_over = handing_over
        self._limits = limits

    def look(self) -> None:
        for flow in list(self._flows.values()):
            if not flow.carry or self._limits.has_window(flow.ledger, flow.carry[0]):
                flow.still_looks = 0
                continue
            flow.still_looks += 1
            if flow.still_looks > 1:
                self._relieve(flow)

    def _relieve(self, flow: Flow) -> None:
        if not flow.is_paused:
            self._turns.pause(flow)
            self._turns.soon()
        ledger = flow.ledger
        is_held_by_few = ledger.open_count * 20 <= ledger.window
        is_over = is_held_by_few or flow.still_looks > LOOKS_MAX
        relieve = self._handing_over.abandon if is_over else self._handing_over.divert_queued
        relieve(ledger.open_tickets(), "head of line")
