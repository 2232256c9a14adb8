"""A board in memory: a compacted topic that several workers of one test follow and post to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from connector.core.record import Headers
from connector.engine.ports import NotWritten
from connector.kafka.posting import Posting

WRITE_S = 0.001


class FakeTopic:
    """``delay_s`` is asked for each record and follower how long it takes to reach it; records never
    overtake each other on their way. While ``is_down`` nothing is written and nobody can begin to follow.
    No value longer than ``value_bytes_max`` is taken."""

    def __init__(self, delay_s: Callable[[], float] = lambda: 0.005) -> None:
        self.delay_s = delay_s
        self.is_down = False
        self.value_bytes_max = 2 << 20
        self.appended: list[tuple[bytes, bytes | None]] = []
        self.newest: dict[bytes, bytes | None] = {}
        self.followers: list[FakeBoard] = []

    def append(self, key: bytes, value: bytes | None) -> None:
        self.appended.append((key, value))
        self.newest.pop(key, None)  # in the order of the last writes
        self.newest[key] = value
        for follower in self.followers:
            follower.receive(key, value)


class FakeBoard:
    """Implements :class:`~connector.engine.shared.Board`, and the writer it posts with."""

    def __init__(self, topic: FakeTopic) -> None:
        self._topic = topic
        self._posting = Posting(self, "shared", faulted=lambda what: None)
        self._has_caught_up = asyncio.Event()
        self._last_at_s = 0.0
        self._is_dead = False
        self._on_record: Callable[[bytes, bytes | None], None]

    # ── the board ───────────────────────────────────────────────────────────────────────────────

    def start(self, on_record: Callable[[bytes, bytes | None], None]) -> None:
        self._on_record = on_record
        self._begin()

    async def caught_up(self) -> None:
        await self._has_caught_up.wait()

    def post(self, key: bytes, value: bytes | None) -> None:
        self._posting.post(key, value)

    async def close(self) -> None:
        await self._posting.close()
        self.kill()

    # ── what the topic and the test do ──────────────────────────────────────────────────────────

    def receive(self, key: bytes, value: bytes | None) -> None:
        self._later(partial(self._tell, key, value))

    def kill(self) -> None:
        """Nothing is written or told from here on."""
        self._is_dead = True

    def _begin(self) -> None:
        if self._topic.is_down:
            asyncio.get_running_loop().call_later(0.1, self._begin)
            return
        self._topic.followers.append(self)
        for key, value in self._topic.newest.items():
            self.receive(key, value)
        self._later(self._has_caught_up.set)

    def _later(self, call: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        # A step further each time: a loop does not promise the order of calls that are due at once.
        self._last_at_s = max(self._last_at_s + 1e-6, loop.time() + self._topic.delay_s())
        loop.call_at(self._last_at_s, call)

    def _tell(self, key: bytes, value: bytes | None) -> None:
        if not self._is_dead:
            self._on_record(key, value)

    # ── the writer ──────────────────────────────────────────────────────────────────────────────

    def write(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers,
        done: Callable[[NotWritten | None], None],
    ) -> None:  # fmt: skip
        assert key is not None
        asyncio.get_running_loop().call_later(WRITE_S, self._append, key, value, done)

    def hurry(self) -> None: ...

    def _append(
        self, key: bytes, value: bytes | None, done: Callable[[NotWritten | None], None]
    ) -> None:
        if self._is_dead:
            return
        if self._topic.is_down:
            done(NotWritten("passing", "the brokers are down"))
            return
        if value is not None and len(value) > self._topic.value_bytes_max:
            done(NotWritten("too-large", "the record is too large"))
            return
        self._topic.append(key, value)
        done(None)
