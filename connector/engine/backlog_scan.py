"""One pass over the parked topic: the letters of some subscriptions, written to the shortest tier.

It goes from the lowest cursor to where the log ended when the pass began, and no further. Its pace is
bounded, so that fresh events keep their share, and so is what it has written and not seen acknowledged. The
cursors move over what is acknowledged only: whoever goes on from them repeats at most that much.

A pass that is for probes takes one letter of each subscription and leaves the rest where it lies.

A letter of ours that cannot be read here (another version wrote it) stops its subscription's replay of that
partition: whoever can read it goes on from there. What is no letter at all is passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Set
from functools import partial
from typing import Final

from connector.core.accounts import Accounts
from connector.core.backlog import begin_at, is_of_another
from connector.core.headers import OWN_PREFIX, HeaderFault, decode
from connector.core.ledger import Ledger, Regressed
from connector.core.letters import source_record
from connector.core.record import Record
from connector.core.sharing import BacklogNews
from connector.core.trail import Trail
from connector.engine.departures import Departures
from connector.engine.letter_log import BITE_RECORDS_MAX, Extent, LetterLog
from connector.engine.outbox import Outbox, ToTier
from connector.engine.ports import Clock, Log, TopicPartition

LETTERS_PER_S: Final = 2_000
"""Replayed at most. Half a core sends several times as many, so fresh events keep more than half of it."""
PASSED_PER_S: Final = 20_000
"""Letters of others that are passed over: reading them costs a tenth of sending one."""
UNACKNOWLEDGED_MAX: Final = 500
"""A quarter of a second's worth at that pace; what a crash writes twice at most."""
UNACKNOWLEDGED_BYTES_MAX: Final = 16 << 20
"""Of keys and values: letters may be of a megabyte each, and all of these are in memory."""
WAIT_MS: Final = 50
SETTLE_MS: Final = 2_000
"""How long a pass that was broken off waits for what it has written."""

_SUBSCRIPTION = f"{OWN_PREFIX}subscription-id"
_VERSION = f"{OWN_PREFIX}v"


