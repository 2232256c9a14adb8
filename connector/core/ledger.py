"""What one partition owes: which offsets are in hand, which are settled, what may be committed.

A ledger belongs to one *epoch*: one assignment of one partition to us. It is made when the
partition is assigned and closed when it is taken away; a ticket of a closed ledger changes nothing.

Invariants (held by ``tests/core/test_ledger.py``, a stateful model):

* the watermark never passes an offset that was admitted and is not settled;
* the watermark never moves backwards;
* every admitted offset is settled at most once, in any order;
* gaps (compaction, transaction markers) need no special case: the order of offsets is all that counts.

What a record owes before it may be settled is not decided here: the ticket only counts.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Final, Protocol

from connector.core.record import Record


class Done(Protocol):
    """Offsets settled before this epoch began, from the committed metadata."""

    @property
    def leader_epoch(self) -> int:
        """Leader epoch of the highest offset in the set; -1 when unknown."""

    @property
    def highest(self) -> int:
        """The highest offset in the set."""

    def contains(self, offset: int) -> bool: ...

    def above(self, offset: int) -> list[int]:
        """The offsets in the set that are higher, ascending."""


class Ticket:
    """One admitted record: settle it once nothing is owed for it any more.

    ``owing`` counts its deliveries that are not settled; ``settled_deliveries`` says whether some
    already are, which decides what becomes of the rest when the partition is taken away.
    """

    __slots__ = (
        "is_settled",
        "ledger",
        "offset",
        "owing",
        "settled_deliveries",
        "size_bytes",
        "timestamp_ms",
    )

    def __init__(self, ledger: Ledger, offset: int, size_bytes: int, timestamp_ms: int) -> None:
        self.ledger = ledger
        self.offset = offset
        self.size_bytes = size_bytes
        self.timestamp_ms = timestamp_ms
        self.owing = 0
        self.settled_deliveries = 0
        self.is_settled = False


class Regressed:
    """The offset is not above the last one received: the log was cut or made anew."""


REGRESSED: Final = Regressed()


class Ledger:
    """The offsets of one partition in one epoch.

    ``window`` counts the tickets between the watermark and the last admitted offset, settled ones
    included: it bounds the done-set. ``open_count`` and ``open_bytes`` count the unsettled ones.
    ``version`` rises whenever :meth:`settled_above` may have changed, unless the watermark moved with it,
    so that nobody need ask to know that it has not (held by ``tests/core/test_commits.py``).
    """

    __slots__ = ("_done", "_next_offset", "_tickets", "is_live", "open_bytes", "open_count", "version")

    def __init__(self, *, position: int, done: Done | None = None) -> None:
        self._tickets: deque[Ticket] = deque()
        self._next_offset = position
        self._done = done
        self.open_count = 0
        self.open_bytes = 0
        self.version = 0
        self.is_live = True

    @property
    def window(self) -> int:
        return len(self._tickets)

    @property
    def watermark(self) -> int:
        """The committable offset: everything below it is settled or does not exist."""
        return self._tickets[0].offset if self._tickets else self._next_offset

    @property
    def oldest_ms(self) -> int | None:
        """The timestamp of the record at the watermark, which holds the commit up; ``None``: nothing does."""
        return self._tickets[0].timestamp_ms if self._tickets else None

    def admit(self, record: Record) -> Ticket | Regressed | None:
        """Take ``record`` in hand.

        Returns its ticket; ``None`` when the done-set says that it was settled in an earlier epoch;
        :data:`REGRESSED` when its offset is not above the last one, and nothing has changed.
        """
        offset = record.offset
        if offset < self._next_offset:
            return REGRESSED
        self._next_offset = offset + 1
        size_bytes = record.size_bytes
        ticket = Ticket(self, offset, size_bytes, record.timestamp_ms)
        if self._done is not None:
            self.version += 1
            if self._was_done(record):
                # Kept in the window, so that the next done-set still says so if we stop here.
                ticket.is_settled = True
                if self._tickets:
                    self._tickets.append(ticket)
                return None
        self._tickets.append(ticket)
        self.open_count += 1
        self.open_bytes += size_bytes
        return ticket

    def settle(self, ticket: Ticket) -> None:
        """Nothing is owed for this record any more; the watermark may move."""
        assert ticket.ledger is self, "a ticket is settled in the ledger that gave it out"
        assert not ticket.is_settled, "a ticket is settled once"
        ticket.is_settled = True
        self.version += 1
        self.open_count -= 1
        self.open_bytes -= ticket.size_bytes
        tickets = self._tickets
        while tickets and tickets[0].is_settled:
            tickets.popleft()

    def reach_end(self, end_offset: int) -> None:
        """Nothing exists below ``end_offset`` that was not read: the watermark may pass markers."""
        if end_offset > self._next_offset:
            self._next_offset = end_offset
            self.version += 1

    def settled_above(self) -> list[int]:
        """Offsets settled at or above the watermark, ascending: what the done-set holds. Those of an
        earlier epoch that were not read again yet are among them, or the first commit would forget them."""
        settled = [ticket.offset for ticket in self._tickets if ticket.is_settled]
        if self._done is not None:
            settled += self._done.above(self._next_offset - 1)
        return settled

    def open_tickets(self) -> list[Ticket]:
        """Unsettled tickets in offset order."""
        return [ticket for ticket in self._tickets if not ticket.is_settled]

    def stragglers(self) -> list[Ticket]:
        """Unsettled tickets in the older half of the window, in offset order, when they are no more than
        half of it: so many others have overtaken them. None otherwise."""
        half = (len(self._tickets) + 1) // 2
        found: list[Ticket] = []
        for ticket in islice(self._tickets, half):
            if not ticket.is_settled:
                if len(found) == half // 2:
                    return []
                found.append(ticket)
        return found

    def close(self) -> int:
        """The partition is ours no longer. Returns how many records were in hand unsettled."""
        self.is_live = False
        released = self.open_count
        self._tickets.clear()
        self.open_count = 0
        self.open_bytes = 0
        return released

    def _was_done(self, record: Record) -> bool:
        done = self._done
        assert done is not None
        if record.offset >= done.highest:
            self._done = None  # of no more use
        if record.leader_epoch > done.leader_epoch >= 0:
            # Written under a later leader than anything in the set: another record at the same
            # offset (the log was cut in between). Nothing after it can be in the set either.
            self._done = None
            return False
        return done.contains(record.offset)
