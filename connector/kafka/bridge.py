"""The line between the loop and a thread that polls the client.

What the loop wants done is queued and run by the thread; what the thread has to tell is handed to the
loop. Neither waits for the other, except for the bounded drain when partitions are taken away.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable


class Bridge:
    """One polling thread and its loop. Make it on the loop."""

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._run = run
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    # ── on the loop ─────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        self._thread.start()

    def ask(self, command: Callable[[], None]) -> None:
        """Have the thread run ``command`` between two polls."""
        self._inbox.put(command)

    async def ended(self) -> None:
        """Wait until the thread has returned."""
        await asyncio.shield(self._ended)

    # ── on the thread ───────────────────────────────────────────────────────────────────────────

    def tell(self, call: Callable[[], None]) -> None:
        """Have the loop run ``call``. A loop that is closed already has no use for it."""
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            return

    def obey(self, wait_s: float = 0.0) -> None:
        """Run what the loop asked for, waiting up to ``wait_s`` for the first."""
        try:
            command = self._inbox.get(timeout=wait_s) if wait_s else self._inbox.get_nowait()
            while True:
                command()
                command = self._inbox.get_nowait()
        except queue.Empty:
            return

    def _main(self) -> None:
        try:
            self._run()
        finally:
            self.tell(self._set_ended)

    def _set_ended(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
