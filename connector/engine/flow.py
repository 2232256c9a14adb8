"""A flow: one partition in hand, from its assignment until it is taken away.

It is what the parts of the pump share and holds no rules of its own: turns fill its ledger, the committer
reads it, a drain empties it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from connector.core.commits import CommitState
from connector.core.doneset import decode
from connector.core.ledger import Ledger
from connector.core.log_ends import LogEnds
from connector.core.record import Record
from connector.engine.ports import Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowLimits:
    """Bounds of one partition's window: admitted records not below the watermark, and the bytes of
    the unsettled ones. A record larger than the bound is admitted alone, into an empty window."""

    window_records_max: int
    window_bytes_max: int

    def has_window(self, ledger: Ledger, record: Record) -> bool:
        """Whether ``record`` may be admitted to ``ledger`` now."""
        if ledger.window >= self.window_records_max:
            return False
        return not ledger.open_count or ledger.open_bytes + record.size_bytes <= self.window_bytes_max


class Flow:
    """One partition in hand: its ledger, what was fetched and is not admitted yet (``carry``), and
    what the group has committed.

    ``log_ends`` are those seen with what was fetched, ``wake_ms`` is when the head of the carry is due
    (monotonic; 0: now). ``held`` says why an operator must look before this partition goes on; empty
    when it flows. ``poison_run`` counts poison records in a row, ``still_looks`` looks at
    a full window in a row between which nothing was admitted.
    """

    __slots__ = (
        "carry", "commits", "end_offset", "epoch", "held", "is_draining", "is_paused",
        "leader_epoch", "ledger", "log_ends", "poison_run", "still_looks", "tp", "wake_ms",
    )  # fmt: skip

    def __init__(self, assignment: Assignment) -> None:
        self.tp = assignment.tp
        self.epoch = assignment.epoch
        done = decode(assignment.committed_metadata, topic_id=assignment.topic_id)
        self.ledger = Ledger(position=assignment.position, done=done)
        self.commits = CommitState(topic_id=assignment.topic_id)
        self.carry: deque[Record] = deque()
        self.end_offset = -1
        self.log_ends = LogEnds()
        self.leader_epoch = done.leader_epoch if done else -1
        self.wake_ms = 0
        self.held = ""
        self.poison_run = 0
        self.is_paused = False
        self.still_looks = 0
        self.is_draining = False
