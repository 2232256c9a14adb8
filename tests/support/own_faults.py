"""Worlds in which it is our own fault that nothing arrives, or looks so."""

from __future__ import annotations

import asyncio

from connector.core.headers import Decoded, decode
from connector.core.outcome import Failure, Reply
from connector.core.subscription import Egress, Subscription
from tests.support.world import Behaviour, Post, World, subscription

PROXY = "http://proxy.internal:3128"
IDS = [f"s{n}" for n in range(10)]


def no_descriptor(_: Post) -> tuple[float, Reply | Failure]:
    return 0.001, Failure("resources", "no connection: Too many open files")


def proxy_down(_: Post) -> tuple[float, Reply | Failure]:
    return 0.01, Failure("proxy", "the proxy proxy.internal:3128 does not answer")


def not_admitted(_: Post) -> tuple[float, Reply | Failure]:
    return 0.01, Failure("proxy", "the proxy opens no tunnel: it answers 407")


def no_tunnel(_: Post) -> tuple[float, Reply | Failure]:
    return 0.01, Failure("proxy", "the proxy opens no tunnel: it answers 502", is_doubtful=True)


def through(id_: str) -> Subscription:
    return subscription(id_, egress=Egress(proxy=PROXY))


def started(*subscriptions: Subscription) -> World:
    world = World.new()
    world.start(subscriptions)
    return world


def everybody(world: World, behaviour: Behaviour) -> None:
    for id_ in IDS:
        world.behave(id_, behaviour)


async def held(*subscriptions: Subscription, fault: Behaviour, records: int = 10, for_s: int = 2) -> World:
    """A world that holds because nobody can be sent to, so long after so many records have come."""
    world = started(*subscriptions)
    everybody(world, fault)
    world.fill(records)
    await asyncio.sleep(for_s)
    assert world.worker.held()
    return world


def attempts_told(world: World) -> int:
    """Of all letters on the tiers together."""
    letters = [decode(one.headers) for one in world.cluster.tier_letters()]
    return sum(one.trail.attempt for one in letters if isinstance(one, Decoded))


def posts_to(world: World, id_: str) -> int:
    return sum(post.url == f"https://{id_}.example/hooks" for post in world.sender.posts)


def resting(world: World) -> set[str]:
    """The subscriptions whose hosts have no place."""
    return {lane.subscription.id for lane in world.worker.lanes if lane.host.is_at_rest}
