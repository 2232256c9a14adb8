"""The demo as plain lines, for a log or a pipe: one every two seconds, and one for each change of phase."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console

from connector.core.units import format_duration_ms
from connector.demo.picture import Picture

EVERY_S = 2.0


class LineScreen:
    """Implements :class:`~connector.demo.view.screen.Screen`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._due_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to put back."""

    def preparing(self, what: str, done: int, of: int) -> None:
        if done == of:
            self.say(f"{what}: {done} of {of}")

    def show(self, picture: Picture) -> None:
        if not self._phase:
            self.say(f"on {picture.cluster}")
            self.say(picture.terms)
        if picture.phase != self._phase or picture.elapsed_s >= self._due_s:
            self._phase = picture.phase
            self._due_s = picture.elapsed_s + EVERY_S
            self.say(line_of(picture))

    def say(self, line: str) -> None:
        """Print a line as it is."""
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)


def line_of(picture: Picture) -> str:
    """One moment on one line."""
    tiers = ", ".join(
        f"{format_duration_ms(row.tier_ms)} {len(row.on_the_way)}/{row.total}" for row in picture.tiers
    )
    dead = ", ".join(f"{reason} {count}" for reason, count in sorted(picture.dead.items()))
    return (
        f"{picture.elapsed_s:5.1f} s  {picture.phase}: {picture.consumed:,} events consumed, "
        f"{picture.accepted:,} deliveries accepted, {picture.failed:,} attempts failed; "
        f"waiting/ever in tier: {tiers}; dead letters: {dead or 'none'}; parked: {picture.parked:,}; "
        f"offsets committed: {picture.committed:,} of {picture.logged:,}"
    )
