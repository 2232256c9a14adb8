"""The replay of parked backlogs: which are due, and that one worker replays them.

A backlog is due when its subscription is resumed (neither paused nor disabled, as we see it) and no live
worker parks for it any more. Only then are the ends of the parked topic asked for, so everything that was
parked lies below them. All that are due are replayed in one pass; what becomes due meanwhile waits for the
next one.

The leader does it. Two may take themselves for the leader for some seconds: that repeats letters, with equal
ids, and loses none. When the leader dies the next one goes on from the cursors it told. A *done* that knew
nothing of a later opening closes nothing (:mod:`connector.core.backlog`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from connector.core.accounts import Accounts
from connector.core.sharing import BacklogNews
from connector.core.topic_names import parked_topic
from connector.engine.backlog_scan import BacklogScan
from connector.engine.departures import Departures
from connector.engine.knowledge import Knowledge
from connector.engine.lanes import Lanes
from connector.engine.letter_log import LetterLog, Unreadable
from connector.engine.outbox import Outbox
from connector.engine.ports import Clock, Log
from connector.engine.presence import Presence

LOOK_MS = 500
"""How often it is looked whether a backlog is due."""
TELL_MS = 1_000
"""How often the cursors are told while a pass is made."""


class BacklogReplay:
    """Run it on every worker; it does nothing but on the leader."""

    def __init__(
        self,
        *,
        prefix: str,
        letters: LetterLog,
        knowledge: Knowledge,
        presence: Presence,
        lanes: Lanes,
        departures: Departures,
        outbox: Outbox,
        accounts: Accounts,
        has_room: Callable[[], bool],
        clock: Clock,
        log: Log,
    ) -> None:
        self._topic = parked_topic(prefix)
        self._letters = letters
        self._knowledge = knowledge
        self._presence = presence
        self._lanes = lanes
        self._departures = departures
        self._outbox = outbox
        self._accounts = accounts
        self._has_room = has_room
        self._clock = clock
        self._log = log
        self._scan: BacklogScan | None = None
        self._told_ms = 0
        self._trouble = ""
        self._is_stopping = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def records_in_hand(self) -> int:
        """Letters taken from the parked topic and not yet durable on a tier."""
        return self._scan.open_count if self._scan is not None else 0

    async def run(self) -> None:
        """Look, and replay what is due, until :meth:`stop`."""
        while not self._is_stopping:
            await asyncio.sleep(LOOK_MS / 1_000)
            if backlogs := self._due():
                self._is_idle.clear()
                try:
                    await self._replay(backlogs)
                except Unreadable as unreadable:
                    self._met(str(unreadable))
                finally:
                    self._is_idle.set()

    async def stop(self) -> None:
        """End a pass under way, within seconds. Its letters are ours until then."""
        self._is_stopping = True
        await self._is_idle.wait()
        await self._letters.close()

    def _due(self) -> dict[str, BacklogNews]:
        """The backlogs to be replayed, by subscription; none but on the leader."""
        if self._is_stopping or not self._presence.is_leading:
            return {}
        parking = self._presence.parking()
        if parking is None:
            return {}
        return {
            id_: backlog
            for id_, backlog in self._knowledge.backlogs.items()
            if not backlog.is_done
            and id_ not in parking
            and (lane := self._lanes.get(id_)) is not None
            and not lane.is_parking
        }

    async def _replay(self, backlogs: Mapping[str, BacklogNews]) -> None:
        extents = await self._letters.extents(self._topic)
        scan = BacklogScan(
            backlogs,
            extents,
            topic=self._topic,
            letters=self._letters,
            departures=self._departures,
            outbox=self._outbox,
            accounts=self._accounts,
            may_go_on=lambda: backlogs.keys() <= self._due().keys(),
            has_room=self._has_room,
            on_progress=lambda: self._tell(backlogs, is_last=False),
            clock=self._clock,
            log=self._log,
        )
        self._scan = scan
        self._log.info("replaying what was parked", subscriptions=sorted(backlogs))
        try:
            await scan.run()
            self._trouble = ""
        finally:
            await scan.settle()
            self._tell(backlogs, is_last=True)
            scan.release()
            self._scan = None

    def _tell(self, backlogs: Mapping[str, BacklogNews], *, is_last: bool) -> None:
        """Tell the cursors, at most once a second until the last time."""
        now_ms = self._clock.monotonic_ms()
        if not is_last and now_ms - self._told_ms < TELL_MS:
            return
        self._told_ms = now_ms
        scan = self._scan
        assert scan is not None
        is_done = is_last and scan.is_done()
        for id_, backlog in backlogs.items():
            # Done is what was open when the pass began; where it stands holds for whatever was opened since.
            known = backlog if is_done else self._knowledge.backlogs.get(id_, backlog)
            self._knowledge.post_backlog(
                replace(known, at_ms=self._clock.now_ms(), cursor=scan.cursor(id_), is_done=is_done)
            )
        if is_done:
            self._log.info("what was parked is replayed", subscriptions=sorted(backlogs))

    def _met(self, why: str) -> None:
        if why != self._trouble:
            self._trouble = why
            self._log.warning("the parked topic cannot be read; trying again", why=why)
