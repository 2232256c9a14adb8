"""``tests/bench/run --isolation``: what bad endpoints cost the good ones, and what that costs the healthy."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.bench.bed import Bed, started_bed
from tests.bench.calibration import Others, Slowness, Speed
from tests.bench.isolation import Crowd, IsolationBench, Mix
from tests.bench.isolation_report import Cost, Findings, Found, judge, print_findings
from tests.bench.progress import say
from tests.bench.recovery import Plan, recover
from tests.bench.report import machine
from tests.bench.scenarios import Bench
from tests.bench.workload import Records, fill, register

FEW = 20
_COST_TOPIC = "bench.cost"
_RATE_PER_S = 100_000.0  # a limit that is asked for every delivery and never reached
_OFF: Mapping[str, Any] = MappingProxyType(
    {
        "host_in_flight_max": 50_000,
        "lane": {"in_flight_max": 10_000, "queue_max": 1_000_000},
        "breaker": {"failures_to_open": 0},
        "disable": {"attempts": 0},
    }
)
"""No limit binds and nothing is ever shut. What cannot be set stays: pace, fair turns, what workers share."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    crowds: tuple[Crowd, ...]
    recovery: Plan
    cost_rounds: int
    cost_records: int
    bare_requests: int


FULL = Extent(
    crowds=(
        Crowd(hosts=1_000, rounds=3, per_second=2_000, settle_s=5, seconds=10, backlog_each=60),
        Crowd(hosts=10_000, rounds=2, per_second=2_000, settle_s=60, seconds=10, backlog_each=10),
    ),
    recovery=Plan(per_second=2_000, before_s=15, away_s=600),
    cost_rounds=5,
    cost_records=80_000,
    bare_requests=200_000,
)
QUICK = Extent(
    crowds=(Crowd(hosts=1_000, rounds=1, per_second=2_000, settle_s=6, seconds=10, backlog_each=60),),
    recovery=Plan(per_second=2_000, before_s=10, away_s=45),
    cost_rounds=1,
    cost_records=50_000,
    bare_requests=100_000,
)


def measure(extent: Extent) -> Findings:
    """Start everything, measure everything, end everything."""
    with started_bed(hosts=max(crowd.hosts for crowd in extent.crowds)) as bed:
        schema_id = register(bed.registry_url, "bench.isolation")
        others = Others()
        cost = _measure_cost(bed, Records(schema_id), extent)
        found = [_measure_crowd(IsolationBench(bed, crowd, schema_id), crowd) for crowd in extent.crowds]
        say(f"one endpoint is away for {extent.recovery.away_s} s")
        recovery = recover(bed, schema_id, extent.recovery)
        others_share = others.share()
    return Findings(
        machine=machine(),
        speed=Speed.measure(),
        found=found,
        recovery=recovery,
        cost=cost,
        others_share=others_share,
        targets=judge(found, recovery, cost),
    )


def _measure_crowd(bench: IsolationBench, crowd: Crowd) -> Found:
    mixes = (
        Mix("all well", crowd),
        Mix("10 % hanging", crowd, 0.1),
        Mix("50 % dead", crowd, 0.5, is_dead=True),
    )
    found = Found(crowd, mixes, [], [], [])
    bench.run(mixes[0])  # not counted, as in _measure_cost
    for number in range(1, crowd.rounds + 1):
        for mix, runs in zip(mixes, found.lists, strict=True):
            say(f"round {number} of {crowd.rounds}: {crowd.hosts:,} endpoints, {mix.name}")
            runs.append(bench.run(mix))
    return found


def _measure_cost(bed: Bed, records: Records, extent: Extent) -> Cost:
    say(f"writing a backlog of {extent.cost_records:,} records")
    fill(bed.cluster, _COST_TOPIC, records, extent.cost_records)
    bench, cost = Bench(bed, records), Cost([], [], [], [])
    deliver = partial(bench.deliver, _COST_TOPIC, records=extent.cost_records, hosts=FEW)
    deliver()  # not counted: whichever came first would pay for a broker that is cold
    for number in range(1, extent.cost_rounds + 1):
        say(f"round {number} of {extent.cost_rounds}: what a healthy delivery costs")
        cost.usual.append(deliver())
        cost.limited.append(deliver(rate_per_s=_RATE_PER_S))
        cost.off.append(deliver(delivery=_OFF))
        with Slowness() as slowness:
            per_cpu_s = bench.send("sender_loop", requests=extent.bare_requests)
        cost.bare_per_cpu_s.append(per_cpu_s * slowness.mean())
    return cost


def main() -> int:
    """Measure, print the table, write the JSON file; 1 when a target is missed."""
    parser = argparse.ArgumentParser(
        prog="tests/bench/run --isolation", description="What bad endpoints cost the good ones."
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round, 1,000 endpoints alone, away for 45 s"
    )
    parser.add_argument("--json", type=Path, default=Path(".cache/isolation.json"), help="where figures go")
    chosen = parser.parse_args()
    findings = measure(QUICK if chosen.quick else FULL)
    print_findings(findings)
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(asdict(findings), indent=2) + "\n")
    say(f"figures in {chosen.json}")
    return 0 if all(target.is_met for target in findings.targets) else 1


if __name__ == "__main__":
    sys.exit(main())
