"""The pump: from a source's batches to admitted records, and from settled records to commits.

One pump serves one consumer group; what it does with a record is its *intake* (source records become
events, tier records become due deliveries). It owns a flow per assigned partition and is the only
writer of its ledgers. A turn of the loop observes (what was fetched, what has room), decides (which
record may be admitted) and acts (admit, pause, grant, commit), for at most
:data:`RECORDS_PER_TURN` records, so that replies are served in between.

Back-pressure is the grant: no grant, no batch. A partition is paused only when it alone is stuck (its
head is not due, or its window has been full for a whole look) while the others go on: each pause makes
the client throw away what it has fetched.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from connector.core.accounts import Accounts
from connector.core.commits import CommitPlan, CommitState
from connector.core.doneset import decode
from connector.core.ledger import Ledger, Ticket
from connector.core.record import Record
from connector.engine.ports import (
    Assignment,
    Clock,
    Commit,
    CommitResult,
    Fetched,
    Jump,
    Log,
    Source,
    Spawn,
    TopicPartition,
)
from connector.engine.settlement import Settlement

RECORDS_PER_TURN = 64
"""Records admitted before the loop serves replies again: about 2 ms of work."""
GRANTS = 2
"""Batches fetched ahead: one in hand, one on its way."""
DRAIN_LOOK_MS = 10
"""How often a drain looks whether it is done."""
LOOKS_MAX = 20
"""For how many looks a full window may stay as it is before all in it is diverted: 5 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowLimits:
    """Bounds of one partition's window: admitted records not below the watermark, and the bytes of
    the unsettled ones. A record larger than the bound is admitted alone, into an empty window."""

    window_records_max: int
    window_bytes_max: int


class Flow:
    """One partition in hand: its ledger, what was fetched and is not admitted yet (``carry``), and
    what the group has committed.

    ``fetched_ms`` (monotonic) is when the last of the carry was fetched, ``wake_ms`` when its head is due
    (monotonic; 0: now). ``held`` says why an operator must look before this partition goes on; empty
    when it flows. ``poison_run`` counts poison records in a row, ``still_looks`` looks at
    a full window in a row between which nothing was admitted.
    """

    __slots__ = (
        "carry", "commits", "end_offset", "epoch", "fetched_ms", "held", "is_draining", "is_paused",
        "leader_epoch", "ledger", "poison_run", "still_looks", "tp", "wake_ms",
    )  # fmt: skip

    def __init__(self, assignment: Assignment) -> None:
        self.tp = assignment.tp
        self.epoch = assignment.epoch
        done = decode(assignment.committed_metadata, topic_id=assignment.topic_id)
        self.ledger = Ledger(position=assignment.position, done=done)
        self.commits = CommitState(topic_id=assignment.topic_id)
        self.carry: deque[Record] = deque()
        self.end_offset = -1
        self.fetched_ms = 0
        self.leader_epoch = done.leader_epoch if done else -1
        self.wake_ms = 0
        self.held = ""
        self.poison_run = 0
        self.is_paused = False
        self.still_looks = 0
        self.is_draining = False


@dataclass(frozen=True, slots=True)
class Taken:
    """The record is admitted, or was done before: go on with the next."""


@dataclass(frozen=True, slots=True)
class NotDue:
    """Come back at ``wake_ms`` (monotonic); the record stays at the head."""

    wake_ms: int


@dataclass(frozen=True, slots=True)
class Held:
    """This record must not be passed until an operator has looked; it stays at the head."""

    why: str


TAKEN = Taken()


class Intake(Protocol):
    """What becomes of a record."""

    def take(self, flow: Flow, record: Record) -> Taken | NotDue | Held:
        """Admit the head of ``flow``'s carry, or say why not now."""


