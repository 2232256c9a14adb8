"""What isolation is held against, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.calibration import Speed
from tests.bench.isolation import LADDER, TIMEOUT, Crowd, Isolated, Mix
from tests.bench.latency import DELAY_MS
from tests.bench.recovery import COOL_DOWN_MAX_MS, HOSTS, IN_FLIGHT_MAX, Recovery
from tests.bench.report import Target, at_least, at_most, line, print_targets, row
from tests.bench.scenarios import Delivered
from tests.bench.traffic import LETTERS_MIN

HANGING_MIN, DEAD_MIN = 0.90, 0.85
P99_TIMES_MAX = 1.2
MEMORY_MB_MAX = 300.0
SOURCE_FETCHED_MAX, TIERS_FETCHED_MAX = 1.2, 3.0
COST_MIN = 0.9
DRAIN_SHARE_MIN, LETTERS_EACH_MAX = 0.8, 3.0
_BACKLOG_MIN = 5_000
"""A smaller one is gone before the endpoint's limit has grown: how fast it drained says nothing."""


@dataclass(frozen=True, slots=True)
class Found:
    """All runs of a crowd's three mixes, round by round."""

    crowd: Crowd
    mixes: tuple[Mix, Mix, Mix]
    well: list[Isolated]
    hanging: list[Isolated]
    dead: list[Isolated]

    @property
    def lists(self) -> tuple[list[Isolated], ...]:
        """In the order of ``mixes``."""
        return self.well, self.hanging, self.dead

    @property
    def runs(self) -> list[Isolated]:
        return [run for runs in self.lists for run in runs]

    def ratios(self, bad: list[Isolated], of: Callable[[Isolated], float]) -> list[float]:
        """A figure of ``bad`` over that of the run of the same round in which all were well."""
        return [of(one) / of(well) for one, well in zip(bad, self.well, strict=True)]


