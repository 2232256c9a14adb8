"""Writes to a topic where only the newest value of a key counts.

At most one write per key is under way; what is posted meanwhile waits, and only its newest value is kept,
so that an outage of any length costs one value per key. A failed write is tried again with back-off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from connector.engine.ports import NotWritten, Writer
from connector.kafka.reminder import Reminder

RETRY_FIRST_MS = 100
RETRY_MAX_MS = 2_000
"""Soon after an outage ends everybody must be heard again, or those who are are taken for all there are."""
TRIES_BEFORE_TOLD = 5
"""Failed writes of one value until a passing fault is one that does not pass."""
CLOSE_MS = 2_000


@dataclass(slots=True, eq=False)
class _Post:
    """A key that is not written yet. ``is_newer`` once ``value`` has changed since the write under way."""

    key: bytes
    value: bytes | None
    is_newer: bool = False
    tries: int = 0


class Posting:
    """Used on the loop. ``faulted`` is told what keeps news from being written, ever more seldom while it
    lasts."""

    def __init__(self, writer: Writer, topic: str, *, faulted: Callable[[str], None]) -> None:
        self._writer = writer
        self._topic = topic
        self._reminder = Reminder(faulted)
        self._posts: dict[bytes, _Post] = {}
        self._is_closed = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    @property
    def keys_waiting(self) -> int:
        """Keys whose newest value is not known to be written."""
        return len(self._posts)

    def post(self, key: bytes, value: bytes | None) -> None:
        post = self._posts.get(key)
        if post is None:
            self._posts[key] = post = _Post(key, value)
            self._is_idle.clear()
            self._write(post)
        else:
            post.value = value
            post.is_newer = True

    async def close(self) -> None:
        """Wait until all is written, :data:`CLOSE_MS` at most: what is lost then was news of a worker that
        is no more."""
        try:
            async with asyncio.timeout(CLOSE_MS / 1_000):
                await self._is_idle.wait()
        except TimeoutError:
            self._is_closed = True  # what waits for another try gets none

    def _write(self, post: _Post) -> None:
        if self._is_closed:
            return
        post.is_newer = False
        self._writer.write(
            self._topic, key=post.key, value=post.value, headers=(), done=partial(self._written, post)
        )

    def _written(self, post: _Post, failure: NotWritten | None) -> None:
        if failure is not None:
            self._again(post, failure)
            return
        post.tries = 0
        if post.is_newer:
            self._write(post)
            return
        del self._posts[post.key]
        if not self._posts:
            self._reminder.over()
            self._is_idle.set()

    def _again(self, post: _Post, failure: NotWritten) -> None:
        delay_ms = min(RETRY_FIRST_MS << min(post.tries, 10), RETRY_MAX_MS)
        post.tries += 1
        if failure.fault != "passing" or post.tries >= TRIES_BEFORE_TOLD:
            what = f"topic {self._topic} cannot be written: {failure.detail}"
            self._reminder.met(what, now_s=time.monotonic())
        asyncio.get_running_loop().call_later(delay_ms / 1_000, self._write, post)
