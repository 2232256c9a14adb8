"""Whether the demo kept the promise, judged from outside: what was written against what arrived.

What was written is the feed's list of acknowledged records. What arrived is what the receivers accepted,
by their own record, and what the dead-letter and parked topics hold, read by the demo. The connector's
books are asked only whether they add up. Pure: evidence in, findings out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connector.demo.equations import Equation
from connector.demo.letters import Letter
from connector.demo.offsets import Offsets
from connector.demo.records import Written
from connector.demo.scenario import Partner

EXAMPLES_MAX = 5
"""How many ids a finding names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One receiver's own record. ``accepted`` are event ids; ``rejected`` counts the requests that did not
    verify, ``fault`` says what was wrong with the last."""

    accepted: frozenset[str]
    received: int
    rejected: int = 0
    duplicates: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that the verdict rests on. ``seen`` is by partner id; ``offsets`` are those of the sources and the
    tiers."""

    partners: Sequence[Partner]
    written: Sequence[Written]
    seen: Mapping[str, Seen]
    dead: Sequence[Letter]
    parked: Sequence[Letter]
    equations: Sequence[Equation]
    offsets: Offsets


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that had to be so, whether it is, and the numbers."""

    what: str
    is_good: bool
    detail: str


def audit(evidence: Evidence) -> list[Finding]:
    """Every finding, good or bad, in the order in which a person asks."""
    findings: list[Callable[[Evidence], Finding]] = [
        _verified,
        _nothing_lost,
        _nothing_astray,
        _broken_records,
        _committed,
    ]
    return [*(each(evidence) for each in findings), *map(_adds_up, evidence.equations)]


def expected(evidence: Evidence) -> set[tuple[str, str]]:
    """Every delivery that is owed: partner id and event id."""
    return {
        (partner.id, record.event_id)
        for record in evidence.written
        if record.kind in ("event", "large")
        for partner in evidence.partners
        if record.event_type in partner.wants
    }


def _verified(evidence: Evidence) -> Finding:
    rejecting = {id_: seen for id_, seen in evidence.seen.items() if seen.rejected}
    verified = sum(seen.received - seen.rejected for seen in evidence.seen.values())
    unheard = [p.id for p in evidence.partners if not p.is_paused and not evidence.seen[p.id].received]
    if rejecting:
        faults = [f"{id_} turned away {seen.rejected} ({seen.fault})" for id_, seen in rejecting.items()]
        detail = "; ".join(faults)
    elif unheard:
        detail = f"nothing reached {', '.join(unheard)}"
    else:
        detail = f"{verified:,} requests, each checked by its receiver"
    return Finding(what="every signature verified", is_good=not (rejecting or unheard), detail=detail)


def _nothing_lost(evidence: Evidence) -> Finding:
    owed = expected(evidence)
    accepted = {(id_, event_id) for id_, seen in evidence.seen.items() for event_id in seen.accepted}
    dead = {(letter.partner, letter.event_id) for letter in evidence.dead}
    parked = {(letter.partner, letter.event_id) for letter in evidence.parked}
    lost = owed - accepted - dead - parked
    if lost:
        detail = f"{len(lost):,} of {len(owed):,} deliveries are nowhere: {_examples(lost)}"
    else:
        in_letters = len(owed & (dead - accepted))
        detail = (
            f"{len(owed):,} deliveries owed = {len(owed & accepted):,} accepted + {in_letters:,} dead letters"
            f" + {len(owed & (parked - dead - accepted)):,} parked"
        )
    return Finding(what="nothing lost", is_good=not lost, detail=detail)


def _nothing_astray(evidence: Evidence) -> Finding:
    accepted = {(id_, event_id) for id_, seen in evidence.seen.items() for event_id in seen.accepted}
    astray = accepted - expected(evidence)
    twice = sum(seen.duplicates for seen in evidence.seen.values())
    detail = f"{twice:,} accepted twice"
    if astray:
        detail = f"{len(astray):,} that nobody asked for: {_examples(astray)}"
    return Finding(what="nothing sent astray", is_good=not astray, detail=detail)


def _broken_records(evidence: Evidence) -> Finding:
    broken = {record.event_id for record in evidence.written if record.kind in ("corrupt", "no-frame")}
    poison = {letter.event_id for letter in evidence.dead if letter.reason == "poison"}
    missing, wronged = broken - poison, poison - broken
    if missing:
        detail = f"{len(missing)} broken records are not among the dead letters: {_examples(missing)}"
    elif wronged:
        detail = f"{len(wronged)} sound records were called poison: {_examples(wronged)}"
    else:
        detail = f"{len(broken)} broken records, each a dead letter"
    return Finding(what="poison set apart", is_good=not (missing or wronged), detail=detail)


def _committed(evidence: Evidence) -> Finding:
    behind = evidence.offsets.behind()
    if behind:
        worst = Counter({str(tp): count for tp, count in behind.items()}).most_common(EXAMPLES_MAX)
        detail = f"{sum(behind.values()):,} offsets to go: {', '.join(f'{tp} {n:,}' for tp, n in worst)}"
    else:
        total = sum(evidence.offsets.ends.values())
        detail = f"{total:,} of {total:,}, in {len(evidence.offsets.ends)} partitions"
    return Finding(what="every offset committed", is_good=not behind, detail=detail)


def _adds_up(equation: Equation) -> Finding:
    text = equation.text(with_zeros=True)
    if not equation.holds:
        text += f", which is {equation.sum}"
    return Finding(what=f"{equation.name} add up", is_good=equation.holds, detail=text)


def _examples(named: set[tuple[str, str]] | set[str]) -> str:
    shown = sorted(each if isinstance(each, str) else " ".join(each) for each in named)[:EXAMPLES_MAX]
    return ", ".join(shown) + (", …" if len(named) > EXAMPLES_MAX else "")