@dataclass(frozen=True, slots=True)
class Cost:
    """The work of ``tests/bench/run``, by turns: as the product comes, with a rate limit for every endpoint
    too, with all that isolates off as far as settings go, and POSTs of the sender alone per CPU second of a
    machine at its usual speed."""

    usual: list[Delivered]
    limited: list[Delivered]
    off: list[Delivered]
    bare_per_cpu_s: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that was measured. ``others_share`` is what others took of the machine, over all of it."""

    machine: str
    speed: Speed
    found: list[Found]
    recovery: Recovery
    cost: Cost
    others_share: float
    targets: list[Target]


def judge(found: Sequence[Found], recovery: Recovery, cost: Cost) -> list[Target]:
    """The targets, in the order in which they are shown."""
    return [
        *(target for one in found for target in _of_crowd(one)),
        *_of_recovery(recovery),
        *_of_means(found, recovery, cost),
        *_of_cost(cost),
    ]


def _of_crowd(found: Found) -> Iterator[Target]:
    def arrived(run: Isolated) -> float:
        return run.arrived_share

    def throughput(run: Isolated) -> float:
        return run.per_good_s

    hosts = f"{found.crowd.hosts:,}"
    for name, runs, bound in (("hanging", found.hanging, HANGING_MIN), ("dead", found.dead, DEAD_MIN)):
        share = "10 %" if name == "hanging" else "50 %"
        which = f"{hosts} endpoints, {share} {name}"
        yield at_least(f"{which}: steady throughput", found.ratios(runs, arrived), bound)
        yield at_least(f"{which}: backlog throughput", found.ratios(runs, throughput), bound)
        if name == "hanging":
            p99s = found.ratios(runs, lambda run: run.latency.p99_ms)
            yield at_most(f"{which}: p99, times", p99s, P99_TIMES_MAX)
    missing = [float(run.missing) for run in found.runs]
    yield at_most(f"{hosts} endpoints: good deliveries that never came", _worst(missing), 0)


def _of_recovery(recovery: Recovery) -> Iterator[Target]:
    for name, moved in (("away", recovery.away_moved), ("draining", recovery.draining_moved)):
        yield at_most(f"one is {name}: p99 of the others' worst, times", [moved.worst], P99_TIMES_MAX)
    yield at_most("one is back: still owed in the end, seconds' worth", [recovery.owed_s], 1)
    if recovery.backlog >= _BACKLOG_MIN:
        limit_per_s = IN_FLIGHT_MAX * 1_000 / DELAY_MS
        share = recovery.mean_per_s / limit_per_s
        yield at_least(f"one drains: of the {limit_per_s:.0f}/s of its limit", [share], DRAIN_SHARE_MIN)
        yield at_most("one drains: letters written for each", [recovery.letters_each], LETTERS_EACH_MAX)


def _of_means(found: Sequence[Found], recovery: Recovery, cost: Cost) -> Iterator[Target]:
    runs = [run for one in found for run in one.runs]
    peaks = [run.peak_memory_mb for run in runs]
    peaks += [
        recovery.peak_memory_mb,
        *(run.peak_memory_mb for run in (*cost.usual, *cost.limited)),
    ]
    yield at_most("peak resident memory of any run, MB", _worst(peaks), MEMORY_MB_MAX)
    sources = [run.source_times for run in runs]
    yield at_most("bytes fetched of a backlog, times, any run", _worst(sources), SOURCE_FETCHED_MAX)
    later = recovery.source_bytes_after / recovery.source_bytes_before
    yield at_most("one is away: source bytes per record, times", [later], SOURCE_FETCHED_MAX)
    # Here alone all that was written to the tiers is read in the end; elsewhere what was fetched ahead of its
    # time counts as fetched and not as read.
    if recovery.tier_times is not None:
        yield at_most("bytes fetched of the tiers, times", [recovery.tier_times], TIERS_FETCHED_MAX)


def _of_cost(cost: Cost) -> Iterator[Target]:
    off = median(run.per_usual_cpu_s for run in cost.off)
    for name, runs in (("as it comes", cost.usual), ("with rate limits", cost.limited)):
        shares = [run.per_usual_cpu_s / off for run in runs]
        yield at_least(f"healthy, {name}: rate, of isolation off", shares, COST_MIN)


def _worst(figures: Sequence[float]) -> list[float]:
    return [max(figures)] if figures else []


def print_findings(findings: Findings) -> None:
    """For people, on standard output."""
    recovery, cost, speed = findings.recovery, findings.cost, findings.speed
    line(
        f"{findings.machine}; a loop {speed.loop_ns:.0f} ns, a ping {speed.ping_ns:.0f} ns; "
        f"others took {findings.others_share:.0%} of the machine"
    )
    line("Ratios are to the run of the same round in which all endpoints were well; medians over the rounds.")
    line("What a processor bounds is corrected by how slow the machine was meanwhile (slow: 1.00 is usual).")
    line(f"Latency is from the making of a record to the answer, which takes {DELAY_MS} ms.")
    line(f"Timeouts are {TIMEOUT}, so that what hangs fails within a run. The steady pace is far below what")
    line("the machine can do; a backlog is bounded by its processors, so what bad ones cost of them counts.")
    line("")
    print_targets(findings.targets)
    for found in findings.found:
        _print_crowd(found)
    _print_recovery(recovery)
    line("")
    line("what a healthy delivery costs, 20 endpoints that answer at once")
    row("    deliveries per CPU second, as it comes", [run.per_usual_cpu_s for run in cost.usual])
    row("    with a rate limit for every endpoint", [run.per_usual_cpu_s for run in cost.limited])
    row("    isolation off as far as settings go", [run.per_usual_cpu_s for run in cost.off])
    row("    POSTs of the sender alone", cost.bare_per_cpu_s)


def _print_crowd(found: Found) -> None:
    crowd = found.crowd
    line("")
    line(
        f"{crowd.hosts:,} endpoints at {DELAY_MS} ms, rounds: {crowd.rounds}; {crowd.per_second:,} records/s "
        f"for {crowd.settle_s} s, then {crowd.seconds} s timed, then {crowd.hosts * crowd.backlog_each:,} at "
        f"once; ladder {' '.join(LADDER)}"
    )
    line(f"    {'':<14}{'backlog':>10}{'per CPU s':>11}{'p50':>8}{'p99':>8}{'endpoint':>10}{'worst':>8}"
         f"{'MB':>6}{'source':>8}{'tiers':>7}{'others':>8}{'slow':>6}")  # fmt: skip
    for mix, runs in zip(found.mixes, found.lists, strict=True):
        tiers = [run.tier_times for run in runs if run.tier_times is not None]
        tiers_times = f"{max(tiers):.2f}" if tiers else "-"
        line(
            f"    {mix.name:<14}"
            f"{median(run.per_good_s for run in runs) * mix.good:>8,.0f}/s"
            f"{median(run.per_cpu_s for run in runs):>11,.0f}"
            f"{median(run.latency.p50_ms for run in runs):>8.1f}"
            f"{median(run.latency.p99_ms for run in runs):>8.1f}"
            f"{median(run.latency.middle_p99_ms for run in runs):>10.1f}"
            f"{median(run.latency.worst_p99_ms for run in runs):>8.1f}"
            f"{max(run.peak_memory_mb for run in runs):>6.0f}"
            f"{max(run.source_times for run in runs):>8.2f}"
            f"{tiers_times:>7}"
            f"{median(run.others_share for run in runs):>8.0%}"
            f"{median(run.slowness for run in runs):>6.2f}"
        )


def _print_recovery(recovery: Recovery) -> None:
    line("")
    line(
        f"one of {HOSTS} endpoints hangs for {recovery.away_s} s (breaker: a probe every "
        f"{COOL_DOWN_MAX_MS // 1_000} s at most; tiers of 5 s and 30 s) and comes back"
    )
    line(
        f"    a backlog of {recovery.backlog:,}: the first after {recovery.first_s:.0f} s, none owed after "
        f"{recovery.drained_s:.0f} s, {recovery.busiest_per_s:.0f}/s in the busiest 5 s, "
        f"{recovery.mean_per_s:.0f}/s in the mean; letters for each: {recovery.letters_each:.1f}"
    )
    for name, found in (
        ("before", recovery.before), ("away", recovery.away), ("draining", recovery.draining),
    ):  # fmt: skip
        line(
            f"    the others {name:<9} p50 {found.p50_ms:6.1f} ms, p99 {found.p99_ms:6.1f}; "
            f"an endpoint's p99 {found.middle_p99_ms:6.1f}, the worst {found.worst_p99_ms:6.1f}"
        )
    for name, moved in (
        ("away against before", recovery.away_moved),
        ("draining against before", recovery.draining_moved),
        ("two halves of before", recovery.noise),
    ):
        line(f"    an endpoint's p99, {name:<24} × {moved.middle:.2f}, the worst × {moved.worst:.2f}")
    if recovery.tier_times is None:
        line(f"    fewer than {LETTERS_MIN:,} letters were read: what was fetched of the tiers is not judged")
    line(
        f"    {recovery.peak_memory_mb:.0f} MB; bytes fetched for a record of 1 KB: "
        f"{recovery.source_bytes_before:,.0f} before, {recovery.source_bytes_after:,.0f} after; the "
        f"machine's speed changed by {recovery.drift:.0%}, others took {recovery.others_share:.0%}"
    )
