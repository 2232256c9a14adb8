"""Turns: what was fetched becomes admitted records, a little at a time.

A turn observes (what was fetched, what has room), decides (which record may be admitted) and acts (admit,
pause, grant), for at most :data:`RECORDS_PER_TURN` records, so that replies are served in between.

Back-pressure is the grant: no grant, no batch. A partition is paused only when it alone is stuck (its
head is not due, it is held, or its window has been full for a whole look) while the others go on: each
pause makes the client throw away what it has fetched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from connector.engine.flow import Flow, FlowLimits
from connector.engine.head_of_line import HeadOfLine
from connector.engine.intake import Held, Intake, NotDue, Taken
from connector.engine.ports import Clock, Fetched, Log, Source, TopicPartition
from connector.engine.settlement import Settlement

RECORDS_PER_TURN = 64
"""Records admitted before the loop serves replies again: about 2 ms of work."""
GRANTS = 2
"""Batches fetched ahead: one in hand, one on its way."""


class Room(Protocol):
    """Where deliveries go, asked before each record."""

    def has_room(self) -> bool: ...


class Turns:
    """The only one that admits records to the flows, which it also serves in rotation. ``held`` says why
    nothing is admitted, while nothing is."""

    def __init__(
        self,
        *,
        flows: dict[TopicPartition, Flow],
        source: Source,
        intake: Intake,
        downstream: Room,
        settlement: Settlement,
        head_of_line: HeadOfLine,
        limits: FlowLimits,
        clock: Clock,
        log: Log,
    ) -> None:
        self._flows = flows
        self._source = source
        self._intake = intake
        self._downstream = downstream
        self._settlement = settlement
        self._head_of_line = head_of_line
        self._limits = limits
        self._clock = clock
        self._log = log
        self._grants = 0
        self._is_scheduled = False
        self._is_stopping = False
        self._waker: asyncio.TimerHandle | None = None
        self._wakes_at_ms = 0
        self.held = ""
        settlement.wake(self.soon)

    def start(self) -> None:
        """Ask for the first batches."""
        self._grant()

    def stop(self) -> None:
        """Admit nothing more, for good."""
        self._is_stopping = True

    def hold(self, why: str) -> None:
        """Admit nothing until :meth:`release`."""
        self.held = why

    def release(self) -> None:
        if self.held:
            self.held = ""
            self.soon()

    def fetched(self, batch: Sequence[Fetched]) -> None:
        """Take what was fetched in hand, spend its grant, and take a turn."""
        self._grants -= 1
        now_ms = self._clock.monotonic_ms()
        for part in batch:
            flow = self._flows.get(part.tp)
            if flow is None or flow.epoch != part.epoch or flow.is_draining:
                continue  # of an epoch that is over: its next owner reads it again
            flow.carry.extend(part.records)
            flow.log_ends.saw(part.log_end, now_ms)
            if part.end_offset >= 0:
                flow.end_offset = part.end_offset
        self._turn()

    def soon(self) -> None:
        """Take a turn once the loop has served what waits."""
        if not self._is_scheduled and not self._is_stopping:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def unblock(self) -> None:
        """Relieve partitions whose windows stay full. Call at every look."""
        for flow in self._head_of_line.stuck(list(self._flows.values())):
            self._pause(flow)
            self.soon()

    def _pause(self, flow: Flow) -> None:
        """Fetch nothing of ``flow`` until its carry is used up."""
        flow.is_paused = True
        self._source.pause(flow.tp)

    # ── one turn ────────────────────────────────────────────────────────────────────────────────

    def _turn(self) -> None:
        self._is_scheduled = False
        if self._is_stopping:
            return
        budget = RECORDS_PER_TURN
        is_full = bool(self.held)
        # Read once: between two readings a flow could fall due for the one and not for the other.
        now_ms = self._clock.monotonic_ms()
        flows = self._with_carry(now_ms)
        if self._head_of_line.is_to_look(now_ms) and self._downstream.has_room():
            # Without room nothing is to be written instead of sent, either.
            staying = [flow for flow in self._flows.values() if not flow.is_draining]
            self._head_of_line.overtake(staying, now_ms)
        for flow in flows:
            if budget == 0 or is_full:
                break
            budget, is_full = self._advance(flow, budget)
        if is_full and not self.held:
            self._settlement.is_awaited = True
        elif budget == 0:
            self.soon()
        self._steer(now_ms, is_full=is_full)

    def _with_carry(self, now_ms: int) -> list[Flow]:
        # Those behind the last one served come first next time: dict order rotates.
        flows = [
            flow
            for flow in self._flows.values()
            if (flow.carry or flow.end_offset >= 0) and flow.wake_ms <= now_ms
        ]
        if len(flows) > 1:
            first = flows[0]
            self._flows[first.tp] = self._flows.pop(first.tp)
        return flows

    def _advance(self, flow: Flow, budget: int) -> tuple[int, bool]:
        """Admit from ``flow`` while it may. Returns the budget left, and whether there is no room
        anywhere downstream."""
        carry, ledger = flow.carry, flow.ledger
        take, has_room, has_window = self._intake.take, self._downstream.has_room, self._limits.has_window
        flow.wake_ms = 0
        while carry:
            if budget == 0:
                return 0, False
            if flow.held:
                return budget, False
            record = carry[0]
            if not has_window(ledger, record):
                self._settlement.is_awaited = True
                return budget, False
            if not has_room():
                return budget, True
            if record.leader_epoch > flow.leader_epoch:
                flow.leader_epoch = record.leader_epoch
            match take(flow, record):
                case Taken():
                    carry.popleft()
                    flow.still_looks = 0
                    budget -= 1
                case NotDue(wake_ms):
                    flow.wake_ms = wake_ms
                    return budget, False
                case Held(why):
                    flow.held = why
                    self._log.error("partition held", partition=str(flow.tp), record=str(record), why=why)
                    return budget, False
        if flow.end_offset >= 0:
            ledger.reach_end(flow.end_offset)
            flow.end_offset = -1
        return budget, False

    def _steer(self, now_ms: int, *, is_full: bool) -> None:
        """Pause what alone is stuck, resume what is not, and ask for more when there is nothing left."""
        wake_ms = 0
        is_busy = is_full
        for flow in self._flows.values():
            if flow.carry and not flow.is_paused and (flow.held or flow.wake_ms):
                self._pause(flow)
            elif flow.is_paused and not flow.carry:
                flow.is_paused = False
                self._source.resume(flow.tp)
            # One that is due already waits for room or its turn, and either brings the next turn.
            if flow.wake_ms > now_ms and (not wake_ms or flow.wake_ms < wake_ms):
                wake_ms = flow.wake_ms
            is_busy = is_busy or (bool(flow.carry) and not flow.is_paused)
        if not is_busy:
            self._grant()
        self._wake_at(wake_ms)

    def _grant(self) -> None:
        while self._grants < GRANTS:
            self._grants += 1
            self._source.grant()

    def _wake_at(self, wake_ms: int) -> None:
        if wake_ms == self._wakes_at_ms:
            return
        if self._waker is not None:
            self._waker.cancel()
            self._waker = None
        self._wakes_at_ms = wake_ms
        if wake_ms:
            delay_ms = max(0, wake_ms - self._clock.monotonic_ms())
            self._waker = asyncio.get_running_loop().call_later(delay_ms / 1_000, self._woken)

    def _woken(self) -> None:
        self._wakes_at_ms = 0
        self._waker = None
        self._turn()
