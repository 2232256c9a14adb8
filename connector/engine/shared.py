"""The board: where the workers of one group tell each other what they know.

It is a compacted topic that all of them follow from its beginning, so that news reaches everybody within a
second and a worker that starts later still learns it. What is written on it, and what it means, is
:mod:`connector.core.sharing`'s; who is alive is :mod:`connector.engine.presence`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol


class Board(Protocol):
    """Keys and their values, newest wins. Whoever posts is told its own news too, as proof that all are.

    What is posted and followed by a newer value of its key soon after may never be told: only the newest is
    promised, each after everything older that is told at all. Nothing here blocks, and nothing is lost for
    good while the cluster is away: it comes when the cluster is back.
    """

    def start(self, on_record: Callable[[bytes, bytes | None], None]) -> None:
        """Begin to tell: first the newest value of every key that is there, then whatever comes; ``None``
        is a key removed. All of it is told again when the topic is found to be another one."""

    async def caught_up(self) -> None:
        """Wait until everything that was there at the start has been told: as long as it takes."""

    def post(self, key: bytes, value: bytes | None) -> None:
        """Write ``value`` as the newest of ``key``, or remove the key. A failed write is tried again until
        it succeeds or a newer value takes its place."""

    async def close(self) -> None:
        """Wait, for a bounded time, until what was posted is written; then stop telling."""


class Alone:
    """A board that nobody else reads: of a dry run, which tells nobody anything."""

    def start(self, on_record: Callable[[bytes, bytes | None], None]) -> None:
        self._on_record = on_record

    async def caught_up(self) -> None:
        """At once: there was nothing before."""

    def post(self, key: bytes, value: bytes | None) -> None:
        asyncio.get_running_loop().call_soon(self._on_record, key, value)

    async def close(self) -> None:
        """Nothing is under way for longer than a turn of the loop."""
