"""The committer: what is settled is committed, every second, and sooner when much was settled.

What a commit says is decided by :mod:`connector.core.commits`; this asks the source for those that are
due and tells the flows what the broker answered. A group refuses commits while its members change: those are
asked for again, and the last ones are waited for, since a member that has left can ask no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from connector.core.accounts import Accounts
from connector.core.commits import CommitPlan
from connector.engine.flow import Flow
from connector.engine.ports import Clock, Commit, CommitResult, Log, Source, TopicPartition

LAST_WAIT_MS = 5_000
"""So long the last commits are waited for: a healthy group's members have changed by then."""
_LOOK_FIRST_MS, _LOOK_MAX_MS = 10, 200
"""How soon after they were asked for the last commits are looked at: twice as long each time, up to that."""


class Committer:
    """Commits one group's flows every ``commit_interval_ms``, or ``settled_per_commit`` settled records
    after the last time, whichever comes first."""

    def __init__(
        self,
        *,
        flows: Mapping[TopicPartition, Flow],
        source: Source,
        accounts: Accounts,
        clock: Clock,
        log: Log,
        commit_interval_ms: int,
        settled_per_commit: int,
    ) -> None:
        self._flows = flows
        self._source = source
        self._accounts = accounts
        self._clock = clock
        self._log = log
        self._commit_interval_ms = commit_interval_ms
        self._settled_per_commit = settled_per_commit
        self._settled_at_commit = 0
        self._is_hurried = False

    async def commit_for_ever(self) -> None:
        while True:
            waited_ms = 0
            while waited_ms < self._commit_interval_ms:
                await asyncio.sleep(min(100, self._commit_interval_ms) / 1_000)
                waited_ms += 100
                if self._accounts.records_settled - self._settled_at_commit >= self._settled_per_commit:
                    break
            self.commit_now()

    async def commit_last(self) -> None:
        """Commit all that is settled, and wait until it is, for :data:`LAST_WAIT_MS` at most."""
        deadline_ms = self._clock.monotonic_ms() + LAST_WAIT_MS
        wait_ms = _LOOK_FIRST_MS
        self.commit_now()
        while any(flow.commits.is_awaited for flow in self._flows.values()):
            rest_ms = deadline_ms - self._clock.monotonic_ms()
            if self._is_hurried or rest_ms <= 0:
                return
            await asyncio.sleep(min(wait_ms, rest_ms) / 1_000)
            wait_ms = min(wait_ms * 2, _LOOK_MAX_MS)
            self.commit_now()

    def hurry(self) -> None:
        """Wait for no commit any more."""
        self._is_hurried = True

    def commit_now(self) -> None:
        """Ask for every commit that is due."""
        self._settled_at_commit = self._accounts.records_settled
        commits = self.due(self._flows.values(), is_final=False)
        if commits:
            self._source.commit(commits)

    def due(self, flows: Iterable[Flow], *, is_final: bool) -> list[Commit]:
        """The commits that ``flows`` are due, ``is_final`` when they are the last of their epochs."""
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

    def committed(self, results: Sequence[CommitResult]) -> None:
        """The broker has answered; what it refused is due again."""
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
