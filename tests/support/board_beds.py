"""Boards on a cluster under test: made as often as a test likes, closed together."""

from __future__ import annotations

import asyncio
from types import TracebackType

from connector.kafka.board import KafkaBoard
from connector.kafka.writer import KafkaWriter, WriterSettings
from tests.support.kafka_beds import Bed


class Boards:
    """``topic`` is the one they share; ``told`` is what they complained of, ``ends`` what was fatal of it."""

    def __init__(self, bed: Bed, *, delivery_timeout_ms: int = 5_000, look_every_ms: int = 200) -> None:
        self._bed = bed
        self._delivery_timeout_ms = delivery_timeout_ms
        self._look_every_ms = look_every_ms
        self._made: list[tuple[KafkaBoard, KafkaWriter]] = []
        self._news = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        """What uses the boards; cancelled before they are closed."""
        self.topic = f"{bed.names.prefix}.shared"
        self.told: list[str] = []
        self.ends: list[str] = []

    def new(self) -> KafkaBoard:
        writer = KafkaWriter(
            self._bed.access,
            WriterSettings(delivery_timeout_ms=self._delivery_timeout_ms),
            faulted=lambda what: None,
        )
        board = KafkaBoard(
            self.topic,
            access=self._bed.access,
            writer=writer,
            complain=self._complain,
            capabilities=self._bed.capabilities,
            look_every_ms=self._look_every_ms,
        )
        self._made.append((board, writer))
        return board

    async def until_told(self, what: str) -> None:
        async with asyncio.timeout(20):
            while not any(what in told for told in self.told):
                self._news.clear()
                await self._news.wait()

    async def __aenter__(self) -> Boards:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.gather(*(self._close(*one) for one in self._made))

    async def _close(self, board: KafkaBoard, writer: KafkaWriter) -> None:
        await board.close()
        await writer.close()

    def _complain(self, what: str, *, is_fatal: bool = False) -> None:
        self.told.append(what)
        if is_fatal:
            self.ends.append(what)
        self._news.set()
