"""When to commit what: a plan per partition, told the time.

A commit carries the watermark and, in its metadata, the done-set: what was settled above it. The
plan asks for a commit when either of them moved; it never asks for a lower offset than one already
committed. The engine acts on it and reports back what the broker said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from connector.core.doneset import encode
from connector.core.ledger import Ledger

ANSWER_MAX_MS: Final = 90_000
"""How long an answer may take before the commit counts as lost: longer than any client waits for one. A
lost answer must not stop commits for ever."""


Basis = tuple[int, int, int]
"""The ledger's watermark and version, and the leader epoch."""


@dataclass(frozen=True, slots=True)
class CommitPlan:
    """Commit ``offset`` (the next one to read) with ``metadata`` (empty: no done-set).

    ``has_dropped_done_set`` says that it goes without its done-set, because that was over the limit or
    the broker refused it: never an error, but duplicates after a crash.
    """

    offset: int
    metadata: str
    has_dropped_done_set: bool = field(default=False, compare=False)


class CommitState:
    """What the group is known to have committed for one partition in this epoch.

    Beside each plan stands its *basis*, all that it was made of: while the basis of the committed plan
    holds, nothing is encoded, since an idle partition may have a large done-set and is asked every second.
    """

    __slots__ = (
        "_committed", "_committed_basis", "_is_metadata_refused", "_pending", "_pending_basis",
        "_pending_since_ms", "_topic_id",
    )  # fmt: skip

    def __init__(self, *, topic_id: str) -> None:
        self._topic_id = topic_id
        self._committed: CommitPlan | None = None
        self._committed_basis: Basis | None = None
        self._pending: CommitPlan | None = None
        self._pending_basis: Basis | None = None
        self._pending_since_ms = 0
        self._is_metadata_refused = False

    @property
    def committed_offset(self) -> int:
        """The last offset the broker acknowledged in this epoch; -1 before the first."""
        return self._committed.offset if self._committed else -1

    @property
    def is_awaited(self) -> bool:
        """Whether a commit is on its way."""
        return self._pending is not None

    def plan(
        self, ledger: Ledger, *, now_ms: int, leader_epoch: int, is_final: bool = False
    ) -> CommitPlan | None:
        """The commit that is due at ``now_ms`` (monotonic), or ``None``: nothing moved, or one is on its
        way.

        ``leader_epoch`` is that of the highest settled record, -1 when unknown. ``is_final`` asks
        for the last commit of the epoch, whatever is on its way.
        """
        if self._pending is not None and not is_final and now_ms - self._pending_since_ms < ANSWER_MAX_MS:
            return None
        basis = ledger.watermark, ledger.version, leader_epoch
        if basis == self._committed_basis:
            return None
        plan = self._plan(ledger, leader_epoch)
        if plan == self._committed:
            self._committed_basis = basis
            return None
        assert plan.offset >= self.committed_offset, "a watermark never moves backwards"
        self._pending = plan
        self._pending_basis = basis
        self._pending_since_ms = now_ms
        return plan

    def acknowledge(self, plan: CommitPlan) -> None:
        """The broker took this commit. Ignored for one that was given up: a later one is on its way."""
        if plan == self._pending:
            self._committed = plan
            self._committed_basis = self._pending_basis
            self._pending = None

    def reject(self, plan: CommitPlan, *, is_metadata_refused: bool) -> None:
        """The broker did not take it; the next plan tries again, without a done-set if need be."""
        if plan == self._pending:
            self._pending = None
        if is_metadata_refused:
            self._is_metadata_refused = True

    def _plan(self, ledger: Ledger, leader_epoch: int) -> CommitPlan:
        watermark = ledger.watermark
        settled = ledger.settled_above()
        if not settled:
            self._is_metadata_refused = False
            return CommitPlan(watermark, "")
        if not self._is_metadata_refused:
            # From one below: what an earlier epoch settled may stand right at the watermark.
            below = max(watermark - 1, 0)
            text = encode(below, settled, topic_id=self._topic_id, leader_epoch=leader_epoch)
            if text is not None:
                return CommitPlan(watermark, text)
        return CommitPlan(watermark, "", has_dropped_done_set=True)
