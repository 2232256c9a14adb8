"""The subscriptions of a simulation: which there are, and which there were.

The faults change them; the verdict goes by what is remembered here.
"""

from __future__ import annotations

from collections import defaultdict
from random import Random

from connector.core.subscription import Subscription
from tests.support.world import subscription

LADDERS = ((1_000,), (1_000, 4_000), (1_000, 4_000, 20_000), (4_000, 20_000))
TIERS = (1_000, 4_000, 20_000)
RARE = ("post.created.rare", "friend.request.sent.rare")
NOT_SEEN_BY_ALL_MS = 1 << 62


class Subscriptions:
    """``current`` are in the file, ``removed`` are not and may come back. ``constant_since_ms`` is since when
    all workers have seen one, ``ladders`` are those it ever had, ``id_of`` says whose a URL is, and
    ``absences`` from when until when (``None``: still) one was not in the file.

    Some share a host. What was changed in any way, or paused, is no longer ``untouched``."""

    def __init__(self, chance: Random, count: int) -> None:
        self._chance = chance
        self._do_share_hosts = chance.random() < 0.3
        self.id_of: dict[str, str] = {}
        self.current = {one.id: one for one in (self.draw(f"s{n}") for n in range(count))}
        self.removed: dict[str, Subscription] = {}
        self.absences: defaultdict[str, list[tuple[int, int | None]]] = defaultdict(list)
        self.untouched = set(self.current)
        self.constant_since_ms = dict.fromkeys(self.current, 0)
        self.ladders = {id_: [one.ladder_ms] for id_, one in self.current.items()}

    def draw(self, id_: str) -> Subscription:
        chance = self._chance
        return subscription(
            id_,
            url=self.draw_url(id_),
            events=chance.choice((("*",), ("post.created",), ("post.*", "friend.**"), RARE)),
            ladder_ms=chance.choice(LADDERS),
            in_flight_max=chance.choice((1, 3, 8)),
            queue_max=chance.choice((1, 5, 100)),
            timeout_ms=chance.choice((3_000, 15_000)),
            rate_per_s=chance.choice((None, None, None, 10.0)),
        )

    def draw_url(self, id_: str) -> str:
        """One of three that it may have; others' may be on the same host."""
        host = f"{'all' if self._do_share_hosts else id_}-{self._chance.randrange(3)}"
        url = f"https://{host}.example/{id_}"
        self.id_of[url] = id_
        return url

    def urls(self, id_: str) -> list[str]:
        """All that it ever had."""
        return [url for url, one in self.id_of.items() if one == id_]

    @property
    def ids(self) -> list[str]:
        """Of all there ever were."""
        return sorted(self.constant_since_ms)

    def replace(self, one: Subscription) -> None:
        """It is in the file from now on as it is here."""
        self.current[one.id] = one
        self.ladders[one.id].append(one.ladder_ms)
        self.untouched.discard(one.id)

    def remove(self, id_: str, now_ms: int) -> None:
        self.removed[id_] = self.current.pop(id_)
        self.absences[id_].append((now_ms, None))
        self.untouched.discard(id_)

    def restore(self, id_: str, now_ms: int) -> None:
        """Put it back; what is owed to it counts from when all have seen that."""
        self.current[id_] = self.removed.pop(id_)
        self.constant_since_ms[id_] = NOT_SEEN_BY_ALL_MS
        since_ms, _ = self.absences[id_].pop()
        self.absences[id_].append((since_ms, now_ms))

    def seen_by_all(self, now_ms: int) -> None:
        """All workers have seen the file as it is."""
        for id_, since_ms in self.constant_since_ms.items():
            if since_ms == NOT_SEEN_BY_ALL_MS:
                self.constant_since_ms[id_] = now_ms
