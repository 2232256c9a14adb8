"""One endpoint of many stops and comes back: what it has missed reaches it, and the others do not notice.

It stops in the worst way: it takes every POST and never answers. Its backlog waits in the tiers; the two of
its ladder are short, so that once it is back more becomes due at once than it can take, and its own limit is
what it drains at. Meanwhile every record is made at the same steady pace, far below what the machine can do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from urllib.parse import urlsplit

from tests.bench.bed import Bed
from tests.bench.calibration import Others, Speed
from tests.bench.cpu import peak_memory_mb
from tests.bench.isolation import declare
from tests.bench.latency import DELAY_MS, ByHost, Latency, Moved
from tests.bench.traffic import Traffic, own_kafka
from tests.bench.workload import PARTITIONS, Records, at_steady_pace
from tests.support.names import Names

HOSTS = 100
IN_FLIGHT_MAX = 16
"""As many POSTs as one endpoint gets at once when nobody sets a limit: the most its own pace can reach."""
COOL_DOWN_MAX_MS = 60_000
"""Instead of five minutes, so that it is not long before anybody asks whether the endpoint is back."""

_TOPIC = "bench.recovery"
_LADDER = ("5s", *["30s"] * 20)  # enough tries: no probe is anything's last
_BUSIEST_S = 5.0
_DRAIN_S_MIN = 20.0  # timed for so long at least
_DRAIN_S_MAX = 300.0
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """``per_second`` records for all endpoints, which are well twice ``before_s``; then one is away for
    ``away_s``."""

    per_second: int
    before_s: int
    away_s: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """``before``, ``away`` and ``draining`` are the others'; each ``moved`` is against all of the time
    before, but for ``noise``, which holds its second half against its first. ``backlog`` deliveries were owed
    when the endpoint was back; the first came after ``first_s``, and none was owed after ``drained_s``.
    ``owed_s`` is how many seconds' worth still was in the end, ``busiest_per_s`` its rate in the busiest five
    seconds, ``mean_per_s`` that from the first to the last of them; ``letters_each`` were written to tiers
    for each that came since it was back. ``source_bytes_before`` were fetched per record while all was well,
    ``source_bytes_after`` from then on; ``tier_times`` is bytes fetched over those of letters, if any were.
    ``drift`` is the machine's between beginning and end."""

    before: Latency
    away: Latency
    draining: Latency
    noise: Moved
    away_moved: Moved
    draining_moved: Moved
    away_s: int
    backlog: int
    first_s: float
    drained_s: float
    owed_s: float
    busiest_per_s: float
    mean_per_s: float
    letters_each: float
    source_bytes_before: float
    source_bytes_after: float
    tier_times: float | None
    peak_memory_mb: float
    drift: float
    others_share: float


@dataclass(frozen=True, slots=True)
class _Drained:
    first_s: float
    drained_s: float
    owed: int
    busiest_per_s: float
    mean_per_s: float