class BacklogScan:
    """``backlogs`` are what was known of each subscription before ``extents`` was asked for; the letters of
    those that are ``gone`` become dead. With ``one_each`` the pass is for probes. ``may_go_on`` is asked
    before each bite; the pass ends when it says no. ``has_room`` bounds what this process has in hand;
    ``on_progress`` is called after every bite, ``on_stop`` for a letter that cannot be read, with whose it is
    (empty: it does not say) and why."""

    def __init__(
        self,
        backlogs: Mapping[str, BacklogNews],
        extents: Mapping[int, Extent],
        *,
        gone: Set[str],
        one_each: bool,
        topic: str,
        letters: LetterLog,
        departures: Departures,
        outbox: Outbox,
        accounts: Accounts,
        may_go_on: Callable[[], bool],
        has_room: Callable[[], bool],
        on_progress: Callable[[], None],
        on_stop: Callable[[Record, str, str], None],
        clock: Clock,
        log: Log,
    ) -> None:
        self._gone = gone
        self._one_each = one_each
        self._topic = topic
        self._letters = letters
        self._departures = departures
        self._outbox = outbox
        self._accounts = accounts
        self._may_go_on = may_go_on
        self._has_room = has_room
        self._on_progress = on_progress
        self._on_stop = on_stop
        self._clock = clock
        self._log = log
        self.topic_id = next((extent.topic_id for extent in extents.values()), "")
        """The topic that the cursors are of."""
        self._stops: dict[tuple[str, int], int] = {}
        """By subscription and partition: where its replay stops, at a letter that cannot be read or, with
        ``one_each``, after the one that was taken."""
        self._ends = {partition: extent.end for partition, extent in extents.items()}
        self._begins = {id_: self._begin(backlog, extents) for id_, backlog in backlogs.items()}
        self._ledgers = {
            partition: Ledger(position=min(begins[partition] for begins in self._begins.values()))
            for partition in extents
        }

    @property
    def open_count(self) -> int:
        """Letters in hand: written and not acknowledged."""
        return sum(ledger.open_count for ledger in self._ledgers.values())

    @property
    def open_bytes(self) -> int:
        """Their keys and values."""
        return sum(ledger.open_bytes for ledger in self._ledgers.values())

    def cursor(self, subscription_id: str) -> dict[int, int]:
        """Everything of this subscription below is replayed."""
        begins, stops = self._begins[subscription_id], self._stops
        return {
            p: min(max(begins[p], ledger.watermark), stops.get((subscription_id, p), self._ends[p]))
            for p, ledger in self._ledgers.items()
        }

    def is_done(self, subscription_id: str) -> bool:
        """Whether all of this subscription's letters are replayed and acknowledged; with ``one_each`` that is
        not asked: workers are parking for it."""
        return not self._one_each and self.cursor(subscription_id) == self._ends

    def is_over(self, subscription_id: str) -> bool:
        """Whether the pass need not go on for this subscription: in each partition it stops or is at the
        end."""
        return all(
            (subscription_id, partition) in self._stops
            or max(self._begins[subscription_id][partition], ledger.watermark) >= self._ends[partition]
            for partition, ledger in self._ledgers.items()
        )

    def is_stopped(self, subscription_id: str) -> bool:
        """Whether one of its letters cannot be read; with ``one_each`` that is not asked."""
        return not self._one_each and any(id_ == subscription_id for id_, _ in self._stops)

    async def run(self) -> None:
        """Make the pass. Raises :class:`~connector.engine.letter_log.Unreadable` when the log cannot be read
        on; what was read until then is told by :meth:`cursor`."""
        for partition, ledger in self._ledgers.items():
            if not await self._pass_over(partition, ledger):
                return
        await self._has_leave(lambda: not self.open_count)

    async def _pass_over(self, partition: int, ledger: Ledger) -> bool:
        """One partition; false when the pass is to end."""
        tp, end = TopicPartition(self._topic, partition), self._ends[partition]
        offset = ledger.watermark
        while offset < end and any((id_, partition) not in self._stops for id_ in self._begins):
            if not await self._has_leave(self._has_room_for_a_bite):
                return False
            bite = await self._letters.read(tp, offset, end)
            replayed = await self._take(ledger, bite.records)
            if replayed is None:
                return False
            offset = bite.next_offset
            ledger.reach_end(offset)
            self._on_progress()
            await asyncio.sleep(max(replayed / LETTERS_PER_S, len(bite.records) / PASSED_PER_S))
        return True

    async def settle(self) -> None:
        """Wait, for a bounded time, for what is written and not acknowledged."""
        until_ms = self._clock.monotonic_ms() + SETTLE_MS
        while self.open_count and self._clock.monotonic_ms() < until_ms:  # noqa: ASYNC110  no event to wait for
            await asyncio.sleep(WAIT_MS / 1_000)

    def release(self) -> None:
        """Nothing more is done here: what is not acknowledged is read again by whoever goes on."""
        for ledger in self._ledgers.values():
            self._accounts.records_released += ledger.close()
        self._outbox.withdraw(set(self._ledgers.values()))

    async def _has_leave(self, has_room: Callable[[], bool]) -> bool:
        """Wait until there is room; false when the pass is to end."""
        while self._may_go_on():
            if has_room():
                return True
            await asyncio.sleep(WAIT_MS / 1_000)
        return False

    def _has_room_for_a_bite(self) -> bool:
        return self.open_count <= UNACKNOWLEDGED_MAX - BITE_RECORDS_MAX and self._has_room()

    def _has_room_for(self, letter: Record) -> bool:
        """One larger than the bound goes alone."""
        open_bytes = self.open_bytes
        return not open_bytes or open_bytes + letter.size_bytes <= UNACKNOWLEDGED_BYTES_MAX

    # ── letters ─────────────────────────────────────────────────────────────────────────────────

    async def _take(self, ledger: Ledger, records: list[Record]) -> int | None:
        """Write on those that are to be replayed; how many. ``None``: the pass is to end in their midst."""
        replayed = 0
        foreign: list[str] = []
        for record in records:
            subscription_id = _subscription_id(record)
            if subscription_id is not None and not self._is_wanted(subscription_id, record):
                continue
            decoded = decode(record.headers)
            if not isinstance(decoded, HeaderFault):
                if not self._has_room_for(record) and not await self._has_leave(
                    partial(self._has_room_for, record)
                ):
                    return None
                self._replay(ledger, record, source_record(record, decoded), decoded.trail)
                replayed += 1
                if self._one_each:
                    self._leave_the_rest(decoded.trail.subscription_id, record)
            elif _is_ours(record):
                self._stop(record, subscription_id, decoded.why)
            else:
                foreign.append(f"{record}: {record.unreadable or decoded.why}")
        if foreign:
            self._accounts.letters_unreadable += len(foreign)
            self._log.error(
                "records of the parked topic that are no letters are passed over",
                count=len(foreign),
                first=foreign[0],
            )
        return replayed

    def _stop(self, letter: Record, subscription_id: str | None, why: str) -> None:
        """Nobody's who may own ``letter`` is replayed beyond it."""
        ids = self._begins if subscription_id is None else (subscription_id,)
        stopped = [id_ for id_ in ids if self._is_wanted(id_, letter)]
        self._stops.update({(id_, letter.partition): letter.offset for id_ in stopped})
        if stopped:
            self._on_stop(letter, subscription_id or "", why)

    def _leave_the_rest(self, subscription_id: str, taken: Record) -> None:
        """Of this subscription ``taken`` was enough: no partition that is still to come is read for it."""
        partitions = list(self._ledgers)
        for partition in partitions[partitions.index(taken.partition) :]:
            self._stops[subscription_id, partition] = self._begins[subscription_id][partition]
        self._stops[subscription_id, taken.partition] = taken.offset + 1

    def _is_wanted(self, subscription_id: str, record: Record) -> bool:
        begins = self._begins.get(subscription_id)
        return (
            begins is not None
            and record.offset >= begins[record.partition]
            and (subscription_id, record.partition) not in self._stops
        )

    def _replay(self, ledger: Ledger, letter: Record, record: Record, trail: Trail) -> None:
        ticket = ledger.admit(letter)
        assert not isinstance(ticket, Regressed | None), "each offset is read once"
        ticket.owing = 1
        self._accounts.records_read += 1
        self._accounts.parked_records_read += 1
        if trail.subscription_id in self._gone:
            self._departures.bury_deleted(ticket, record, trail)
            return
        tier_ms = self._outbox.tiers[0]
        # A pause is not the receiver's fault: its age stood still.
        lay_ms = max(0, self._clock.now_ms() - letter.timestamp_ms)
        onwards = trail.to_tier(not_before_ms=0, standstill_ms=lay_ms + tier_ms)
        self._departures.pass_on(ticket, record, onwards, ToTier(tier_ms))

    # ── where it begins ─────────────────────────────────────────────────────────────────────────

    def _begin(self, backlog: BacklogNews, extents: Mapping[int, Extent]) -> dict[int, int]:
        begins = {}
        for partition, extent in extents.items():
            begins[partition] = begin_at(
                backlog, partition, topic_id=extent.topic_id, start=extent.start, end=extent.end
            )
            cursor = backlog.cursor.get(partition)
            if cursor is not None and cursor != begins[partition]:
                is_another = cursor > extent.end or is_of_another(backlog, extent.topic_id)
                lost = 0 if is_another else begins[partition] - cursor
                self._jumped(backlog.subscription_id, partition, cursor, begins[partition], lost)
        return begins

    def _jumped(self, subscription_id: str, partition: int, cursor: int, begins: int, lost: int) -> None:
        reason = "retention" if lost else "recreated"
        self._accounts.jumps[reason] += 1
        self._accounts.offsets_lost += lost
        self._log.error(
            "position moved",
            partition=str(TopicPartition(self._topic, partition)),
            subscription=subscription_id,
            why=reason,
            from_offset=cursor,
            to_offset=begins,
            records_lost=lost,
        )


def _is_ours(record: Record) -> bool:
    """Whether the connector wrote it, in whatever version. Names that cannot be read are none of ours."""
    return any(name == _VERSION for name, _ in record.headers)


def _subscription_id(record: Record) -> str | None:
    """Whose letter it is; ``None`` when that cannot be told. Most are passed over by this alone."""
    for name, value in record.headers:
        if name == _SUBSCRIPTION:
            try:
                return (value or b"").decode()
            except UnicodeDecodeError:
                return None
    return None
