"""Whether a run can be trusted: how fast the machine is at this moment, and how much of it others use.

The machine's speed drifts. Two fixed pieces of work tell, in CPU time of their thread: plain Python, and a
byte to and fro over a pair of sockets, which is the kernel's share. A run whose figure is held against a
fixed number is bracketed by both; where they differ too much between its beginning and its end it is dropped.
Runs that are compared with one another are sampled all the time instead, and what a processor bounds of them
is corrected by what was found: on hardware that others use, few runs of a minute end as fast as they began.
Others that run meanwhile cost waiting more than CPU time, so they are told and not dropped for: their work is
the kernel's count of all of it less the bench's own.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean
from threading import Event, Thread
from time import monotonic, thread_time
from typing import Self, TypeVar

from tests.bench.cpu import machine_cpu_s, tree_cpu_s

DRIFT_MAX = 0.15
_REPEATS = 5
_LOOPS = 400_000
_PINGS = 8_000
_SAMPLE_EVERY_S = 0.2
_SAMPLE_PART = 20  # a sample is so small a part of the work: some 3 ms
_USUAL_LOOP_NS, _USUAL_PING_NS = 40.0, 2_700.0

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
        return cls(
            min(_loop_ns(_LOOPS) for _ in range(_REPEATS)), min(_ping_ns(_PINGS) for _ in range(_REPEATS))
        )

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


class Slowness:
    """How slow the machine is while this context lasts: 1.0 as it usually is, 1.5 where the same work takes
    half as long again. A thread of this process works for 3 ms of every 200."""

    def __init__(self) -> None:
        self._samples = [_slowness()]
        self._is_over = Event()
        self._thread = Thread(target=self._sample, name="slowness")

    def mean(self) -> float:
        """Of all that was found until now."""
        return mean(self._samples)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._is_over.wait(_SAMPLE_EVERY_S):
            self._samples.append(_slowness())


def _slowness() -> float:
    loop = _loop_ns(_LOOPS // _SAMPLE_PART) / _USUAL_LOOP_NS
    return (loop + _ping_ns(_PINGS // _SAMPLE_PART) / _USUAL_PING_NS) / 2


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


def _loop_ns(loops: int) -> float:
    begun = thread_time()
    total = 0
    for number in range(loops):
        total += number & 7
    return (thread_time() - begun) / loops * 1e9


def _ping_ns(pings: int) -> float:
    near, far = socket.socketpair()
    with near, far:
        begun = thread_time()
        for _ in range(pings):
            near.send(b".")
            far.recv(1)
            far.send(b".")
            near.recv(1)
        return (thread_time() - begun) / pings * 1e9
