"""How fast this machine is at this moment, so that runs disturbed by others can be told and dropped.

Two fixed pieces of work, in CPU time of this process: plain Python, and a byte to and fro over a pair of
sockets, which is the kernel's share. A run is bracketed by both; where they differ too much between its
beginning and its end, the machine changed under it.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from time import process_time
from typing import Self

DRIFT_MAX = 0.15
_REPEATS = 5
_LOOPS = 400_000
_PINGS = 8_000


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
