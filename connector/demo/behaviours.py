"""What a demo receiver does with a request whose signature it has verified."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sound:
    """Accepts everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaky:
    """Answers 503 to every ``every``-th request, the same ones in each run; ``seed`` moves the first."""

    every: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError("a flaky receiver fails every 1st, 2nd, 3rd, … request; give a number from 1 up")

    def fails(self, number: int) -> bool:
        """Whether the request with this number, counted from 1, is turned away."""
        return (number + self.seed) % self.every == 0


@dataclass(frozen=True, slots=True)
class Down:
    """Answers 500 to everything. (For a refused connection, let nothing listen.)"""


@dataclass(frozen=True, slots=True)
class Hanging:
    """Never answers; ends when the sender gives up."""


Behaviour = Sound | Flaky | Down | Hanging


def parse_behaviour(text: str) -> Behaviour:
    """``sound``, ``flaky:3``, ``flaky:3:1`` (with a seed), ``down`` or ``hanging``. Raises
    :class:`ValueError` for anything else."""
    match text.split(":"):
        case ["sound"]:
            return Sound()
        case ["down"]:
            return Down()
        case ["hanging"]:
            return Hanging()
        case ["flaky", every] if every.isdecimal():
            return Flaky(every=int(every))
        case ["flaky", every, seed] if every.isdecimal() and seed.isdecimal():
            return Flaky(every=int(every), seed=int(seed))
    raise ValueError(f"{text!r} is no behaviour; there are sound, flaky:3, flaky:3:1, down and hanging")
