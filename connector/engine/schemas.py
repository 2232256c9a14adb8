"""Records that wait for a schema.

The registry being unreachable is our fault, not the record's: it waits, for as long as it takes. An
id the registry does not know is the producer's: the record waits out a grace (the schema may be
registered on another node this moment) and is then poison. The grace is the record's, not the
partition's: others pass it within the window, and all ids wait in parallel.

Bounded by the partitions' windows: only admitted records wait here. At most
:data:`FETCHES_MAX` fetches are under way at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from connector.core.ledger import Ticket
from connector.engine.ports import (
    Clock,
    Decoder,
    Log,
    SchemaAnswer,
    SchemaReady,
    SchemaUnknown,
    SchemaUnreachable,
    Spawn,
)

FETCHES_MAX = 16
RETRY_FIRST_MS = 250
RETRY_MAX_MS = 5_000
UNKNOWN_RETRY_MS = 30_000  # how long the registry client remembers that an id is unknown
PAUSE_MIN_MS = 100  # a storm of newcomers must not become a storm of requests


@dataclass(slots=True)
class _Waiting:
    until_ms: int
    is_patient: bool
    ticket: Ticket
    done: Callable[[SchemaAnswer], None]


class _Line:
    """Who waits for one schema; ``is_new`` wakes its task early for a newcomer."""

    __slots__ = ("is_new", "waiting")

    def __init__(self) -> None:
        self.waiting: list[_Waiting] = []
        self.is_new = asyncio.Event()

    def release(self, answer: SchemaAnswer, is_released: Callable[[_Waiting], bool]) -> None:
        released = [one for one in self.waiting if is_released(one)]
        self.waiting = [one for one in self.waiting if not is_released(one)]
        for one in released:
            one.done(answer)

    async def pause(self, delay_ms: int) -> None:
        self.is_new.clear()
        await asyncio.sleep(PAUSE_MIN_MS / 1_000)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.is_new.wait(), delay_ms / 1_000)


class SchemaWait:
    """Waits for schemas on behalf of records; one task per schema, none when nothing waits."""

    def __init__(self, decoder: Decoder, clock: Clock, spawn: Spawn, log: Log) -> None:
        self._decoder = decoder
        self._clock = clock
        self._spawn = spawn
        self._log = log
        self._lines: dict[Hashable, _Line] = {}
        self._fetches = asyncio.Semaphore(FETCHES_MAX)
        self.unreachable: str = ""
        """Why the registry cannot be reached, while it cannot; empty otherwise."""

    @property
    def count(self) -> int:
        """Records waiting now."""
        return sum(len(line.waiting) for line in self._lines.values())

    def wait(
        self,
        ref: Hashable,
        *,
        until_ms: int,
        is_patient: bool,
        ticket: Ticket,
        done: Callable[[SchemaAnswer], None],
    ) -> None:
        """Wait on behalf of ``ticket``'s record, for as long as its partition is ours.

        Call ``done`` with :class:`SchemaReady`; with :class:`SchemaUnknown` once ``until_ms`` (Unix ms) has
        passed; with :class:`SchemaUnreachable` at once unless ``is_patient``."""
        line = self._lines.get(ref)
        if line is None:
            line = self._lines[ref] = _Line()
            self._spawn(self._serve(ref, line), f"schema {ref}")
        line.waiting.append(_Waiting(until_ms, is_patient, ticket, done))
        line.is_new.set()

    async def _serve(self, ref: Hashable, line: _Line) -> None:
        retry_ms = RETRY_FIRST_MS
        while line.waiting:
            async with self._fetches:
                answer = await self._decoder.fetch(ref)
            # What was given back is its next owner's: it would pile up here, rebalance after rebalance.
            line.waiting = [one for one in line.waiting if one.ticket.ledger.is_live]
            match answer:
                case SchemaReady():
                    self.unreachable = ""
                    line.release(answer, lambda _: True)
                    if line.waiting:  # it is asked for again at once: no busy loop
                        await line.pause(RETRY_FIRST_MS)
                case SchemaUnknown():
                    self.unreachable = ""
                    now_ms = self._clock.now_ms()
                    line.release(answer, partial(_is_over, now_ms))
                    if line.waiting:
                        next_ms = min(one.until_ms for one in line.waiting) - now_ms
                        await line.pause(min(next_ms, UNKNOWN_RETRY_MS))
                case SchemaUnreachable(detail):
                    if not self.unreachable:
                        self._log.warning("registry unreachable: records wait", schema=str(ref), why=detail)
                    self.unreachable = detail
                    line.release(answer, lambda one: not one.is_patient)
                    if line.waiting:
                        await line.pause(retry_ms)
                        retry_ms = min(retry_ms * 2, RETRY_MAX_MS)
        del self._lines[ref]


def _is_over(now_ms: int, waiting: _Waiting) -> bool:
    return waiting.until_ms <= now_ms
