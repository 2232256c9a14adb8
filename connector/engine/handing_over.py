"""Handing over: what is in hand of a partition that leaves, or of records that hold one up, is given up.

What waits in a lane is given back or diverted at once. What is in flight cannot be called back: when there is
no time to wait for its answer it is *abandoned*, diverted while its POST goes on, and its answer is nobody's
then. That may be one duplicate, against holding up all the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from connector.core.ledger import Ledger, Ticket
from connector.engine.delivery import Delivery
from connector.engine.departures import Departures
from connector.engine.lane import Lane
from connector.engine.outbox import Outbox
from connector.engine.places import Places


class HandingOver:
    """Implements what a drain and the head-of-line rule ask for. ``abandoned`` are the deliveries in flight
    that were given up already."""

    def __init__(self, *, places: Places, outbox: Outbox, departures: Departures) -> None:
        self._places = places
        self._outbox = outbox
        self._leave = departures
        self._leaving: set[Ledger] = set()
        self.abandoned: set[Delivery] = set()

    def withdraw(self, ledgers: Collection[Ledger]) -> None:
        """Give back what is queued for these; divert what a partly delivered record still owes."""
        leaving = set(ledgers)
        self._leaving = {one for one in self._leaving | leaving if one.is_live}
        # Begun: a delivery of it is settled, in flight or being written. Giving back the rest of such a
        # record would repeat what is done of it.
        begun = {delivery.ticket for delivery in self._places.flying} | set(self._outbox.tickets)
        for lane in self._places.queued:
            for delivery in self._places.take_out(lane, lambda one: one.ticket.ledger in leaving):
                ticket = delivery.ticket
                if ticket.ledger.is_live and (ticket.settled_deliveries or ticket in begun):
                    self._leave.divert(delivery, "partition leaves")
                else:
                    self._leave.release()
        self._outbox.withdraw({ledger for ledger in leaving if not ledger.is_live})

    def has_under_way(self, ledgers: Collection[Ledger]) -> bool:
        """Whether a POST or a write for one of these is under way."""
        leaving = set(ledgers)
        flying = (one for one in self._places.flying if one not in self.abandoned)
        return any(one.ticket.ledger in leaving for one in flying) or any(
            ticket.ledger in leaving for ticket in self._outbox.tickets
        )

    def divert_queued(self, tickets: Collection[Ticket], why: str) -> None:
        """Divert whatever of these records is queued."""
        self._divert_queued(set(tickets), self._places.queued, why)

    def abandon(self, tickets: Collection[Ticket], why: str) -> None:
        """Divert whatever of these records is queued or in flight; their POSTs go on unheeded."""
        leaving = set(tickets)
        self._divert_queued(leaving, self._places.queued, why)
        self._abandon([one for one in self._places.flying if one.ticket in leaving], why)

    def divert_overtaken(self, tickets: Collection[Ticket], why: str, now_ms: int) -> None:
        """Divert what is queued of these for an endpoint that failed last, without a recent success; of what
        is queued for others, what was never tried and will not have its turn soon after ``now_ms``
        (monotonic)."""
        leaving = set(tickets)
        for lane in self._places.queued:
            late = leaving if lane.is_suspect else {one.ticket for one in lane.late(now_ms)} & leaving
            if late:
                for delivery in self._places.take_out(lane, _of(late)):
                    self._leave.make_room(delivery, why)

    def abandon_suspects(self, tickets: Collection[Ticket], why: str) -> None:
        """Divert what is in flight of these to an endpoint that failed last, without a recent success."""
        leaving = set(tickets)
        flying = [one for one in self._places.flying if one.ticket in leaving and one.lane.is_suspect]
        self._abandon(flying, why)

    def _divert_queued(self, leaving: set[Ticket], lanes: Iterable[Lane], why: str) -> None:
        for lane in lanes:
            for delivery in self._places.take_out(lane, _of(leaving)):
                self._divert(delivery, why)

    def _abandon(self, deliveries: Iterable[Delivery], why: str) -> None:
        for delivery in deliveries:
            if delivery not in self.abandoned:
                self.abandoned.add(delivery)
                delivery.lane.is_in_the_way = True
                self._divert(delivery, why)

    def _divert(self, delivery: Delivery, why: str) -> None:
        if delivery.lane.is_suspect:
            self._leave.make_room(delivery, why)  # it would only come back in vain soon
        else:
            self._leave.divert(delivery, why)

    def may_stay(self, delivery: Delivery) -> bool:
        """Whether it may wait here: its partition is ours, and stays so as far as we know."""
        ledger = delivery.ticket.ledger
        return ledger.is_live and ledger not in self._leaving


def _of(tickets: Collection[Ticket]) -> Callable[[Delivery], bool]:
    """Whether a delivery is of one of these records."""
    return lambda one: one.ticket in tickets
