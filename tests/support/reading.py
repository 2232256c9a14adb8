"""An owner of a source that writes down what it is told."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

from connector.core.record import Record
from connector.engine.ports import (
    Assignment,
    Commit,
    CommitResult,
    Fetched,
    Jump,
    Source,
    TopicPartition,
)

_WAIT_S = 20.0


class Recorder:
    """Implements :class:`~connector.engine.ports.Reading`.

    ``log`` is every call in order, by name and partition. While ``is_granting``, each batch earns the
    next grant. ``last_commits`` is what it answers when partitions are taken away; ``is_draining_for_ever``
    keeps the answer back.
    """

    def __init__(self, *, is_granting: bool = True) -> None:
        self.is_granting = is_granting
        self.is_draining_for_ever = False
        self.log: list[tuple[str, TopicPartition | None]] = []
        self.live: dict[TopicPartition, Assignment] = {}
        self.ever: list[Assignment] = []
        self.records: defaultdict[TopicPartition, list[Record]] = defaultdict(list)
        self.ends: dict[TopicPartition, int] = {}
        self.batches: list[list[Fetched]] = []
        self.results: list[CommitResult] = []
        self.jumps: list[Jump] = []
        self.faults: list[tuple[str, bool]] = []
        self.budgets_ms: list[int] = []
        self.last_commits: Callable[[Sequence[TopicPartition]], Sequence[Commit]] = lambda tps: ()
        self.has_joined = False
        self.absent_topics: set[str] = set()
        self.held: set[TopicPartition] = set()
        self._changed = asyncio.Event()
        self._source: Source | None = None

    def own(self, source: Source, topics: Sequence[str]) -> None:
        """Start ``source`` and read ``topics``."""
        self._source = source
        source.start(self)
        source.subscribe(topics)
        if self.is_granting:
            source.grant()

    async def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until ``is_so()``; it can only become true by a call to this recorder."""
        try:
            async with asyncio.timeout(_WAIT_S):
                while not is_so():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"not within {_WAIT_S:g} s: {what}; faults: {self.faults}, log: {self.log[-20:]}"
            ) from None

    async def until_read(self, tp: TopicPartition, count: int) -> list[Record]:
        await self.until(lambda: len(self.records[tp]) >= count, f"{count} records of {tp}")
        return self.records[tp]

    async def until_assigned(self, count: int) -> None:
        await self.until(lambda: len(self.live) == count, f"{count} partitions, have {list(self.live)}")

    async def until_fault(self, *words: str) -> str:
        def found() -> list[str]:
            return [what for what, _ in self.faults if all(word in what for word in words)]

        await self.until(lambda: bool(found()), f"a fault about {words}")
        return found()[-1]

    def values(self, tp: TopicPartition) -> list[bytes | None]:
        return [record.value for record in self.records[tp]]

    async def commit(self, tp: TopicPartition, offset: int) -> None:
        """Commit, and wait for the first answer."""
        assert self._source is not None, "it owns a source"
        self._source.commit([self.commit_of(tp, offset)])
        await self.until(lambda: bool(self.results), "the commit")

    def commit_of(self, tp: TopicPartition, offset: int, metadata: str = "") -> Commit:
        return Commit(tp=tp, epoch=self.live[tp].epoch, offset=offset, metadata=metadata)

    # ── what a source tells ─────────────────────────────────────────────────────────────────────

    def assigned(self, assignments: Sequence[Assignment]) -> None:
        self.has_joined = True
        for assignment in assignments:
            assert assignment.tp not in self.live, f"{assignment.tp} is assigned twice"
            self.live[assignment.tp] = assignment
            self.ever.append(assignment)
            self._note("assigned", assignment.tp)
        self._changed.set()

    def fetched(self, batch: Sequence[Fetched]) -> None:
        self.batches.append(list(batch))
        for part in batch:
            assert self.live[part.tp].epoch == part.epoch, f"records of a dead epoch of {part.tp}"
            self.records[part.tp].extend(part.records)
            if part.end_offset >= 0:
                self.ends[part.tp] = part.end_offset
            self._note("fetched", part.tp)
        if self.is_granting and self._source is not None:
            self._source.grant()

    def revoking(
        self, tps: Sequence[TopicPartition], budget_ms: int, done: Callable[[Sequence[Commit]], None]
    ) -> None:
        self.budgets_ms.append(budget_ms)
        commits = self.last_commits(tps)
        for tp in tps:
            del self.live[tp]
            self._note("revoking", tp)
        if not self.is_draining_for_ever:
            done(commits)

    def lost(self, tps: Sequence[TopicPartition]) -> None:
        for tp in tps:
            del self.live[tp]
            self._note("lost", tp)

    def committed(self, results: Sequence[CommitResult]) -> None:
        self.results.extend(results)
        self._note("committed", None)

    def jumped(self, jump: Jump) -> None:
        self.jumps.append(jump)
        self._note("jumped", jump.tp)

    def absent(self, topics: Collection[str]) -> None:
        self.absent_topics = set(topics)
        self._note("absent", None)

    def holding(self, tps: Collection[TopicPartition]) -> None:
        self.held = set(tps)
        self._note("holding", None)

    def faulted(self, what: str, *, is_fatal: bool) -> None:
        self.faults.append((what, is_fatal))
        self._note("faulted", None)

    def _note(self, what: str, tp: TopicPartition | None) -> None:
        self.log.append((what, tp))
        self._changed.set()
