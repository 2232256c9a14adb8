"""The pump: one consumer group served, from assignment to hand-over.

It keeps a flow per assigned partition and puts together what serves them: turns admit what was fetched, the
committer commits what is settled, the head-of-line rule frees a stuck window, a drain empties what leaves.
What becomes of a record is its *intake* (source records become events, tier records become due deliveries).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from connector.core.accounts import Accounts
from connector.engine.committer import Committer
from connector.engine.drain import Drain, Leaving
from connector.engine.flow import Flow, FlowLimits
from connector.engine.head_of_line import HeadOfLine, Relief
from connector.engine.intake import Intake
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
from connector.engine.turns import Room, Turns


class Yielding(Relief, Leaving, Protocol):
    """Gives up deliveries in hand."""


class Pump:
    """Serves one consumer group. Implements :class:`~connector.engine.ports.Reading`."""

    def __init__(
        self,
        *,
        name: str,
        source: Source,
        intake: Intake,
        downstream: Room,
        handing_over: Yielding,
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
        self.has_joined = False
        self.absent_topics: Collection[str] = ()
        self._held_at_source: Collection[TopicPartition] = ()
        self._source = source
        self._handing_over = handing_over
        self._accounts = accounts
        self._clock = clock
        self._spawn = spawn
        self._log = log
        self._on_fatal = on_fatal
        self._is_drained = False
        self._flows: dict[TopicPartition, Flow] = {}
        self._turns = Turns(
            flows=self._flows,
            source=source,
            intake=intake,
            downstream=downstream,
            settlement=settlement,
            head_of_line=HeadOfLine(handing_over, limits),
            limits=limits,
            clock=clock,
            log=log,
        )
        self._committer = Committer(
            flows=self._flows,
            source=source,
            accounts=accounts,
            clock=clock,
            log=log,
            commit_interval_ms=commit_interval_ms,
            settled_per_commit=settled_per_commit,
        )
        self._drain = Drain(handing_over, clock)

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start reading. Call once, on the loop."""
        self._source.start(self)
        self._turns.start()
        self._spawn(self._committer.commit_for_ever(), f"{self.name} commits")

    async def drain(self, budget_ms: int) -> None:
        """Admit nothing more; wait until what is in hand is settled or ``budget_ms`` has passed, and then
        until that is committed. The partitions stay ours until the source is closed."""
        self._turns.stop()
        await self._drain.drain(list(self._flows.values()), budget_ms)
        self._is_drained = True
        await self._committer.commit_last()

    def hurry(self) -> None:
        """End every drain under way now: what is in flight is sent again by the next owner."""
        self._drain.hurry()
        self._committer.hurry()

    def hold(self, why: str) -> None:
        """Admit nothing until :meth:`release`: what decides who gets an event is in doubt."""
        self._turns.hold(why)

    def release(self) -> None:
        self._turns.release()

    def unblock(self) -> None:
        """Relieve partitions whose windows stay full. Call at every look."""
        self._turns.unblock()

    # ── what is in hand ─────────────────────────────────────────────────────────────────────────

    @property
    def flows(self) -> Collection[Flow]:
        return self._flows.values()

    @property
    def held(self) -> str:
        """Why nothing is admitted, while nothing is."""
        return self._turns.held

    @property
    def partitions_held(self) -> int:
        """How many wait for an operator: for a record of theirs, or because their log was cut."""
        return sum(1 for flow in self._flows.values() if flow.held or flow.tp in self._held_at_source)

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
        self._turns.fetched(batch)

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
        self._committer.committed(results)

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

    def absent(self, topics: Collection[str]) -> None:
        self.absent_topics = topics

    def holding(self, tps: Collection[TopicPartition]) -> None:
        self._held_at_source = tps

    def faulted(self, what: str, *, is_fatal: bool) -> None:
        if is_fatal:
            self._log.error("the Kafka client cannot go on", group=self.name, why=what)
            self._on_fatal(f"{self.name}: {what}")
        else:
            self._log.warning("Kafka fault", group=self.name, why=what)

    # ── handing over ────────────────────────────────────────────────────────────────────────────

    async def _hand_over(
        self, flows: Sequence[Flow], budget_ms: int, done: Callable[[Sequence[Commit]], None]
    ) -> None:
        # After a stop's drain, what is still in flight has had its time.
        await self._drain.drain(flows, 0 if self._is_drained else budget_ms)
        commits = self._committer.due((flow for flow in flows if flow.ledger.is_live), is_final=True)
        self._close(flows)
        done(commits)

    def _close(self, flows: Collection[Flow]) -> None:
        for flow in flows:
            if self._flows.get(flow.tp) is flow:
                del self._flows[flow.tp]
            self._accounts.records_released += flow.ledger.close()
        self._handing_over.withdraw([flow.ledger for flow in flows])
        self._turns.soon()  # the others may have waited for these
