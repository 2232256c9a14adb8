"""The subscriptions of a simulation: which there are, and which there were.

The faults change them; the verdict goes by what is remembered here.
"""

from __future__ import annotations

from random import Random

from connector.core.subscription import Subscription
from tests.support.world import subscription

LADDERS = ((1_000,), (1_000, 4_000), (1_000, 4_000, 20_000), (4_000, 20_000))
TIERS = (1_000, 4_000, 20_000)
NOT_SEEN_BY_ALL_MS = 1 << 62


class Subscriptions:
    """``current`` are in the file, ``removed`` are not and may come back. ``constant_since_ms`` is since when
    all workers have seen one, ``ladders`` are those it ever had."""

    def __init__(self, chance: Random, count: int) -> None:
        self._chance = chance
        self.current = {one.id: one for one in (self.draw(f"s{n}") for n in range(count))}
        self.removed: dict[str, Subscription] = {}
        self.ever_removed: set[str] = set()
        self.constant_since_ms = dict.fromkeys(self.current, 0)
        self.ladders = {id_: [one.ladder_ms] for id_, one in self.current.items()}

    def draw(self, id_: str) -> Subscription:
        chance = self._chance
        return subscription(
            id_,
            events=chance.choice((("*",), ("post.created",), ("post.*", "friend.**"))),
            ladder_ms=chance.choice(LADDERS),
            in_flight_max=chance.choice((1, 3, 8)),
            queue_max=chance.choice((1, 5, 100)),
            timeout_ms=chance.choice((3_000, 15_000)),
        )

    @property
    def ids(self) -> list[str]:
        """Of all there ever were."""
        return sorted(self.constant_since_ms)

    def replace(self, one: Subscription) -> None:
        """It is in the file from now on as it is here."""
        self.current[one.id] = one
        self.ladders[one.id].append(one.ladder_ms)

    def remove(self, id_: str) -> None:
        self.removed[id_] = self.current.pop(id_)
        self.ever_removed.add(id_)

    def restore(self, id_: str) -> None:
        """Put it back; what is owed to it counts from when all have seen that."""
        self.current[id_] = self.removed.pop(id_)
        self.constant_since_ms[id_] = NOT_SEEN_BY_ALL_MS

    def seen_by_all(self, now_ms: int) -> None:
        """All workers have seen the file as it is."""
        for id_, since_ms in self.constant_since_ms.items():
            if since_ms == NOT_SEEN_BY_ALL_MS:
                self.constant_since_ms[id_] = now_ms