class Downstream(Protocol):
    """Where deliveries go: asked for room before each record, told when partitions are leaving."""

    def has_room(self) -> bool: ...

    def withdraw(self, ledgers: Collection[Ledger]) -> None:
        """Give back what is queued for these; divert what a partly delivered record still owes."""

    def has_under_way(self, ledgers: Collection[Ledger]) -> bool:
        """Whether a POST or a write for one of these is under way."""

    def divert_queued(self, tickets: Collection[Ticket], why: str) -> None:
        """Divert whatever of these records is queued."""

    def abandon(self, tickets: Collection[Ticket], why: str) -> None:
        """Divert whatever of these records is queued or in flight; their POSTs go on unheeded."""


class Pump:
    """Serves one consumer group. Implements :class:`~connector.engine.ports.Reading`."""

    def __init__(
        self,
        *,
        name: str,
        source: Source,
        intake: Intake,
        downstream: Downstream,
        settlement: Settlement,
        accounts: Accounts,
        limits: FlowLimits,
        clock: Clock,
        spawn: Spawn,
        log: Log,
        on_fatal: Callable[[str], None],
        commit_interval_ms: int,
        settled_per_commit: int,
    ) -> None:
        self.name = name
        self._source = source
        self._intake = intake
        self._downstream = downstream
        self._accounts = accounts
        self._limits = limits
        self._clock = clock
        self._spawn = spawn
        self._log = log
        self._on_fatal = on_fatal
        self._commit_interval_ms = commit_interval_ms
        self._settled_per_commit = settled_per_commit
        self._flows: dict[TopicPartition, Flow] = {}
        self._grants = 0
        self._is_scheduled = False
        self._is_stopping = False
        self._is_drained = False
        self._waker: asyncio.TimerHandle | None = None
        self._wakes_at_ms = 0
        self._settled_at_commit = 0
        self._hurry_at_ms = 1 << 62
        self.held = ""
        """Why nothing is admitted, while nothing is."""
        self.has_joined = False
        settlement.wake(self._turn_soon)
        self._settlement = settlement

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start reading. Call once, on the loop."""
        self._source.start(self)
        self._grant()
        self._spawn(self._commit_for_ever(), f"{self.name} commits")

    async def drain(self, budget_ms: int) -> None:
        """Admit nothing more; wait until what is in hand is settled or ``budget_ms`` has passed.
        The partitions stay ours until the source is closed."""
        self._is_stopping = True
        flows = list(self._flows.values())
        await self._drain(flows, budget_ms)
        self._is_drained = True
        self.commit_now()

    def hurry(self) -> None:
        """End every drain under way now: what is in flight is sent again by the next owner."""
        self._hurry_at_ms = 0

    def hold(self, why: str) -> None:
        """Admit nothing until :meth:`release`: what decides who gets an event is in doubt."""
        self.held = why

    def release(self) -> None:
        if self.held:
            self.held = ""
            self._turn_soon()

    # ── what is in hand ─────────────────────────────────────────────────────────────────────────

    @property
    def flows(self) -> Collection[Flow]:
        return self._flows.values()

    def oldest_unsettled_ms(self) -> int:
        """The age of the oldest record that holds a commit up; 0 when none does."""
        oldest_ms = min((ms for flow in self._flows.values() if (ms := flow.ledger.oldest_ms)), default=0)
        return max(0, self._clock.now_ms() - oldest_ms) if oldest_ms > 0 else 0

    def records_in_hand(self) -> int:
        return sum(flow.ledger.open_count for flow in self._flows.values())

    # ── Reading: what the source tells ──────────────────────────────────────────────────────────

    def assigned(self, assignments: Sequence[Assignment]) -> None:
        self.has_joined = True
        for assignment in assignments:
            assert assignment.tp not in self._flows, "a partition is assigned after it was taken away"
            self._flows[assignment.tp] = Flow(assignment)
            # A pause of its last epoch may have reached the source late: it would be silent for ever.
            self._source.resume(assignment.tp)

    def fetched(self, batch: Sequence[Fetched]) -> None:
        self._grants -= 1
        now_ms = self._clock.monotonic_ms()
        for part in batch:
            flow = self._flows.get(part.tp)
            if flow is None or flow.epoch != part.epoch or flow.is_draining:
                continue  # of an epoch that is over: its next owner reads it again
            flow.carry.extend(part.records)
            flow.fetched_ms = now_ms
            if part.end_offset >= 0:
                flow.end_offset = part.end_offset
        self._turn()

    def revoking(
        self, tps: Sequence[TopicPartition], budget_ms: int, done: Callable[[Sequence[Commit]], None]
    ) -> None:
        flows = [self._flows[tp] for tp in tps if tp in self._flows]
        self._spawn(self._hand_over(flows, budget_ms, done), f"{self.name} hands over")

    def lost(self, tps: Sequence[TopicPartition]) -> None:
        flows = [self._flows[tp] for tp in tps if tp in self._flows]
        self._log.warning("partitions lost", group=self.name, partitions=[str(flow.tp) for flow in flows])
        self._close(flows)

    def committed(self, results: Sequence[CommitResult]) -> None:
        for result in results:
            flow = self._flows.get(result.commit.tp)
            if flow is None or flow.epoch != result.commit.epoch:
                continue
            plan = CommitPlan(result.commit.offset, result.commit.metadata)
            if result.error:
                self._accounts.commits_failed += 1
                flow.commits.reject(plan, is_metadata_refused=result.is_metadata_refused)
                self._log.warning(
                    "commit failed; it is tried again",
                    partition=str(flow.tp),
                    offset=result.commit.offset,
                    why=result.error,
                )
            else:
                self._accounts.commits += 1
                flow.commits.acknowledge(plan)

    def jumped(self, jump: Jump) -> None:
        self._accounts.jumps[jump.reason] += 1
        self._accounts.offsets_lost += jump.lost
        say = self._log.error if jump.lost else self._log.warning
        say(
            "position moved",
            partition=str(jump.tp),
            why=jump.reason,
            from_offset=jump.from_offset,
            to_offset=jump.to_offset,
            records_lost=jump.lost,
        )

    def faulted(self, what: str, *, is_fatal: bool) -> None:
        if is_fatal:
            self._log.error("the Kafka client cannot go on", group=self.name, why=what)
            self._on_fatal(f"{self.name}: {what}")
        else:
            self._log.warning("Kafka fault", group=self.name, why=what)

    # ── one turn ────────────────────────────────────────────────────────────────────────────────

    def _turn_soon(self) -> None:
        if not self._is_scheduled and not self._is_stopping:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._is_scheduled = False
        if self._is_stopping:
            return
        budget = RECORDS_PER_TURN
        is_full = bool(self.held)
        # Read once: between two readings a flow could fall due for the one and not for the other.
        now_ms = self._clock.monotonic_ms()
        for flow in self._with_carry(now_ms):
            if budget == 0 or is_full:
                break
            budget, is_full = self._advance(flow, budget)
        if is_full and not self.held:
            self._settlement.is_awaited = True
        elif budget == 0:
            self._turn_soon()
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
        carry = flow.carry
        take, has_room = self._intake.take, self._downstream.has_room
        flow.wake_ms = 0
        while carry:
            if budget == 0:
                return 0, False
            if flow.held:
                return budget, False
            record = carry[0]
            if not self._has_window(flow, record):
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
            flow.ledger.reach_end(flow.end_offset)
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

    def _pause(self, flow: Flow) -> None:
        flow.is_paused = True
        self._source.pause(flow.tp)

    def _has_window(self, flow: Flow, record: Record) -> bool:
        ledger, limits = flow.ledger, self._limits
        if ledger.window >= limits.window_records_max:
            return False
        return not ledger.open_count or ledger.open_bytes + record.size_bytes <= limits.window_bytes_max

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

    def unblock(self) -> None:
        """The head-of-line rule, asked at every look. A partition that was given no record since the last
        look, because its window is full, is paused so that the others go on, and what is queued of its
        records is diverted. What is in flight follows when nearly all of the window is settled, or the
        patience is over: that may send something twice."""
        for flow in list(self._flows.values()):
            if not flow.carry or self._has_window(flow, flow.carry[0]):
                flow.still_looks = 0
                continue
            flow.still_looks += 1
            if flow.still_looks == 1:
                continue
            if not flow.is_paused:
                self._pause(flow)
                self._turn_soon()
            ledger = flow.ledger
            is_held_by_few = ledger.open_count * 20 <= ledger.window
            is_over = is_held_by_few or flow.still_looks > LOOKS_MAX
            relieve = self._downstream.abandon if is_over else self._downstream.divert_queued
            relieve(ledger.open_tickets(), "head of line")

    # ── commits ─────────────────────────────────────────────────────────────────────────────────

    def commit_now(self) -> None:
        """Ask for every commit that is due."""
        self._settled_at_commit = self._accounts.records_settled
        commits = self._commits(self._flows.values(), is_final=False)
        if commits:
            self._source.commit(commits)

    async def _commit_for_ever(self) -> None:
        while True:
            waited_ms = 0
            while waited_ms < self._commit_interval_ms:
                await asyncio.sleep(min(100, self._commit_interval_ms) / 1_000)
                waited_ms += 100
                if self._accounts.records_settled - self._settled_at_commit >= self._settled_per_commit:
                    break
            self.commit_now()

    def _commits(self, flows: Iterable[Flow], *, is_final: bool) -> list[Commit]:
        commits = []
        now_ms = self._clock.monotonic_ms()
        for flow in flows:
            plan = flow.commits.plan(
                flow.ledger, now_ms=now_ms, leader_epoch=flow.leader_epoch, is_final=is_final
            )
            if plan is not None:
                self._accounts.done_sets_dropped += plan.has_dropped_done_set
                commits.append(
                    Commit(tp=flow.tp, epoch=flow.epoch, offset=plan.offset, metadata=plan.metadata)
                )
        return commits

    # ── handing over ────────────────────────────────────────────────────────────────────────────

    async def _hand_over(
        self, flows: Sequence[Flow], budget_ms: int, done: Callable[[Sequence[Commit]], None]
    ) -> None:
        # After a stop's drain, what is still in flight has had its time.
        await self._drain(flows, 0 if self._is_drained else budget_ms)
        commits = self._commits((flow for flow in flows if flow.ledger.is_live), is_final=True)
        self._close(flows)
        done(commits)

    async def _drain(self, flows: Sequence[Flow], budget_ms: int) -> None:
        """Give back what is queued, then wait for what is in flight: two thirds of the budget for the
        replies, the last third for the letters of what a partly delivered record still owes."""
        for flow in flows:
            flow.is_draining = True
            flow.carry.clear()
            flow.end_offset = -1
            flow.wake_ms = 0
        ledgers = [flow.ledger for flow in flows]
        self._downstream.withdraw(ledgers)
        started_ms = self._clock.monotonic_ms()
        if not await self._until_quiet(ledgers, started_ms + budget_ms * 2 // 3):
            # Only what is partly delivered: the rest is read again whole, and repeats nothing.
            partly = [ticket for one in ledgers for ticket in one.open_tickets() if ticket.settled_deliveries]
            self._downstream.abandon(partly, "partition leaves")
            await self._until_quiet(ledgers, started_ms + budget_ms)

    async def _until_quiet(self, ledgers: Sequence[Ledger], deadline_ms: int) -> bool:
        while self._downstream.has_under_way(ledgers):
            if self._clock.monotonic_ms() >= min(deadline_ms, self._hurry_at_ms):
                return False
            await asyncio.sleep(DRAIN_LOOK_MS / 1_000)
        return True

    def _close(self, flows: Collection[Flow]) -> None:
        for flow in flows:
            if self._flows.get(flow.tp) is flow:
                del self._flows[flow.tp]
            self._accounts.records_released += flow.ledger.close()
        self._downstream.withdraw([flow.ledger for flow in flows])
        self._turn_soon()  # the others may have waited for these
