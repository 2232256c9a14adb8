"""``tests/bench/run --isolation``: what bad endpoints cost the good ones."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from deploy.testbed import KafkaCluster, Registry
from tests.bench.calibration import Others
from tests.bench.isolation import Isolated, IsolationBench, Mix, Recovery, Steady
from tests.bench.receiver import Receiver
from tests.bench.report import Target, at_least, at_most, line, machine, print_targets
from tests.bench.workload import PARTITIONS, SECRET, Records, fill, register

HANGING_MIN, DEAD_MIN = 0.90, 0.85
P99_TIMES_MAX = 1.2
MEMORY_MB_MAX = 300.0
SOURCE_FETCHED_MAX, TIERS_FETCHED_MAX = 1.2, 3.0
_RECORD_BYTES, _LETTER_BYTES = 1_024, 1_600  # a letter has a dozen headers more


@dataclass(frozen=True, slots=True)
class Extent:
    rounds: int
    hosts: tuple[int, ...]
    records_per_host: int
    per_second: int
    seconds: int
    away_s: int


FULL = Extent(rounds=3, hosts=(1_000, 10_000), records_per_host=100, per_second=2_000, seconds=10, away_s=600)
QUICK = Extent(rounds=1, hosts=(1_000,), records_per_host=100, per_second=2_000, seconds=5, away_s=60)


@dataclass(slots=True)
class Found:
    """All runs of one mix."""

    mix: Mix
    backlogs: list[Isolated] = field(default_factory=list)
    steady: list[Steady] = field(default_factory=list)


def mixes(hosts: int) -> tuple[Mix, Mix, Mix]:
    return (
        Mix(f"{hosts:,}, all well", hosts, 0),
        Mix(f"{hosts:,}, 10 % hanging", hosts, hosts // 10),
        Mix(f"{hosts:,}, 50 % dead", hosts, hosts // 2, is_dead=True),
    )


def measure(extent: Extent) -> tuple[list[Found], Recovery, float]:
    """All mixes, interleaved; one recovery; how much of the machine others took."""
    found = [Found(mix) for hosts in extent.hosts for mix in mixes(hosts)]
    with ExitStack() as stack:
        say("starting Apache Kafka, the schema registry and the receiver")
        cluster = stack.enter_context(KafkaCluster(is_at_full_speed=True))
        registry = stack.enter_context(Registry())
        receiver = stack.enter_context(Receiver(hosts=max(extent.hosts), secret=SECRET))
        schema_id = register(registry.url, "bench.isolation")
        records = {hosts: Records(schema_id, hosts) for hosts in extent.hosts}
        bench = IsolationBench(cluster, registry.url, receiver)
        for hosts in extent.hosts:
            say(f"writing a backlog for {hosts:,} endpoints")
            fill(cluster, f"bench.backlog.{hosts}", records[hosts], hosts * extent.records_per_host)
            cluster.create_topic(f"bench.steady.{hosts}", partitions=PARTITIONS)
        others = Others()
        for number in range(1, extent.rounds + 1):
            for one in found:
                say(f"round {number} of {extent.rounds}: {one.mix.name}")
                hosts = one.mix.hosts
                count = hosts * extent.records_per_host
                one.backlogs.append(bench.backlog(one.mix, f"bench.backlog.{hosts}", records=count))
                one.steady.append(
                    bench.steady(
                        one.mix,
                        f"bench.steady.{hosts}",
                        records[hosts],
                        per_second=extent.per_second,
                        seconds=extent.seconds,
                    )
                )
        hosts = min(extent.hosts)
        say(f"one endpoint of 100 is away for {extent.away_s} s")
        cluster.create_topic("bench.recovery", partitions=PARTITIONS)
        recovery = bench.recovery(
            "bench.recovery",
            Records(schema_id, 100),
            hosts=100,
            per_second=extent.per_second,
            away_s=extent.away_s,
            seconds=extent.seconds,
        )
        return found, recovery, others.share()


def judge(found: Sequence[Found], recovery: Recovery) -> list[Target]:
    """The targets, in the order in which they are shown."""
    targets = []
    for well, hanging, dead in zip(found[::3], found[1::3], found[2::3], strict=True):
        hosts = f"{well.mix.hosts:,}"
        for one, bound in ((hanging, HANGING_MIN), (dead, DEAD_MIN)):
            pairs = zip(one.backlogs, well.backlogs, strict=True)
            shares = [bad.per_good_s / good.per_good_s for bad, good in pairs]
            targets.append(at_least(f"of a good endpoint's throughput, {one.mix.name}", shares, bound))
        times = [bad.p99_ms / good.p99_ms for bad, good in zip(hanging.steady, well.steady, strict=True)]
        targets.append(at_most(f"times the p99, {hosts}, 10 % hanging", times, P99_TIMES_MAX))
    worst = max(recovery.away.p99_ms, recovery.draining.p99_ms) / recovery.before.p99_ms
    targets.append(at_most("times the others' p99, one away and back", [worst], P99_TIMES_MAX))
    peak = max(run.peak_memory_mb for one in found for run in one.backlogs)
    targets.append(at_most("peak resident memory, MB", [max(peak, recovery.peak_memory_mb)], MEMORY_MB_MAX))
    source = [run.fetched_bytes / _payload(one) for one in found[::3] for run in one.backlogs]
    targets.append(at_most("bytes fetched of the sources, of the payload", [max(source)], SOURCE_FETCHED_MAX))
    tiers = [
        (run.fetched_bytes - median(source) * _payload(one)) / (run.letters * _LETTER_BYTES)
        for one in found
        for run in one.backlogs
        if run.letters > 1_000
    ]
    if tiers:
        targets.append(at_most("bytes fetched of the tiers, of the payload", [max(tiers)], TIERS_FETCHED_MAX))
    return targets


def _payload(one: Found) -> int:
    return one.mix.hosts * FULL.records_per_host * _RECORD_BYTES


def main() -> int:
    """Measure, print the table, write the JSON file; 1 when a target is missed."""
    parser = argparse.ArgumentParser(
        prog="tests/bench/run --isolation", description="What bad endpoints cost the good ones."
    )
    parser.add_argument("--quick", action="store_true", help="one round, 1,000 endpoints, one minute away")
    parser.add_argument("--json", type=Path, default=Path(".cache/isolation.json"), help="where figures go")
    chosen = parser.parse_args()
    found, recovery, others_share = measure(QUICK if chosen.quick else FULL)
    targets = judge(found, recovery)
    line(f"{machine()}; others took {others_share:.0%} of the machine")
    line("")
    print_targets(targets)
    line("")
    for one in found:
        rate = median(run.per_good_s for run in one.backlogs) * one.mix.good
        per_cpu_s = median(run.per_cpu_s for run in one.backlogs)
        p99_ms = median(run.p99_ms for run in one.steady)
        line(f"{one.mix.name:<24}{rate:>10,.0f}/s {per_cpu_s:>10,.0f} per CPU second   p99 {p99_ms:,.1f} ms")
    line(
        f"away and back: a backlog of {recovery.backlog:,} drained in {recovery.drained_s:.0f} s; "
        f"the others' p99 {recovery.before.p99_ms:.1f} ms before, {recovery.away.p99_ms:.1f} while away, "
        f"{recovery.draining.p99_ms:.1f} while draining"
    )
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    content = {"found": [asdict(one) for one in found], "recovery": asdict(recovery)}
    chosen.json.write_text(json.dumps(content, indent=2) + "\n")
    say(f"figures in {chosen.json}")
    return 0 if all(target.is_met for target in targets) else 1


def say(message: str) -> None:
    sys.stderr.write(f"bench: {message}\n")


if __name__ == "__main__":
    sys.exit(main())
