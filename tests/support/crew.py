"""Workers that are there for each other on one board in memory, and what they make of a rate limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from connector.core.sharing import decode
from connector.engine.presence import Presence
from tests.support.fake_board import FakeBoard, FakeTopic
from tests.support.virtual_time import VirtualClock

STEP_S = 0.01
"""So often are all shares looked at."""


class Crew:
    """Workers that come and go; the sum of their shares is looked at all the time."""

    def __init__(self, delay_s: Callable[[], float] = lambda: 0.02) -> None:
        self.clock = VirtualClock()
        self.topic = FakeTopic(delay_s)
        self.workers: dict[str, Presence] = {}
        self._boards: dict[str, FakeBoard] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed_at_s = 0.0

    @classmethod
    async def of(cls, *worker_ids: str, delay_s: Callable[[], float] = lambda: 0.02) -> Crew:
        """Workers that have joined and use their shares."""
        crew = cls(delay_s)
        for worker_id in worker_ids:
            crew.join(worker_id)
        await crew.watch(7)
        return crew

    def join(self, worker_id: str) -> Presence:
        board = FakeBoard(self.topic)
        presence = Presence(board, self.clock, worker_id)
        board.start(lambda key, value: presence.heard(decode(key, value)))
        self.workers[worker_id] = presence
        self._boards[worker_id] = board
        self._tasks[worker_id] = asyncio.get_running_loop().create_task(presence.run())
        self._note_change()
        return presence

    def leave(self, worker_id: str) -> None:
        """The board lives on for as long as it takes to say farewell, as it does in a process that stops."""
        self.workers.pop(worker_id).leave()
        self._note_change()

    def kill(self, worker_id: str) -> None:
        self.workers.pop(worker_id, None)
        self._boards[worker_id].kill()
        self._tasks[worker_id].cancel()
        self._note_change()

    def shares(self) -> list[float]:
        now_ms = self.clock.monotonic_ms()
        return [worker.share(now_ms) for worker in self.workers.values()]

    async def outage(self, seconds: float) -> None:
        """The board is not to be reached; writes are tried again every 2 s, so mending takes longer."""
        self.topic.is_down = True
        await self.watch(seconds, least=0)
        self.topic.is_down = False
        await self.watch(3, least=0)
        self._note_change()

    async def watch(self, seconds: float, *, least: float = 0.9) -> None:
        """Let time pass: never more than the whole, and ``least`` of it 6 s after any change."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        while loop.time() < until_s:
            await asyncio.sleep(STEP_S)
            total = sum(self.shares())
            assert total <= 1 + 1e-9, f"{self.shares()} is more than the whole"
            if self.workers and loop.time() - self._changed_at_s >= 6:
                assert total >= least, f"{self.shares()} 6 s after a change"

    def _note_change(self) -> None:
        self._changed_at_s = asyncio.get_running_loop().time()
