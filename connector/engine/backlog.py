"""The replay of parked backlogs: which are due, and that one worker replays them.

A backlog is due when its subscription is resumed (neither paused nor disabled, as we see it) and no live
worker parks for it any more. Only then are the ends of the parked topic asked for, so everything that was
parked lies below them. All that became due together are replayed in one pass.
A backlog is due as well when no view of ours has held its subscription for as long as workers may disagree
about that: then its letters become dead, and the backlog is closed.

A subscription that is disabled is probed by what comes for it. When nothing comes, its backlog gives the
probe: once that has been due for a minute, one letter of it is taken out, and the rest stays parked.

A pass may be long, for a probe as well: its letter may lie behind millions of others. When others are due, it
ends after seconds. Replays and probes then take turns, and of either whoever has waited longest comes next:
each goes on from its cursors.

The leader does it. Two may take themselves for the leader for some seconds: that repeats letters, with equal
ids, and loses none. When the leader dies the next one goes on from the cursors it told. A *done* that knew
nothing of a later opening closes nothing (:mod:`connector.core.backlog`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Set
from dataclasses import replace

from connector.core.accounts import Accounts
from connector.core.record import Record
from connector.core.sharing import BacklogNews
from connector.core.topic_names import parked_topic
from connector.engine.backlog_scan import BacklogScan
from connector.engine.departures import Departures
from connector.engine.lanes import Lanes
from connector.engine.letter_log import LetterLog, Unreadable
from connector.engine.outbox import Outbox
from connector.engine.parked import Parked
from connector.engine.ports import Clock, Log
from connector.engine.presence import Presence
from connector.engine.tiers import UNHEARD_GRACE_MS

LOOK_MS = 500
"""How often it is looked whether a backlog is due."""
TELL_MS = 1_000
"""How often the cursors are told while a pass is made."""
REST_MS = 30_000
"""So long a subscription waits one of whose letters cannot be read, until it is looked again."""
PROBE_LATE_MS = 60_000
"""So long what comes for a disabled subscription may be the probe, before a letter of its backlog is; and so
long that letter has to be it, before another is taken."""
TURN_MS = 5_000
"""After so long a pass ends if something else is due: a million letters, replayed or passed over, are not to
keep the others waiting for minutes."""
STOPS_MAX = 1_000
"""Letters remembered that cannot be read, each told once: beyond it all are forgotten, and told again."""


class BacklogReplay:
    """Run it on every worker; it does nothing but on the leader."""

    def __init__(
        self,
        *,
        prefix: str,
        letters: LetterLog,
        parked: Parked,
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
        self._parked = parked
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
        self._unheard: dict[str, int] = {}
        """Since when (monotonic ms) no view of ours has held it."""
        self._rests: dict[str, int] = {}
        """Until when (monotonic ms) it waits after a letter that cannot be read."""
        self._probes: dict[str, int] = {}
        """Until when (monotonic ms) no other letter is taken for a probe."""
        self._served: dict[str, int] = {}
        """When (monotonic ms) the last pass ended for those that are still due."""
        self._stops: set[tuple[int, int]] = set()
        self._is_stopping = False
        self._is_hurrying = False
        self._pass: asyncio.Timeout | None = None
        self._end: asyncio.Timeout | None = None
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def records_in_hand(self) -> int:
        """Letters taken from the parked topic and not yet durable on a tier."""
        return self._scan.open_count if self._scan is not None else 0

    async def run(self) -> None:
        """Look, and replay what is due, until :meth:`stop`."""
        is_for_probes = False
        while not self._is_stopping:
            await asyncio.sleep(LOOK_MS / 1_000)
            due, probes = self._due(), self._due_for_a_probe()
            is_for_probes = bool(probes) and not (due and is_for_probes)  # in turn, when there are both
            self._served = {id_: at_ms for id_, at_ms in self._served.items() if id_ in due or id_ in probes}
            if backlogs := self._longest_waiting(probes if is_for_probes else due):
                self._is_idle.clear()
                try:
                    async with asyncio.timeout(None) as self._pass:
                        await self._replay(backlogs, is_for_probes=is_for_probes)
                except Unreadable as unreadable:
                    self._met(str(unreadable))
                except TimeoutError:
                    pass  # in a hurry: whoever leads next goes on from the cursor
                finally:
                    self._pass = None
                    self._is_idle.set()

    async def stop(self, budget_ms: int) -> None:
        """End a pass under way, within seconds; its letters are ours until then. A log that does not answer
        is left to itself after ``budget_ms``: it is in no group, so nobody waits for it."""
        self._is_stopping = True
        try:
            async with asyncio.timeout(budget_ms / 1_000) as self._end:
                await self._is_idle.wait()
        except TimeoutError:
            self._log.warning("the parked topic's reader did not stop in time")
        self._end = None
        self.hurry()
        await self._is_idle.wait()
        await self._letters.close()

    def hurry(self) -> None:
        """Break off what :meth:`stop` waits for."""
        self._is_hurrying = True
        now = asyncio.get_running_loop().time()
        for wait in (self._pass, self._end):
            if wait is not None and not wait.expired():
                wait.reschedule(now)

    # ── which are due ───────────────────────────────────────────────────────────────────────────

    def _due(self) -> dict[str, BacklogNews]:
        """The backlogs to be replayed, by subscription; none but on the leader."""
        now_ms = self._clock.monotonic_ms()
        backlogs = self._open()
        self._unheard = {
            id_: self._unheard.get(id_, now_ms) for id_ in backlogs if self._lanes.get(id_) is None
        }
        if self._is_stopping or not self._presence.is_leading:
            return {}
        parking = self._presence.parking()
        if parking is None:
            return {}
        return {
            id_: backlog
            for id_, backlog in backlogs.items()
            if id_ not in parking and self._rests.get(id_, 0) <= now_ms and self._may_be_read(id_, now_ms)
        }

    def _longest_waiting(self, due: dict[str, BacklogNews]) -> dict[str, BacklogNews]:
        """Those that the next pass is for."""
        first_ms = min((self._served.get(id_, 0) for id_ in due), default=0)
        return {id_: one for id_, one in due.items() if self._served.get(id_, 0) == first_ms}

    def _due_for_a_probe(self) -> dict[str, BacklogNews]:
        """The backlogs of which one letter is to be taken; none but on the leader."""
        if self._is_stopping or not self._presence.is_leading:
            return {}
        now_ms = self._clock.monotonic_ms()
        return {
            id_: backlog
            for id_, backlog in self._open().items()
            if self._probes.get(id_, 0) <= now_ms and self._lacks_a_probe(id_)
        }

    def _open(self) -> dict[str, BacklogNews]:
        return {id_: one for id_, one in self._parked.backlogs.items() if not one.is_done}

    def _lacks_a_probe(self, id_: str) -> bool:
        lane = self._lanes.get(id_)
        if lane is None or lane.disabled is None or lane.subscription.paused:
            return False
        now_ms = self._clock.now_ms()
        return now_ms >= lane.disabled.probes_at_ms + PROBE_LATE_MS and not lane.is_shut(now_ms)

    def _may_be_read(self, id_: str, now_ms: int) -> bool:
        """Whether it is resumed, or gone for good."""
        lane = self._lanes.get(id_)
        if lane is None:
            return now_ms - self._unheard[id_] >= UNHEARD_GRACE_MS
        return not lane.is_parking

    # ── a pass ──────────────────────────────────────────────────────────────────────────────────

    async def _replay(self, backlogs: Mapping[str, BacklogNews], *, is_for_probes: bool) -> None:
        """All of each, or one letter."""
        gone = {id_ for id_ in backlogs if self._lanes.get(id_) is None}
        extents = await self._letters.extents(self._topic)
        until_ms = self._clock.monotonic_ms() + TURN_MS  # a slow answer takes nothing of it
        scan = BacklogScan(
            backlogs,
            extents,
            gone=gone,
            one_each=is_for_probes,
            topic=self._topic,
            letters=self._letters,
            departures=self._departures,
            outbox=self._outbox,
            accounts=self._accounts,
            may_go_on=lambda: self._may_go_on(backlogs, gone, is_for_probes=is_for_probes, until_ms=until_ms),
            has_room=self._has_room,
            on_progress=lambda: self._tell(backlogs, is_last=False),
            on_stop=self._stopped,
            clock=self._clock,
            log=self._log,
        )
        self._scan = scan
        if is_for_probes:
            self._log.info("what was parked gives a probe", subscriptions=sorted(backlogs))
        elif backlogs.keys() - self._rests.keys():  # else it is only looked again
            self._log.info("replaying what was parked", subscriptions=sorted(backlogs), gone=sorted(gone))
        try:
            await scan.run()
            self._trouble = ""
        finally:
            try:
                if not self._is_hurrying:
                    await scan.settle()
            finally:
                self._tell(backlogs, is_last=True)
                scan.release()
                self._scan = None
                now_ms = self._clock.monotonic_ms()
                self._served |= dict.fromkeys(backlogs, now_ms)
                if is_for_probes:
                    over = filter(scan.is_over, backlogs)
                    self._probes = {id_: until for id_, until in self._probes.items() if until > now_ms}
                    self._probes |= dict.fromkeys(over, now_ms + PROBE_LATE_MS)

    def _may_go_on(
        self, backlogs: Mapping[str, BacklogNews], gone: Set[str], *, is_for_probes: bool, until_ms: int
    ) -> bool:
        """Whether all of them are still due, for the same reason, and nothing else has waited for long."""
        due = self._due_for_a_probe() if is_for_probes else self._due()
        if any(id_ not in due or (self._lanes.get(id_) is None) != (id_ in gone) for id_ in backlogs):
            return False
        if self._clock.monotonic_ms() < until_ms:
            return True
        return self._due().keys() | self._due_for_a_probe().keys() <= backlogs.keys()

    def _tell(self, backlogs: Mapping[str, BacklogNews], *, is_last: bool) -> None:
        """Tell the cursors, at most once a second until the last time."""
        now_ms = self._clock.monotonic_ms()
        if not is_last and now_ms - self._told_ms < TELL_MS:
            return
        self._told_ms = now_ms
        scan = self._scan
        assert scan is not None
        done = {id_ for id_ in backlogs if is_last and scan.is_done(id_)}
        for id_, backlog in backlogs.items():
            # Done is what was open when the pass began; where it stands holds for whatever was opened since.
            known = backlog if id_ in done else self._parked.backlogs.get(id_, backlog)
            self._parked.tell(
                replace(
                    known,
                    at_ms=self._clock.now_ms(),
                    topic_id=scan.topic_id,
                    cursor=scan.cursor(id_),
                    is_done=id_ in done,
                )
            )
        if is_last:
            self._rests = {id_: until for id_, until in self._rests.items() if until > now_ms}
            self._rests |= {id_: now_ms + REST_MS for id_ in backlogs if scan.is_stopped(id_)}
        if done:
            self._log.info("what was parked is replayed", subscriptions=sorted(done))

    def _stopped(self, letter: Record, subscription_id: str, why: str) -> None:
        place = letter.partition, letter.offset
        if place in self._stops:
            return
        if len(self._stops) >= STOPS_MAX:
            self._stops.clear()
        self._stops.add(place)
        self._accounts.letters_unreadable += 1
        self._log.error(
            "a parked letter cannot be read; its replay waits there",
            subscription=subscription_id or "unknown",
            letter=str(letter),
            why=why,
        )

    def _met(self, why: str) -> None:
        if why != self._trouble:
            self._trouble = why
            self._log.warning("the parked topic cannot be read; trying again", why=why)
