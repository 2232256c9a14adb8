"""A host: what the lanes share that lead to one place by one way.

It counts, and knows who waits for it. Who may start there, and who is next, is said by
:class:`~connector.engine.places.Places`; when it is at rest, by :mod:`connector.engine.own_faults`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from connector.engine.lane import Lane

NOTHING_WAITS: Final = cast("deque[Any]", ())  # Any: of deliveries or of lanes
"""Reads as an empty queue, and cannot be written to. A real one takes 0.8 kB also while it is empty, and most
of 10,000 lanes have nothing that waits."""


@dataclass(slots=True, eq=False)
class Host:
    """What all lanes to one scheme, host and port by one ``way`` (a proxy, or directly) share: ``in_flight``
    POSTs, of which there may be ``in_flight_max``, and the lanes that wait because it is full. While it is
    *at rest* there may be none. Until ``quiet_until_ms`` (monotonic) it is no news that it answers."""

    name: str
    way: str
    limit: int
    in_flight_max: int = field(init=False)
    in_flight: int = 0
    quiet_until_ms: int = 0
    line: deque[Lane] = NOTHING_WAITS

    def __post_init__(self) -> None:
        self.in_flight_max = self.limit

    @property
    def is_at_rest(self) -> bool:
        return self.in_flight_max < self.limit
