"""The demo itself: the feed begins, everything is watched until it has come to rest, then judged.

At rest means: nothing in hand, every offset committed, every tier and letter read to the end. A show that
has not come to rest in its time is judged as it is then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from connector.demo.audit import Evidence, Finding, Seen, audit
from connector.demo.failed import DemoFailed
from connector.demo.offsets import Offsets, look_at
from connector.demo.picture import Picture
from connector.demo.receiver import Receiver
from connector.demo.setup import Progress
from connector.demo.stage import Run, Stage, stage
from connector.demo.view.screen import Screen
from connector.engine.ports import Log
from connector.kafka.errors import KafkaTrouble

DRAW_EVERY_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The last picture, and what the audit found."""

    picture: Picture
    findings: Sequence[Finding]

    @property
    def is_good(self) -> bool:
        return all(finding.is_good for finding in self.findings)


async def perform(run: Run, *, screen: Screen, log: Log) -> Outcome:
    """Show ``run``. Raises :class:`~connector.demo.failed.DemoFailed`, and what Kafka, the registry and the
    service raise when they cannot begin."""
    progress: Progress = screen.preparing
    async with stage(run, progress=progress, log=log) as ready:
        return await _Show(ready, screen, log).run()


class _Show:
    def __init__(self, ready: Stage, screen: Screen, log: Log) -> None:
        self._stage = ready
        self._screen = screen
        self._log = log
        self._began_s = time.monotonic()
        self._offsets = Offsets()

    async def run(self) -> Outcome:
        tasks = [
            feeding := asyncio.create_task(self._stage.feed.run(), name="feed"),
            watching := asyncio.create_task(self._watch_offsets(), name="offsets"),
            failing := asyncio.create_task(self._stage.service.failed(), name="failure"),
        ]
        try:
            while not self._is_over(feeding):
                self._screen.show(self._picture("the last retries" if feeding.done() else "events arrive"))
                await asyncio.wait(
                    (watching, failing), timeout=DRAW_EVERY_S, return_when=asyncio.FIRST_COMPLETED
                )
                if failing.done():
                    raise DemoFailed(f"the connector cannot go on: {failing.result()}")
                if watching.done():
                    watching.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        picture = self._picture("over")
        self._screen.show(picture)
        return Outcome(picture=picture, findings=audit(self._evidence(picture)))

    def _is_over(self, feeding: asyncio.Task[None]) -> bool:
        if feeding.done():
            feeding.result()
            if self._is_at_rest():
                return True
        return self._elapsed_s() > self._stage.run.scenario.end_within_s

    def _is_at_rest(self) -> bool:
        in_hand = self._stage.worker.in_hand()
        is_read = self._offsets.logged() >= len(self._stage.feed.written) and not self._offsets.behind()
        return is_read and not in_hand.records and not in_hand.deliveries and self._are_letters_read()

    def _are_letters_read(self) -> bool:
        """The letterbox has everything that the connector has written."""
        accounts, letters = self._stage.worker.accounts, self._stage.letterbox
        return (
            len(letters.retries) >= accounts.to_tiers.total()
            and len(letters.parked) >= accounts.parked
            and len(letters.dead) >= accounts.dead.total() + accounts.records_poison
        )

    async def _watch_offsets(self) -> None:
        while True:
            try:
                self._offsets = await self._look_at_offsets()
            except KafkaTrouble as trouble:
                self._log.warning("the demo could not look at the offsets", why=trouble.what)
            await asyncio.sleep(DRAW_EVERY_S)

    async def _look_at_offsets(self) -> Offsets:
        kafka, (group, tiers_group) = self._stage.kafka, self._stage.run.groups
        sources = await look_at(kafka, group, self._stage.sources)
        tiers = await look_at(kafka, tiers_group, self._stage.tiers)
        return sources.together(tiers)

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    def _picture(self, phase: str) -> Picture:
        return self._stage.camera.take(phase=phase, elapsed_s=self._elapsed_s(), offsets=self._offsets)

    def _evidence(self, picture: Picture) -> Evidence:
        return Evidence(
            partners=self._stage.run.scenario.partners,
            written=self._stage.feed.written,
            seen={id_: _seen(receiver) for id_, receiver in self._stage.receivers.items()},
            dead=self._stage.letterbox.dead,
            parked=self._stage.letterbox.parked,
            equations=(picture.records, picture.deliveries),
            offsets=self._offsets,
        )


def _seen(receiver: Receiver) -> Seen:
    counters = receiver.counters
    return Seen(
        accepted=frozenset(receiver.accepted_ids),
        received=counters.received,
        rejected=counters.rejected,
        duplicates=counters.duplicates,
        fault=counters.last_fault,
    )
