"""Says what lasts again and again, but ever more seldom.

A fault that is met every second would fill the log; one that is told once is scrolled away before anybody
looks. So each is told at once, then after 2 s, 4 s and so on, and at last once a minute.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST_PAUSE_S = 2.0
PAUSE_MAX_S = 60.0
TEXTS_MAX = 16
"""How many different faults are remembered; past it, the one that was told first is new again."""


class Reminder:
    """``say`` is called with what is to be told now."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._pauses: dict[str, tuple[float, float]] = {}  # by text: silent until, and for how long then

    def met(self, what: str, *, now_s: float) -> None:
        """The fault is there (still, or again)."""
        until_s, pause_s = self._pauses.get(what, (now_s, FIRST_PAUSE_S))
        if now_s < until_s:
            return
        if what not in self._pauses and len(self._pauses) == TEXTS_MAX:
            del self._pauses[next(iter(self._pauses))]
        self._pauses[what] = now_s + pause_s, min(pause_s * 2, PAUSE_MAX_S)
        self._say(what)

    def over(self) -> None:
        """All is well: whatever comes next is new."""
        self._pauses.clear()
