"""When to commit what: a plan per partition, told the time.

A commit carries the watermark and, in its metadata, the done-set: what was settled above it. The
plan asks for a commit when either of them moved; it never asks for a lower offset than one already
committed. The engine acts on it and reports back what the broker said.
"""

from __future__ import annotations

from dataclasses import dataclass

from connector.core.doneset import encode
from connector.core.ledger import Ledger


@dataclass(frozen=True, slots=True)
class CommitPlan:
    """Commit ``offset`` (the next one to read) with ``metadata`` (empty: no done-set)."""

    offset: int
    metadata: str


class CommitState:
    """What the group is known to have committed for one partition in this epoch.

    ``done_sets_dropped`` counts commits that had to go without their done-set, because it was over
    the limit or the broker refused it: never an error, but duplicates after a crash.
    """

    __slots__ = ("_committed", "_is_metadata_refused", "_pending", "_topic_id", "done_sets_dropped")

    def __init__(self, *, topic_id: str) -> None:
        self._topic_id = topic_id
        self._committed: CommitPlan | None = None
        self._pending: CommitPlan | None = None
        self._is_metadata_refused = False
        self.done_sets_dropped = 0

    @property
    def committed_offset(self) -> int:
        """The last offset the broker acknowledged in this epoch; -1 before the first."""
        return self._committed.offset if self._committed else -1

    def plan(self, ledger: Ledger, *, leader_epoch: int, is_final: bool = False) -> CommitPlan | None:
        """The commit that is due, or ``None``: nothing moved, or one is on its way.

        ``leader_epoch`` is that of the highest settled record, -1 when unknown. ``is_final`` asks
        for the last commit of the epoch, whatever is on its way.
        """
        if self._pending is not None and not is_final:
            return None
        plan = CommitPlan(ledger.watermark, self._metadata(ledger, leader_epoch))
        if plan == self._committed:
            return None
        assert plan.offset >= self.committed_offset, "a watermark never moves backwards"
        self._pending = plan
        return plan

    def acknowledge(self) -> None:
        """The broker took the commit that was on its way."""
        if self._pending is not None:
            self._committed = self._pending
            self._pending = None

    def reject(self, *, is_metadata_refused: bool) -> None:
        """The broker did not take it; the next plan tries again, without a done-set if need be."""
        self._pending = None
        if is_metadata_refused:
            self._is_metadata_refused = True

    def _metadata(self, ledger: Ledger, leader_epoch: int) -> str:
        settled = ledger.settled_above()
        if not settled:
            self._is_metadata_refused = False
            return ""
        if self._is_metadata_refused:
            self.done_sets_dropped += 1
            return ""
        text = encode(ledger.watermark, settled, topic_id=self._topic_id, leader_epoch=leader_epoch)
        if text is None:
            self.done_sets_dropped += 1
            return ""
        return text
