"""Room for connections of which another is always quicker to take what comes free."""

from __future__ import annotations

import asyncio

from connector.webhook.room import Room


class Contested(Room):
    """What is given back another takes at once (``has_taken``), until it :meth:`leaves` and gives back all
    of it."""

    def __init__(self, connections_max: int) -> None:
        super().__init__(connections_max)
        self.has_taken = asyncio.Event()
        self._is_contested = True
        self._others = 0

    def give_back(self) -> None:
        if self._is_contested:
            self._others += 1
            self.has_taken.set()
        else:
            super().give_back()

    def leaves(self) -> None:
        self._is_contested = False
        for _ in range(self._others):
            super().give_back()