def recover(bed: Bed, schema_id: int, plan: Plan) -> Recovery:
    """Measure it once."""
    bed.cluster.create_topic(_TOPIC, partitions=PARTITIONS)
    speed, others, names, receiver = Speed.measure(), Others(), Names.of("bench"), bed.receiver
    urls = receiver.urls(HOSTS)
    one = urls[:1]
    receiver.reset()
    receiver.behave(delay_s=DELAY_MS / 1_000, apart=one)
    records = Records(schema_id, HOSTS)
    with (
        bed.connector(
            _TOPIC,
            declare(urls, HOSTS, ladder=_LADDER),
            start="latest",
            names=names,
            own_kafka=own_kafka(bed.cluster),
            delivery={"breaker": {"cool_down_max_ms": COOL_DOWN_MAX_MS}},
        ) as connector,
        at_steady_pace(bed.cluster, _TOPIC, records, per_second=plan.per_second) as pace,
    ):
        time.sleep(plan.before_s / 2)  # to settle in
        traffic = Traffic(connector, bed.cluster, prefix=names.prefix)
        meter = [(pace.made, traffic.source_bytes())]
        for phase in ("first half", "second half"):
            receiver.time(phase)
            time.sleep(plan.before_s)
        receiver.time("")
        meter.append((pace.made, traffic.source_bytes()))
        receiver.behave(delay_s=DELAY_MS / 1_000, hanging=one, apart=one)
        made_before, arrived_before = pace.made, receiver.counts().requests_apart
        receiver.time("away")
        time.sleep(plan.away_s)
        receiver.behave(delay_s=DELAY_MS / 1_000, apart=one)

        def owed() -> tuple[int, int]:
            """How many came since it went away, and how many of those made since are missing."""
            arrived = receiver.counts().requests_apart - arrived_before
            return arrived, (pace.made - made_before) // HOSTS - arrived

        came_before, backlog = owed()
        letters_before = connector.scrape().sum("deliveries_to_tier_total")
        drained = _drain(bed, owed, is_little=plan.per_second // HOSTS)
        letters = connector.scrape().sum("deliveries_to_tier_total") - letters_before
        letters_each = letters / max(owed()[0] - came_before, 1)
        receiver.time("")
        meter.append((pace.made, traffic.source_bytes()))
        tier_times = traffic.of_tiers()
        memory_mb = peak_memory_mb(connector.process.pid)
    halves = [_of_others(bed, phase, one[0]) for phase in ("first half", "second half")]
    before = {host: [*halves[0].get(host, ()), *halves[1].get(host, ())] for host in halves[0]}
    away, draining = _of_others(bed, "away", one[0]), _of_others(bed, "draining", one[0])
    return Recovery(
        before=Latency.of(before),
        away=Latency.of(away),
        draining=Latency.of(draining),
        noise=Moved.between(*halves),
        away_moved=Moved.between(before, away),
        draining_moved=Moved.between(before, draining),
        away_s=plan.away_s,
        backlog=backlog,
        first_s=drained.first_s,
        drained_s=drained.drained_s,
        owed_s=drained.owed / (plan.per_second / HOSTS),
        busiest_per_s=drained.busiest_per_s,
        mean_per_s=drained.mean_per_s,
        letters_each=letters_each,
        source_bytes_before=_per_record(*meter[:2]),
        source_bytes_after=_per_record(*meter[1:]),
        tier_times=tier_times,
        peak_memory_mb=memory_mb,
        drift=speed.drift_to(Speed.measure()),
        others_share=others.share(),
    )


def _drain(bed: Bed, owed: Callable[[], tuple[int, int]], *, is_little: int) -> _Drained:
    """Wait until no more is owed than what is under way anyway."""
    back_s = time.monotonic()
    begun_with = owed()[0]
    first_s = drained_s = float("nan")
    seen: list[tuple[float, int]] = []  # when, and how many had come
    while True:
        since_s = time.monotonic() - back_s
        arrived, missing = owed()
        seen.append((since_s, arrived))
        if isnan(first_s) and arrived > begun_with:
            first_s = since_s
            bed.receiver.time("draining")
        if isnan(drained_s) and missing <= is_little:
            drained_s = since_s
        is_over = not isnan(drained_s) and since_s - first_s >= _DRAIN_S_MIN
        if is_over or since_s > _DRAIN_S_MAX:
            of_drain = [one for one in seen if first_s <= one[0] and not one[0] > drained_s]
            return _Drained(first_s, drained_s, missing, _busiest_per_s(seen), _mean_per_s(of_drain))
        time.sleep(_POLL_S)


def _busiest_per_s(seen: Sequence[tuple[float, int]]) -> float:
    """The most that came within :data:`_BUSIEST_S`, per second."""
    step = int(_BUSIEST_S / _POLL_S)
    pairs = zip(seen, seen[step:], strict=False)
    return max(((late[1] - early[1]) / (late[0] - early[0]) for early, late in pairs), default=0.0)


def _mean_per_s(seen: Sequence[tuple[float, int]]) -> float:
    """From the first look to the last."""
    if len(seen) < 2:
        return 0.0
    (begun_s, begun), (ended_s, ended) = seen[0], seen[-1]
    return (ended - begun) / (ended_s - begun_s)


def _per_record(begun: tuple[int, int], ended: tuple[int, int]) -> float:
    """Bytes per record, of two looks at how many of both there were."""
    return (ended[1] - begun[1]) / (ended[0] - begun[0])


def _of_others(bed: Bed, phase: str, one: str) -> ByHost:
    host = urlsplit(one).hostname
    return {other: found for other, found in bed.receiver.latencies_ms(phase).items() if other != host}
