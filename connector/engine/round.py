"""Rounds: what is to be done to each lane now and then is done to a few at a time.

To look at all of ten thousand lanes holds everything up for 20 ms, four times a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from connector.engine.lane import Lane
from connector.engine.lanes import Lanes

LOOKS_PER_ROUND: Final = 16
"""In so many looks each lane has its turn: 4 s."""
FEW: Final = 500
"""As many have it each time at least, or all."""


class Round:
    """Goes round ``lanes`` for one purpose."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._rest: Iterator[Lane] = iter(())

    def next(self) -> list[Lane]:
        """Those whose turn it is. Call at every look."""
        few = max(FEW, len(self._lanes) // LOOKS_PER_ROUND)
        lanes = list(islice(self._rest, few))
        if len(lanes) < few:
            self._rest = iter(self._lanes)
            lanes += islice(self._rest, few - len(lanes))
        return [lane for lane in lanes if lane.is_live]  # those of the view when the round began may be not
