"""What bad endpoints cost the good ones: the same work with all endpoints well, some hanging, many dead.

A run does two things with one connector. At a steady pace, far below what the machine can do, it times the
good deliveries and sees whether all of them come: nothing here is short of a processor, so what is missing or
late was kept up by the bad ones. Then a backlog goes as fast as it can: here a processor is the limit, and
what the bad ones cost of it (letters, mostly) is in the figure. A good endpoint's throughput is that of all
good ones by their number, so that runs with fewer of them compare.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.bed import Bed
from tests.bench.calibration import Others, Slowness
from tests.bench.cpu import peak_memory_mb, tree_cpu_s
from tests.bench.latency import DELAY_MS, Latency
from tests.bench.traffic import Traffic, own_kafka
from tests.bench.workload import PARTITIONS, VALUE_BYTES, Records, at_steady_pace, pour, subscriptions
from tests.support.names import Names

LADDER = ("5s", "30s", "2m", "5m")
TIMEOUT = "5s"
"""Instead of half a minute, so that what hangs has failed often within a run."""

_COUNTED = (0.3, 0.8)  # of a backlog's good deliveries: it is being written at first, and few are left last
_BACKLOG_S_MAX = 120.0
_PHASE = "steady"


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many endpoints, and what is done with them: ``per_second`` records for ``seconds``, once that pace
    has gone on for ``settle_s``; then a backlog of ``backlog_each`` records for each endpoint."""

    hosts: int
    rounds: int
    per_second: int
    settle_s: int
    seconds: int
    backlog_each: int


@dataclass(frozen=True, slots=True)
class Mix:
    """A share of a crowd is bad: it hangs, or is dead (its port refuses connections)."""

    name: str
    crowd: Crowd
    bad_share: float = 0.0
    is_dead: bool = False

    @property
    def bad(self) -> int:
        return int(self.crowd.hosts * self.bad_share)

    @property
    def good(self) -> int:
        return self.crowd.hosts - self.bad


@dataclass(frozen=True, slots=True)
class Isolated:
    """Of the good endpoints. ``arrived_share`` is of what was made for them at a steady pace, ``latency`` of
    the same deliveries. ``per_good_s`` is deliveries of the backlog per second and endpoint, ``per_cpu_s``
    per CPU second of the connector, both corrected by the machine's ``slowness`` meanwhile; ``missing`` never
    came. ``source_times`` is bytes fetched over
    the backlog's, ``tier_times`` over those of the letters read, if any were: high while many were fetched
    that are not due yet. ``others_share`` is what others took of the machine."""

    arrived_share: float
    latency: Latency
    per_good_s: float
    per_cpu_s: float
    slowness: float
    missing: int
    source_times: float
    tier_times: float | None
    peak_memory_mb: float
    others_share: float


class IsolationBench:
    """Runs mixes of one crowd, on a topic of its own."""

    def __init__(self, bed: Bed, crowd: Crowd, schema_id: int) -> None:
        self._bed = bed
        self._records = Records(schema_id, crowd.hosts)
        self._topic = f"bench.crowd.{crowd.hosts}"
        bed.cluster.create_topic(self._topic, partitions=PARTITIONS)

    def run(self, mix: Mix) -> Isolated:
        """Once, with a new connector."""
        bed, crowd, others, names = self._bed, mix.crowd, Others(), Names.of("bench")
        declared = declare(self._spoilt(mix), crowd.hosts, ladder=LADDER)
        with bed.connector(
            self._topic, declared, start="latest", names=names, own_kafka=own_kafka(bed.cluster)
        ) as connector:
            pid = connector.process.pid
            arrived_share = self._steady(mix)
            latency = Latency.of(bed.receiver.latencies_ms(_PHASE))
            bed.receiver.reset()
            traffic = Traffic(connector, bed.cluster, prefix=names.prefix)
            source_bytes = traffic.source_bytes()
            count = crowd.hosts * crowd.backlog_each
            expected = crowd.backlog_each * mix.good
            pour(bed.cluster, self._topic, self._records, count)
            begun = self._await_requests(int(expected * _COUNTED[0]))
            with Slowness() as machine:
                begun_s, begun_cpu_s = time.monotonic(), tree_cpu_s(pid)
                ended = self._await_requests(int(expected * _COUNTED[1]))
                wall_s, cpu_s = time.monotonic() - begun_s, tree_cpu_s(pid) - begun_cpu_s
            slowness = machine.mean()
            arrived = self._await_requests(expected)
            return Isolated(
                arrived_share=arrived_share,
                latency=latency,
                per_good_s=(ended - begun) / wall_s / mix.good * slowness,
                per_cpu_s=(ended - begun) / cpu_s * slowness,
                slowness=slowness,
                missing=max(0, expected - arrived),
                source_times=(traffic.source_bytes() - source_bytes) / (count * VALUE_BYTES),
                tier_times=traffic.of_tiers(),
                peak_memory_mb=peak_memory_mb(pid),
                others_share=others.share(),
            )

    def _steady(self, mix: Mix) -> float:
        """How much of what was made for good endpoints while it was timed came meanwhile."""
        crowd, receiver = mix.crowd, self._bed.receiver
        receiver.reset()
        with at_steady_pace(
            self._bed.cluster, self._topic, self._records, per_second=crowd.per_second
        ) as pace:
            time.sleep(crowd.settle_s)
            before, arrived_before = pace.made, receiver.counts().requests
            receiver.time(_PHASE)
            time.sleep(crowd.seconds)
            made, arrived = pace.made - before, receiver.counts().requests - arrived_before
            receiver.time("")
        return arrived / (made * mix.good / crowd.hosts)

    def _spoilt(self, mix: Mix) -> list[str]:
        """The endpoints' URLs, once the bad ones are bad. They are drawn, the same for every run: bad ones in
        a pattern would have partitions to themselves, and nobody behind them."""
        receiver = self._bed.receiver
        urls = receiver.urls(mix.crowd.hosts)
        bad = random.Random(1).sample(range(len(urls)), mix.bad)
        hanging = () if mix.is_dead else [urls[place] for place in bad]
        receiver.behave(delay_s=DELAY_MS / 1_000, hanging=hanging)
        if mix.is_dead:
            for place in bad:
                urls[place] = receiver.refused(urls[place])
        return urls

    def _await_requests(self, count: int) -> int:
        return self._bed.receiver.await_requests(count, within_s=_BACKLOG_S_MAX)


def declare(urls: Sequence[str], event_types: int, *, ladder: Sequence[str]) -> list[dict[str, Any]]:
    """A subscription for each URL, as in the file, with a short timeout and tiers that can be waited for."""
    more = {"ladder": list(ladder), "limits": {"timeout": TIMEOUT}}
    return [one | more for one in subscriptions(urls, event_types)]
