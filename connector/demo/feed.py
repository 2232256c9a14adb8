"""Fills the domain topics: at the scenario's pace, or all at once.

What has been acknowledged is kept, for the audit: it is what must be accounted for in the end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from connector.demo.failed import DemoFailed
from connector.demo.records import EVENT_ID_HEADER, Recorder, Written
from connector.demo.scenario import Kind, Scenario
from connector.engine.ports import NotWritten
from connector.kafka.writer import KafkaWriter

TICK_S = 0.025


class Feed:
    """Writes the records of ``scenario`` to ``topics`` (by event type). ``written`` are those the cluster
    has acknowledged, in the order of the acknowledgements."""

    def __init__(
        self, scenario: Scenario, *, topics: Mapping[str, str], recorder: Recorder, writer: KafkaWriter
    ) -> None:
        self._scenario = scenario
        self._topics = topics
        self._recorder = recorder
        self._writer = writer
        self._sent = 0
        self._fault = ""
        self._is_settled = asyncio.Event()
        self.written: list[Written] = []
        self.count = scenario.count

    async def run(self, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        """Write at the scenario's pace. Raises :class:`~connector.demo.failed.DemoFailed`."""
        records = enumerate(self._scenario.records(), start=1)
        began_s = monotonic_s()
        while self._sent < self.count:
            due = self._due(monotonic_s() - began_s)
            self._write_until(due, records)
            await asyncio.sleep(TICK_S)
        await self._settled()

    async def run_at_once(self) -> None:
        """Write everything as fast as the cluster takes it. Raises as :meth:`run` does."""
        self._write_until(self.count, enumerate(self._scenario.records(), start=1))
        await self._settled()

    def _due(self, elapsed_s: float) -> int:
        """How many records are to have been written by now."""
        seconds, part = divmod(elapsed_s, 1)
        whole = int(seconds)
        rates = self._scenario.rates_per_s
        under_way = int(rates[whole] * part) if whole < len(rates) else 0
        return sum(rates[:whole]) + under_way

    def _write_until(self, due: int, records: Iterator[tuple[int, tuple[str, Kind]]]) -> None:
        while self._sent < due:
            number, (event_type, kind) = next(records)
            record = self._recorder.record(event_type, kind, number)
            self._sent += 1
            self._writer.write(
                self._topics[event_type],
                key=record.key,
                value=record.value,
                headers=[(EVENT_ID_HEADER, record.event_id.encode())],
                done=partial(self._acknowledged, record),
            )

    def _acknowledged(self, record: Written, failure: NotWritten | None) -> None:
        if failure is not None:
            topic = self._topics[record.event_type]
            self._fault = self._fault or f"{topic} cannot be filled: {failure.detail}"
        self.written.append(record)
        if self._fault or len(self.written) == self.count:
            self._is_settled.set()

    async def _settled(self) -> None:
        await self._is_settled.wait()
        if self._fault:
            raise DemoFailed(self._fault)
