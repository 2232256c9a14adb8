"""The books: every record and delivery this process ever took in hand, and where each went.

Plain integers, written by the loop thread alone, read when metrics are scraped. Two equations hold
at every moment between two turns of the loop, exactly (design promise, shown by ``/metrics`` and
checked by :meth:`Accounts.problems`):

* records read      = settled + released + in hand
* deliveries taken  = accepted + to tiers + parked + dead + dropped copies + released + in hand

*Released* is what we gave back unsettled when a partition was taken away: its next owner reads it
again. *In hand* is never derived from the other side: it is counted where things are held.
Poison records are counted apart: they never became deliveries.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

LATENCY_BOUNDS_MS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000)
"""Upper bounds of the histograms' buckets, in ms; above the last one is +Inf."""


class Histogram:
    """Counts per bucket of :data:`LATENCY_BOUNDS_MS`, and the sum, in ms."""

    __slots__ = ("counts", "sum_ms")

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        self.sum_ms = 0

    def add(self, value_ms: int) -> None:
        self.counts[bisect_left(LATENCY_BOUNDS_MS, value_ms)] += 1
        self.sum_ms += value_ms

    @property
    def count(self) -> int:
        return sum(self.counts)


@dataclass(slots=True)
class InHand:
    """What is held at this moment, counted where it is held."""

    records: int
    deliveries: int


@dataclass(slots=True)
class Accounts:
    """Counters since the process started.

    ``filtered`` records matched no subscription; ``skipped`` ones have no event by their topic's
    policy; both are among the settled. ``letters_unreadable`` lie in the parked topic, and are not among
    the records read. ``attempts`` counts accepted replies by status (an int) and failures by error class,
    ``probes`` what came of connections made to ask whether a hold may end: ``reached``, or a kind of failure.
    ``to_tiers`` counts by tier (delay in ms), ``dead`` by reason.
    """

    records_read: int = 0
    records_settled: int = 0
    records_released: int = 0
    records_filtered: int = 0
    records_skipped: int = 0
    records_poison: int = 0
    records_already_done: int = 0
    records_regressed: int = 0
    tier_records_read: int = 0
    tier_records_hopped: int = 0
    parked_records_read: int = 0
    letters_unreadable: int = 0

    deliveries_taken: int = 0
    accepted: int = 0
    parked: int = 0
    dropped_copies: int = 0
    deliveries_released: int = 0
    to_tiers: Counter[int] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    diverted: Counter[str] = field(default_factory=Counter)

    attempts: Counter[int | str] = field(default_factory=Counter)
    probes: Counter[str] = field(default_factory=Counter)
    bodies_changed: int = 0
    late_answers: int = 0
    writes_failed: Counter[str] = field(default_factory=Counter)
    commits: int = 0
    commits_failed: int = 0
    done_sets_dropped: int = 0
    offsets_lost: int = 0
    jumps: Counter[str] = field(default_factory=Counter)

    attempt_ms: Histogram = field(default_factory=Histogram)
    """From the start of a POST to its reply."""
    freshness_ms: Histogram = field(default_factory=Histogram)
    """From the record's timestamp to the acceptance of a first attempt."""

    def problems(self, in_hand: InHand) -> list[str]:
        """What does not add up, in words; empty when both equations hold."""
        found = []
        records = self.records_settled + self.records_released + in_hand.records
        if self.records_read != records:
            found.append(
                f"records: {self.records_read} read, but {self.records_settled} settled + "
                f"{self.records_released} released + {in_hand.records} in hand = {records}"
            )
        settled = self.accepted + self.to_tiers.total() + self.parked + self.dead.total()
        deliveries = settled + self.dropped_copies + self.deliveries_released + in_hand.deliveries
        if self.deliveries_taken != deliveries:
            found.append(
                f"deliveries: {self.deliveries_taken} taken, but {self.accepted} accepted + "
                f"{self.to_tiers.total()} to tiers + {self.parked} parked + {self.dead.total()} dead + "
                f"{self.dropped_copies} dropped copies + {self.deliveries_released} released + "
                f"{in_hand.deliveries} in hand = {deliveries}"
            )
        return found
