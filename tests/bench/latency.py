"""How long deliveries took, endpoint by endpoint: a few that suffer do not show in what all have in common.

From the moment a record was made to the endpoint's answer: what the receiver measured, which is the arrival,
and the time that it takes to answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import nan
from statistics import median
from typing import Self

DELAY_MS = 50
"""What every endpoint takes to answer."""

ByHost = Mapping[str, Sequence[float]]
"""From a record's stamp to its arrival, in ms, by the endpoint's host."""


@dataclass(frozen=True, slots=True)
class Latency:
    """In ms: of all deliveries together; the p99 of the endpoint in the middle, and of the worst one."""

    p50_ms: float
    p99_ms: float
    middle_p99_ms: float
    worst_p99_ms: float
    deliveries: int

    @classmethod
    def of(cls, by_host: ByHost) -> Self:
        """Not a number when there was no delivery."""
        if not by_host:
            return cls(nan, nan, nan, nan, 0)
        everything = sorted(chain.from_iterable(by_host.values()))
        ends = p99s_ms(by_host).values()
        return cls(
            p50_ms=everything[len(everything) // 2] + DELAY_MS,
            p99_ms=_p99_ms(everything) + DELAY_MS,
            middle_p99_ms=median(ends),
            worst_p99_ms=max(ends),
            deliveries=len(everything),
        )


@dataclass(frozen=True, slots=True)
class Moved:
    """By which factor the p99 of an endpoint is another than before: the one in the middle, the worst one."""

    middle: float
    worst: float

    @classmethod
    def between(cls, before: ByHost, after: ByHost) -> Self:
        """Of the endpoints that got something in both; not a number when none did."""
        old, new = p99s_ms(before), p99s_ms(after)
        factors = [new[host] / old[host] for host in old.keys() & new.keys()]
        return cls(median(factors), max(factors)) if factors else cls(nan, nan)


def p99s_ms(by_host: ByHost) -> dict[str, float]:
    """Each endpoint's own p99, up to its answer."""
    return {host: _p99_ms(sorted(latencies)) + DELAY_MS for host, latencies in by_host.items()}


def _p99_ms(ordered: Sequence[float]) -> float:
    return ordered[len(ordered) * 99 // 100]
