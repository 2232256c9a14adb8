"""Whether a run can be trusted: how fast the machine is at this moment, and how much of it others use.

The machine's speed drifts. Two fixed pieces of work tell, in CPU time of this process: plain Python, and a
byte to and fro over a pair of sockets, which is the kernel's share. A run is bracketed by both; where they
differ too much between its beginning and its end it is dropped. Others that run meanwhile cost waiting more
than CPU time, so they are told and not dropped for: their work is the kernel's count of all of it less the
bench's own.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, process_time
from typing import Self, TypeVar

from tests.bench.cpu import machine_cpu_s, tree_cpu_s

DRIFT_MAX = 0.15
_REPEATS = 5
_LOOPS = 400_000
_PINGS = 8_000

Result = TypeVar("Result")


class Dropped(Exception):
    """The run was disturbed and says nothing therefore; the message says by what."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Nanoseconds of CPU for one turn of a plain loop, and for one ping over a pair of sockets."""

    loop_ns: float
    ping_ns: float

    @classmethod
    def measure(cls) -> Self:
        """The best of some repeats: what the machine can do now. Takes about a third of a second."""
        return cls(min(_loop_ns() for _ in range(_REPEATS)), min(_ping_ns() for _ in range(_REPEATS)))

    def drift_to(self, later: Speed) -> float:
        """How far the two are apart: 0 when equal, 0.15 when one took 15 % longer."""
        pairs = ((self.loop_ns, later.loop_ns), (self.ping_ns, later.ping_ns))
        return max(max(pair) / min(pair) - 1 for pair in pairs)


def undisturbed(measure: Callable[[], Result]) -> Result:
    """What ``measure`` returns. Raises :class:`Dropped` when the machine's speed changed by more than
    :data:`DRIFT_MAX` meanwhile."""
    before = Speed.measure()
    result = measure()
    drift = before.drift_to(Speed.measure())
    if drift > DRIFT_MAX:
        raise Dropped(f"the machine's speed changed by {drift:.0%}")
    return result


class Others:
    """What else ran on this machine since this was made."""

    def __init__(self) -> None:
        self._begun_s = monotonic()
        self._before_s = _others_cpu_s()

    def share(self) -> float:
        """Of all the machine's processors, 0 to 1."""
        elapsed_s = (monotonic() - self._begun_s) * (os.cpu_count() or 1)
        return max(0.0, (_others_cpu_s() - self._before_s) / elapsed_s)


def _others_cpu_s() -> float:
    return machine_cpu_s() - tree_cpu_s(os.getpid())


def _loop_ns() -> float:
    begun = process_time()
    total = 0
    for number in range(_LOOPS):
        total += number & 7
    return (process_time() - begun) / _LOOPS * 1e9


def _ping_ns() -> float:
    near, far = socket.socketpair()
    with near, far:
        begun = process_time()
        for _ in range(_PINGS):
            near.send(b".")
            far.recv(1)
            far.send(b".")
            near.recv(1)
        return (process_time() - begun) / _PINGS * 1e9
