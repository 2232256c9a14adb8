"""What there is to see at one moment: numbers only, for whoever draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector.demo.equations import Equation
from connector.demo.letters import Letter


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerRow:
    """One endpoint. ``owed`` deliveries so far, of which ``accepted``, ``waiting`` for a retry, ``dead`` and
    ``parked``; what is missing to the sum is in hand. ``failed`` counts attempts."""

    id: str
    manner: str
    owed: int
    accepted: int
    failed: int
    waiting: int
    dead: int
    parked: int

    @property
    def in_hand(self) -> int:
        return max(0, self.owed - self.accepted - self.waiting - self.dead - self.parked)


@dataclass(frozen=True, slots=True, kw_only=True)
class TierRow:
    """One retry tier. ``on_the_way`` says of each delivery that waits how much of its wait is over, 0 to 1;
    ``total`` counts all that ever came."""

    tier_ms: int
    on_the_way: Sequence[float]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetRow:
    """The topics of one domain: offsets ``committed`` of those ``written``."""

    domain: str
    committed: int
    written: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """``cluster`` and ``terms`` say where it runs and what is unlike a deployment. The rates are per second,
    oldest first, one each half second. ``latency_ms`` is the median from a record to the acceptance
    of its first attempt, as an upper bound; 0 while there is none."""

    cluster: str
    terms: str
    phase: str
    elapsed_s: float
    end_within_s: float
    topics: int
    written: int
    to_write: int
    consumed: int
    filtered: int
    skipped: int
    poison: int
    consumed_per_s: Sequence[int]
    accepted_per_s: Sequence[int]
    latency_ms: int
    partners: Sequence[PartnerRow]
    tiers: Sequence[TierRow]
    dead: Mapping[str, int]
    last_dead: Sequence[Letter]
    offsets: Sequence[OffsetRow]
    records: Equation
    deliveries: Equation

    @property
    def accepted(self) -> int:
        return sum(row.accepted for row in self.partners)

    @property
    def failed(self) -> int:
        return sum(row.failed for row in self.partners)

    @property
    def waiting(self) -> int:
        return sum(row.waiting for row in self.partners)

    @property
    def parked(self) -> int:
        return sum(row.parked for row in self.partners)

    @property
    def committed(self) -> int:
        return sum(row.committed for row in self.offsets)

    @property
    def logged(self) -> int:
        """Offsets that exist in the domain topics."""
        return sum(row.written for row in self.offsets)
