"""Takes pictures of a running demo: gathers the numbers from everywhere, changes nothing."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence

from connector.core.accounts import LATENCY_BOUNDS_MS, Histogram
from connector.demo.equations import deliveries_equation, records_equation
from connector.demo.feed import Feed
from connector.demo.letters import Letter, Letterbox
from connector.demo.offsets import Offsets
from connector.demo.picture import OffsetRow, PartnerRow, Picture, TierRow
from connector.demo.receiver import Receiver
from connector.demo.scenario import Partner, Scenario
from connector.engine.worker import Worker
from schemas import event_types

SAMPLES_PER_S = 2
SAMPLES_MAX = 240
LAST_DEAD_MAX = 3


class Camera:
    """One per run. ``receivers`` are by partner id, ``topics`` by event type."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        cluster: str,
        terms: str,
        topics: Mapping[str, str],
        feed: Feed,
        worker: Worker,
        receivers: Mapping[str, Receiver],
        letterbox: Letterbox,
    ) -> None:
        self._scenario = scenario
        self._cluster = cluster
        self._terms = terms
        self._topics = topics
        self._feed = feed
        self._worker = worker
        self._receivers = receivers
        self._letterbox = letterbox
        self._consumed = _Rate()
        self._accepted = _Rate()
        self._sampled_s = 0.0
        domains: dict[str, list[str]] = {}
        for each in event_types():
            domains.setdefault(each.domain, []).append(topics[each.name])
        self._domains = domains

    def take(self, *, phase: str, elapsed_s: float, offsets: Offsets) -> Picture:
        """A picture of this moment."""
        worker, letters = self._worker, self._letterbox
        accounts, in_hand = worker.accounts, worker.in_hand()
        consumed = accounts.records_read - accounts.tier_records_read
        if elapsed_s >= self._sampled_s:
            self._sampled_s = elapsed_s + 1 / SAMPLES_PER_S
            self._consumed.sample(consumed)
            self._accepted.sample(accounts.accepted)
        return Picture(
            cluster=self._cluster,
            terms=self._terms,
            phase=phase,
            elapsed_s=elapsed_s,
            end_within_s=self._scenario.end_within_s,
            topics=len(self._topics),
            written=len(self._feed.written),
            to_write=self._feed.count,
            consumed=consumed,
            filtered=accounts.records_filtered,
            skipped=accounts.records_skipped,
            poison=accounts.records_poison,
            consumed_per_s=tuple(self._consumed.per_s),
            accepted_per_s=tuple(self._accepted.per_s),
            latency_ms=_median_bound_ms(accounts.freshness_ms),
            partners=self._partners(),
            tiers=self._tiers(),
            dead=Counter(letter.reason for letter in letters.dead),
            last_dead=letters.dead[-LAST_DEAD_MAX:],
            offsets=self._offsets(offsets),
            records=records_equation(accounts, in_hand),
            deliveries=deliveries_equation(accounts, in_hand),
        )

    def _partners(self) -> list[PartnerRow]:
        letters = self._letterbox
        owed = Counter(
            record.event_type for record in self._feed.written if record.kind in ("event", "large")
        )
        return [
            self._partner(
                partner,
                owed=sum(owed[event_type] for event_type in partner.wants),
                retried=_of(partner, letters.retries),
                dead=_of(partner, letters.dead),
                parked=_of(partner, letters.parked),
            )
            for partner in self._scenario.partners
        ]

    def _partner(
        self, partner: Partner, *, owed: int, retried: set[str], dead: set[str], parked: set[str]
    ) -> PartnerRow:
        receiver = self._receivers[partner.id]
        counters = receiver.counters
        return PartnerRow(
            id=partner.id,
            manner=partner.manner,
            owed=owed,
            accepted=len(receiver.accepted_ids),
            failed=counters.failed + counters.hung + counters.rejected,
            waiting=len(retried - dead - receiver.accepted_ids),
            dead=len(dead),
            parked=len(parked),
        )

    def _tiers(self) -> list[TierRow]:
        now_ms = time.time() * 1_000
        rows = []
        for tier_ms in self._scenario.ladder_ms:
            letters = [letter for letter in self._letterbox.retries if letter.tier_ms == tier_ms]
            parts = [(now_ms - letter.written_ms) / tier_ms for letter in letters]
            waiting = [part for part in parts if part < 1]
            rows.append(TierRow(tier_ms=tier_ms, on_the_way=waiting, total=len(letters)))
        return rows

    def _offsets(self, offsets: Offsets) -> list[OffsetRow]:
        rows = []
        for domain, topics in sorted(self._domains.items()):
            committed, written = offsets.of(topics)
            rows.append(OffsetRow(domain=domain, committed=committed, written=written))
        return rows


class _Rate:
    """A counter's growth per second, sampled."""

    def __init__(self) -> None:
        self.per_s: deque[int] = deque(maxlen=SAMPLES_MAX)
        self._last = 0

    def sample(self, count: int) -> None:
        self.per_s.append((count - self._last) * SAMPLES_PER_S)
        self._last = count


def _of(partner: Partner, letters: Sequence[Letter]) -> set[str]:
    return {letter.event_id for letter in letters if letter.partner == partner.id}


def _median_bound_ms(histogram: Histogram) -> int:
    """The upper bound of the bucket that holds the median; 0 when there is nothing."""
    below = 0
    for bound_ms, count in zip(LATENCY_BOUNDS_MS, histogram.counts, strict=False):
        below += count
        if below * 2 >= histogram.count > 0:
            return bound_ms
    return LATENCY_BOUNDS_MS[-1] if histogram.count else 0
