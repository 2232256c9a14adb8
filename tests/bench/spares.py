"""Runs that may be repeated: one that was disturbed says nothing, but a bench must end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tests.bench.calibration import Dropped, undisturbed
from tests.bench.progress import say

Result = TypeVar("Result")


@dataclass(slots=True)
class Spares:
    """Runs that may still be repeated, and why those before had to be."""

    left: int
    dropped: list[str] = field(default_factory=list)

    def run(self, name: str, measure: Callable[[], Result]) -> list[Result]:
        """The result; none when the run was disturbed and may not be repeated any more."""
        while True:
            try:
                return [undisturbed(measure)]
            except Dropped as why:
                self.dropped.append(f"{name}: {why}")
                say(f"dropped: {self.dropped[-1]}")
            if self.left == 0:
                return []
            self.left -= 1
