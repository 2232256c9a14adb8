"""Tasks with an owner: what runs beside the loop's callbacks, and what happens when one of it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from connector.engine.ports import Log


class Tasks:
    """Keeps every task it starts; a task that fails is a bug, and ends the process through
    ``on_fatal`` rather than leaving a worker that looks alive and is not."""

    def __init__(self, log: Log, on_fatal: Callable[[str], None]) -> None:
        self._log = log
        self._on_fatal = on_fatal
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run ``work`` until it ends or :meth:`close` cancels it."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._log.error("a task failed", task=task.get_name(), why=repr(error), exc_info=error)
        self._on_fatal(f"{task.get_name()}: {error!r}")
