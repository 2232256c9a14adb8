"""What a view of the demo can show; which one is used depends on where the output goes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from rich.console import Console

from connector.demo.picture import Picture
from connector.demo.view.lines import LineScreen
from connector.demo.view.live import LiveScreen


class Screen(Protocol):
    def preparing(self, what: str, done: int, of: int) -> None:
        """Something that takes a while before there is a picture; ``done`` == ``of`` when it is over."""

    def show(self, picture: Picture) -> None:
        """The state of this moment; called several times a second."""


def screen_for(console: Console) -> AbstractContextManager[Screen]:
    """A live picture on a terminal that can draw one, lines elsewhere."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveScreen(console)
    return LineScreen(console)
