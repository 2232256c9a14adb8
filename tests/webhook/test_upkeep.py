"""Open connections are looked after without one look that takes long."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from connector.webhook.room import Room
from connector.webhook.upkeep import Upkeep


@dataclass(eq=False)
class Idle:
    """A connection that carries nothing and was last used when the world began."""

    closed: list[Idle] = field(repr=False)
    opened_at_s: float = 0.0
    used_at_s: float = 0.0
    is_idle: bool = True

    def abort(self) -> None:
        self.closed.append(self)


async def test_a_thousand_that_are_idle_for_too_long_are_closed_within_about_a_second():
    room = Room()
    upkeep: Upkeep[Idle] = Upkeep(room, life_ms=0, idle_ms=0)
    closed: list[Idle] = []
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    for _ in range(1_000):
        assert room.take()
        upkeep.add(Idle(closed))

    while len(closed) < 1_000:
        assert loop.time() - begun_s < 3, f"only {len(closed)} of 1,000 are closed"
        await asyncio.sleep(0.01)
    assert len(set(closed)) == 1_000
    assert room.taken == 0

    for connection in closed:
        upkeep.gone(connection)
    await upkeep.close()
