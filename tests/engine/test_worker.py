"""The engine as a whole, on fakes and in virtual time: each test states one promise."""

from __future__ import annotations

import asyncio

from tests.support.virtual_time import run_virtual
from tests.support.world import World, hangs, replies, subscription


def test_every_record_becomes_one_accepted_delivery_per_subscription():
    async def main() -> None:
        world = World.new()
        for n in range(50):
            world.cluster.append("post.created", b'{"n":%d}' % n)

        world.start([subscription("a"), subscription("b")])
        await asyncio.sleep(3)

        assert len(world.sender.accepted) == 100
        assert world.cluster.committed["g", next(iter(world.source.epoch_of))][0] == 50
        assert world.problems() == []
        await world.worker.stop()
        assert world.fatal == []

    run_virtual(main)


def test_a_failed_delivery_walks_the_ladder_to_the_dead_letters():
    async def main() -> None:
        world = World.new()
        world.sender.behaviour["https://a.example/hooks"] = replies(500)
        world.cluster.append("post.created", b"1")

        world.start([subscription("a")])
        await asyncio.sleep(400)

        waits = [b.at_ms - a.at_ms for a, b in zip(world.sender.posts, world.sender.posts[1:], strict=False)]
        assert len(world.sender.posts) == 4
        assert all(wait >= step for wait, step in zip(waits, (5_000, 30_000, 300_000), strict=True)), waits
        assert len({post.body for post in world.sender.posts}) == 1
        assert world.worker.accounts.dead == {"exhausted": 1}
        assert world.problems() == []
        await world.worker.stop()

    run_virtual(main)


def test_a_hanging_endpoint_does_not_delay_another():
    async def main() -> None:
        world = World.new()
        world.sender.behaviour["https://slow.example/hooks"] = hangs
        for n in range(2_000):
            world.cluster.append("post.created", b"%d" % n)

        world.start([subscription("slow", queue_max=20), subscription("quick")])
        await asyncio.sleep(5)

        assert len([post for post in world.sender.accepted if "quick" in post.url]) == 2_000
        assert world.problems() == []
        await world.worker.stop()

    run_virtual(main)
