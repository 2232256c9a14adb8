"""A delivery: what is known of one event on its way to one subscription, from a record until it is settled.

It is passed on from part to part and decides nothing; each part writes what it alone knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.core.event import Event
from connector.core.ledger import Ticket
from connector.core.record import Record
from connector.core.trail import Trail
from connector.engine.host import Host

if TYPE_CHECKING:
    from connector.engine.lane import Lane

NOWHERE = Host("", "", 0)
"""Where a delivery leads that was not started yet."""


@dataclass(slots=True, eq=False)
class Delivery:
    """One event on its way to one subscription.

    ``ticket`` is the record in hand that owes this delivery; ``record`` is the source record as first
    read, also when the delivery came from a tier; ``trail`` is what the tier's headers told of its past,
    ``None`` for a first attempt. ``body`` is what was sent in the attempt under way, which began at
    ``started_ms`` (Unix) towards ``host``; ``since_ms`` (monotonic) is the same, or when it began to wait for
    a place.
    ``is_probe``: its answer decides whether the breaker closes; ``is_unproven``: it has one of the places
    that lanes without a recent success share. ``resets`` is the lane's own number when the attempt began.
    """

    ticket: Ticket
    record: Record
    event: Event
    lane: Lane
    trail: Trail | None = None
    since_ms: int = 0
    started_ms: int = 0
    body: bytes = b""
    host: Host = NOWHERE
    is_probe: bool = False
    is_unproven: bool = False
    resets: int = 0
