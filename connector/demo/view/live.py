"""The live picture on a terminal: one screen, drawn anew four times a second, gone when it is over."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from connector.demo.picture import Picture
from connector.demo.view import sections
from connector.demo.view.bars import filled

WIDE_CELLS = 110
"""From here on two columns fit beside each other."""
RECENT_MAX = 3


class LiveScreen:
    """Implements :class:`~connector.demo.view.screen.Screen`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, screen=True, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def preparing(self, what: str, done: int, of: int) -> None:
        line = Text(f"{what.capitalize()} ").append_text(filled(done, of, 30, style=sections.FLOWS))
        self._draw([Text("webhook-connector demo", "bold"), Text(), line.append(f" {done} of {of}")])

    def show(self, picture: Picture) -> None:
        width, height = self._console.size
        self._draw([sections.cut(line, width) for line in lines_of(picture, width=width - 1, height=height)])

    def _draw(self, lines: sections.Lines) -> None:
        self._live.update(Group(*lines), refresh=True)


def lines_of(picture: Picture, *, width: int, height: int) -> sections.Lines:
    """The whole picture for a terminal of this size."""
    top = [
        sections.head(picture, width),
        sections.flow(picture, width),
        sections.endpoints(picture, width),
    ]
    end = sections.equations(picture, width)
    if width < WIDE_CELLS - 1:
        rest = [
            sections.tiers(picture, width),
            sections.dead_letters(picture, width, recent_max=0) + sections.offsets_in_one(picture, width),
        ]
        return sections.stack([*top, *rest, end], height)
    left_cells = width * 6 // 10
    right_cells = width - left_cells - 3
    left = [
        *sections.tiers(picture, left_cells),
        Text(),
        *sections.dead_letters(picture, left_cells, recent_max=RECENT_MAX),
    ]
    both = sections.beside(left, sections.offsets(picture, right_cells), left_cells, 3)
    return sections.stack([*top, both, end], height)
