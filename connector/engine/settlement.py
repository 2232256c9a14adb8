"""Settling: the one place where a record stops being owed for.

A delivery is settled when its endpoint accepted it, or when what became of it is durably written.
A record is settled when all its deliveries are. There is no other way, and nobody else does it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from connector.core.accounts import Accounts
from connector.core.ledger import Ticket


class Settlement:
    """Settles tickets, keeps the books of it, and wakes whoever waits for room.

    ``is_awaited`` is set by a pump that stopped for want of room; whatever makes room next clears it and
    calls ``on_room`` once, in another order each time: whoever comes first may take all of it, and must not
    always be the same, or a flood of fresh events would keep out what is due on the tiers.
    """

    __slots__ = ("_accounts", "_on_room", "is_awaited")

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._on_room: deque[Callable[[], None]] = deque()
        self.is_awaited = False

    def wake(self, on_room: Callable[[], None]) -> None:
        """Call ``on_room`` once there is room again, whenever somebody awaits it."""
        self._on_room.append(on_room)

    def settle_delivery(self, ticket: Ticket) -> None:
        """One delivery of this record is accepted or durably written."""
        assert ticket.owing > 0, "no delivery is settled twice"
        ticket.owing -= 1
        ticket.settled_deliveries += 1
        if ticket.owing == 0:
            self.settle_record(ticket)
        else:
            self.make_room()

    def settle_record(self, ticket: Ticket) -> None:
        """Nothing is owed for this record. Ignored when its partition is no longer ours: the books
        counted it as released then, and its next owner reads it again."""
        if ticket.ledger.is_live:
            ticket.ledger.settle(ticket)
            self._accounts.records_settled += 1
        if self.is_awaited:
            self.make_room()

    def make_room(self) -> None:
        """Something in hand is so no longer, settled or given back."""
        if self.is_awaited:
            self.is_awaited = False
            self._on_room.rotate()
            for on_room in self._on_room:
                on_room()
