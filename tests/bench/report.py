"""What was found, what it is held against, and how it is shown."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.calibration import Speed
from tests.bench.layers import Layers
from tests.bench.scenarios import Delivered, Paced

PER_CPU_S_MIN = 18_000
PER_CPU_S_AIM = 24_000
SHARE_OF_BARE_MIN = 0.2
P50_MS_MAX = 5.0
P99_MS_MAX = 25.0
MEMORY_MB_MAX = 250.0
FLATNESS_MAX = 0.2

_NAME_CHARS = 54


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One figure and its bound; ``is_met`` is false too when every run of it was dropped."""

    name: str
    found: str
    bound: str
    is_met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that was measured. ``waking`` are deliveries to 20 endpoints of a receiver that sleeps
    between requests, where the kernel bills the sender for waking it; all other throughput is measured with
    one that is awake. ``bare_per_cpu_s`` are POSTs of the connector's own sender alone, with prepared bytes;
    ``minimal_per_cpu_s`` those of the least that can send. ``dropped`` says which runs were not counted, and
    why; ``others_share`` how much of the machine others used meanwhile, 0 to 1."""

    machine: str
    speed: Speed
    records: int
    few: list[Delivered]
    many: list[Delivered]
    waking: list[Delivered]
    bare_per_cpu_s: list[float]
    minimal_per_cpu_s: list[float]
    paced: list[Paced]
    layers_us: Layers
    dropped: list[str]
    others_share: float
    targets: list[Target]


def machine() -> str:
    return f"{platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}"


def judge(
    few: Sequence[Delivered], many: Sequence[Delivered], bare: Sequence[float], paced: Sequence[Paced]
) -> list[Target]:
    """The targets, in the order in which they are shown."""
    targets = []
    for name, runs in (("20 endpoints", few), ("1,000 endpoints", many)):
        rates = [run.per_cpu_s for run in runs]
        targets.append(at_least(f"deliveries per CPU second, {name}", rates, PER_CPU_S_MIN))
    shares = [run.per_cpu_s / median(bare) for run in few] if bare else []
    targets.append(at_least("of the rate of the sender alone, 20 endpoints", shares, SHARE_OF_BARE_MIN))
    dearer = []
    if few and many:
        dearer = [median(run.per_cpu_s for run in few) / median(run.per_cpu_s for run in many) - 1]
    targets.append(at_most("dearer with 1,000 endpoints than with 20, by", dearer, FLATNESS_MAX))
    targets.append(at_most("produce to POST, p50, ms", [run.p50_ms for run in paced], P50_MS_MAX))
    targets.append(at_most("produce to POST, p99, ms", [run.p99_ms for run in paced], P99_MS_MAX))
    peak = [max(run.peak_memory_mb for run in many)] if many else []
    targets.append(at_most("peak resident memory, 1,000 endpoints, MB", peak, MEMORY_MB_MAX))
    return targets


def print_table(findings: Findings) -> None:
    """The findings for people, on standard output."""
    few, many, bare, paced = findings.few, findings.many, findings.bare_per_cpu_s, findings.paced
    speed = findings.speed
    line(
        f"{findings.machine}; a loop {speed.loop_ns:.0f} ns, a ping {speed.ping_ns:.0f} ns; "
        f"others took {findings.others_share:.0%} of the machine"
    )
    line(
        f"{findings.records:,} records of 1 KB; runs with 20 endpoints: {len(few)}, with 1,000: {len(many)}, "
        f"senders alone: {len(bare)}, paced: {len(paced)}, dropped: {len(findings.dropped)}"
    )
    line("")
    print_targets(findings.targets)
    line("")
    row("the sender alone, POSTs per CPU second", bare)
    row("a minimal sender, POSTs per CPU second", findings.minimal_per_cpu_s)
    row("deliveries per CPU second, a receiver that sleeps", [run.per_cpu_s for run in findings.waking])
    for name, runs in (("20 endpoints", few), ("1,000 endpoints", many)):
        row(f"deliveries per second of wall time, {name}", [run.per_s for run in runs])
        for role in runs[0].us_by_thread if runs else ():
            row(f"    µs of CPU in {role}", [run.us_by_thread[role] for run in runs])
    row("µs of CPU per delivery at 1,000 a second", [run.us_per_delivery for run in paced])
    line("")
    line("each layer alone, µs of CPU per delivery")
    for layer, spent_us in findings.layers_us.items():
        row(f"    {layer}", [spent_us])
    whole_us = sum(us for layer, us in findings.layers_us.items() if not layer.startswith(" "))
    row("    all of them", [whole_us])


def print_targets(targets: Sequence[Target]) -> None:
    """A line for each: what was found, the bound, and whether it is met."""
    for target in targets:
        mark = "met" if target.is_met else "MISSED"
        line(f"{target.name:<{_NAME_CHARS}}{target.found:>12}   {target.bound:<12}{mark}")


def row(name: str, figures: Sequence[float]) -> None:
    """The median of some figures; nothing when there are none."""
    if figures:
        line(f"{name:<{_NAME_CHARS}}{_shown(median(figures)):>12}")


def at_least(name: str, found: Sequence[float], bound: float) -> Target:
    """Holds the median of ``found`` against a lower bound."""
    middle = median(found) if found else float("nan")
    return Target(name=name, found=_shown(middle), bound=f"≥ {_shown(bound)}", is_met=middle >= bound)


def at_most(name: str, found: Sequence[float], bound: float) -> Target:
    """Holds the median of ``found`` against an upper bound."""
    middle = median(found) if found else float("nan")
    return Target(name=name, found=_shown(middle), bound=f"≤ {_shown(bound)}", is_met=middle <= bound)


def _shown(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.2f}"


def line(text: str) -> None:
    """On standard output."""
    sys.stdout.write(text + "\n")
