"""A consumer group's coordinator for :class:`~tests.support.fake_kafka.FakeSource` members: who owns what.

Rebalances are cooperative: what moves is revoked, and only then given to its next owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from connector.engine.ports import TopicPartition
from tests.support.fake_kafka import FakeSource


class Group:
    def __init__(self, partitions: Sequence[TopicPartition], chance: Random) -> None:
        self.partitions = list(partitions)
        self.members: list[FakeSource] = []
        self._chance = chance
        self._turn = asyncio.Lock()

    async def join(self, member: FakeSource) -> None:
        member.turn = self._turn
        self.members.append(member)
        await self.rebalance()

    async def leave(self, member: FakeSource) -> None:
        """After its close, or after it was killed."""
        self.members.remove(member)
        await self.rebalance()

    async def rebalance(self, *, budget_ms: int = 10_000) -> None:
        """Give every partition an owner, at random."""
        async with self._turn:
            if not self.members:
                return
            wanted = {tp: self._chance.choice(self.members) for tp in self.partitions}
            for member in list(self.members):
                moving = [tp for tp in member.epoch_of if wanted.get(tp) is not member]
                if moving and member in self.members:
                    await member.revoke(*moving, budget_ms=budget_ms)
            self._give(wanted)

    async def lose(self, member: FakeSource) -> None:
        """The coordinator took the member for dead; it hears of it and joins again."""
        async with self._turn:
            if member in self.members and member.epoch_of:
                member.lose(*member.epoch_of)
                self._give({tp: self._chance.choice(self.members) for tp in self.partitions})

    def _give(self, wanted: dict[TopicPartition, FakeSource]) -> None:
        owned = {tp for member in self.members for tp in member.epoch_of}
        for member in self.members:
            fresh = [tp for tp, owner in wanted.items() if owner is member and tp not in owned]
            if (fresh or not member.has_joined) and not member.is_dead:
                member.assign(*fresh)
