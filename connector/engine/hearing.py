"""Hearing: what the board tells is read once, here, and given to everybody whom it may concern.

What a piece of news means is for them to say. What cannot be read is given to them too, is counted, and is
told in the log once for each key: another version may be running beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from connector.core.sharing import Fault, News, decode
from connector.engine.ports import Log
from connector.engine.shared import Board

UNREADABLE_MAX: Final = 1_000
"""Keys remembered whose news cannot be read, each told once: beyond it all are forgotten, and told again."""

Hear = Callable[[News | Fault], None]


class Hearing:
    """``hear`` are called for each record, in this order."""

    def __init__(self, board: Board, hear: Sequence[Hear], log: Log) -> None:
        self._board = board
        self._hear = hear
        self._log = log
        self.faults = 0
        """Records of the board that could not be read."""
        self._unreadable: set[str] = set()

    def start(self) -> None:
        """Begin to hear."""
        self._board.start(self._on_record)

    async def caught_up(self) -> None:
        """Wait until all that was known before is known here."""
        await self._board.caught_up()

    def _on_record(self, key: bytes, value: bytes | None) -> None:
        news = decode(key, value)
        if isinstance(news, Fault):
            self._cannot_read(news)
        for hear in self._hear:
            hear(news)

    def _cannot_read(self, fault: Fault) -> None:
        self.faults += 1
        if fault.key not in self._unreadable:
            if len(self._unreadable) >= UNREADABLE_MAX:
                self._unreadable.clear()
            self._unreadable.add(fault.key)
            self._log.warning("news that cannot be read", key=fault.key, why=fault.why)
