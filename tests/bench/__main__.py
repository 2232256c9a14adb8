"""``python -m tests.bench``: what a delivery costs, end to end. See ``tests/bench/run``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from tests.bench.bed import started_bed
from tests.bench.calibration import Others, Speed
from tests.bench.layers import measure_layers
from tests.bench.progress import say
from tests.bench.report import Findings, judge, machine, print_table
from tests.bench.scenarios import Bench, Delivered
from tests.bench.spares import Spares
from tests.bench.workload import PARTITIONS, Records, fill, register

FEW, MANY = 20, 1_000
PER_SECOND = 1_000
_BACKLOG_TOPIC, _PACED_TOPIC = "bench.backlog", "bench.paced"


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured. A run that was disturbed is repeated, but no more than ``spare_runs`` in all."""

    rounds: int
    records: int
    bare_requests: int
    pace_seconds: int
    spare_runs: int


FULL = Extent(rounds=5, records=110_000, bare_requests=200_000, pace_seconds=10, spare_runs=6)
QUICK = Extent(rounds=3, records=50_000, bare_requests=100_000, pace_seconds=4, spare_runs=2)


def measure(extent: Extent) -> Findings:
    """Start everything, measure everything, end everything."""
    spares = Spares(extent.spare_runs)
    few: list[Delivered] = []
    many: list[Delivered] = []
    waking: list[Delivered] = []
    bare: list[float] = []
    minimal: list[float] = []
    with started_bed(hosts=MANY) as bed:
        records = Records(register(bed.registry_url, _BACKLOG_TOPIC))
        say(f"writing a backlog of {extent.records:,} records")
        fill(bed.cluster, _BACKLOG_TOPIC, records, extent.records)
        bed.cluster.create_topic(_PACED_TOPIC, partitions=PARTITIONS)
        bench = Bench(bed, records)
        deliver_backlog = partial(bench.deliver, _BACKLOG_TOPIC, records=extent.records)
        others = Others()
        for number in range(1, extent.rounds + 1):
            say(f"round {number} of {extent.rounds}")
            for hosts, found in ((FEW, few), (MANY, many)):
                found += spares.run(f"{hosts} endpoints", partial(deliver_backlog, hosts=hosts))
            wake = partial(deliver_backlog, hosts=FEW, is_awake=False)
            waking += spares.run("a receiver that sleeps", wake)
            send = partial(bench.send, requests=extent.bare_requests)
            bare += spares.run("sender alone", partial(send, "sender_loop"))
            minimal += spares.run("minimal sender", partial(send, "minimal_sender"))
        say(f"{PER_SECOND:,} records a second")
        with bench.paced(_PACED_TOPIC, hosts=FEW) as pace:
            window = partial(pace, per_second=PER_SECOND, seconds=extent.pace_seconds)
            paced = [found for _ in range(extent.rounds) for found in spares.run("paced", window)]
        others_share = others.share()
        say("each layer alone")
        layers_us = measure_layers(bed.cluster.bootstrap_servers, _BACKLOG_TOPIC, records, bed.receiver)
    return Findings(
        machine=machine(),
        speed=Speed.measure(),
        records=extent.records,
        few=few,
        many=many,
        waking=waking,
        bare_per_cpu_s=bare,
        minimal_per_cpu_s=minimal,
        paced=paced,
        layers_us=layers_us,
        dropped=spares.dropped,
        others_share=others_share,
        targets=judge(few, many, bare, paced),
    )


def main() -> int:
    """Measure, print the table, write the JSON file; 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="tests/bench/run", description="What a delivery costs, end to end.")
    parser.add_argument("--quick", action="store_true", help="fewer records and three rounds")
    parser.add_argument("--json", type=Path, default=Path(".cache/bench.json"), help="where the figures go")
    chosen = parser.parse_args()
    findings = measure(QUICK if chosen.quick else FULL)
    print_table(findings)
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(asdict(findings), indent=2) + "\n")
    say(f"figures in {chosen.json}")
    return 0 if all(target.is_met for target in findings.targets) else 1


if __name__ == "__main__":
    sys.exit(main())
