"""Workers of one group on one Kafka in memory, and what they tell each other of the same endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from connector.core.breaker import Breaker, BreakerRules
from connector.core.disabling import DisableRules
from connector.core.sharing import EndpointNews, digest_of, encode
from connector.core.subscription import Subscription
from connector.engine.lane import Lane
from connector.engine.ports import TopicPartition
from tests.support.fake_board import FakeBoard, FakeTopic
from tests.support.fake_kafka import Cluster
from tests.support.virtual_time import VirtualClock
from tests.support.world import FakeSender, Post, World, limits, subscription

RULES = BreakerRules(failures_to_open=5, cool_down_ms=30_000, cool_down_max_ms=240_000)
DISABLE = DisableRules(after_ms=60_000, attempts=8, probe_first_ms=60_000)
TIERS_MS = [5_000, 30_000, 300_000]


def news_of(id_: str, **changes: Any) -> EndpointNews:
    """As another worker told long ago, at which nothing was wrong, but for these ``changes``."""
    told: dict[str, Any] = {
        "subscription_id": id_,
        "url_digest": digest_of(f"https://{id_}.example/hooks"),
        "url_since_ms": 0,
        "worker": "another",
        "at_ms": 1_000,
        "breaker": Breaker(RULES).snapshot(),
        "disabled": None,
        "failing_since_ms": 0,
        "failed_attempts": 0,
        "succeeded_at_ms": 0,
        "reset_at_ms": 0,
        "cleared_at_ms": 0,
    }
    return EndpointNews(**(told | changes))


class Team:
    """Workers of one group on one cluster, each with a source partition of its own, and one board."""

    def __init__(
        self,
        delay_s: Callable[[], float] = lambda: 0.5,
        *,
        rules: BreakerRules = RULES,
        disable: DisableRules = DISABLE,
    ) -> None:
        self.rules = rules
        self.disable = disable
        self.clock = VirtualClock()
        self.cluster = Cluster(self.clock)
        self.topic = FakeTopic(delay_s)
        self.sender = FakeSender(self.clock)
        self.worlds: list[World] = []

    @classmethod
    async def of(cls, count: int, *, delay_s: Callable[[], float] = lambda: 0.5, **changes: Any) -> Team:
        """So many workers, known to one another, with the subscription ``a`` so changed."""
        team = cls(delay_s)
        for _ in range(count):
            await team.start(subscription("a", **changes))
        await asyncio.sleep(1)
        return team

    async def start(self, *subscriptions: Subscription) -> World:
        """Another worker, once it has learnt what the others know."""
        number = len(self.worlds)
        world = self.make()
        world.worker.view(subscriptions, TIERS_MS)
        await world.worker.hearing.caught_up()
        world.worker.start()
        world.source.assign(TopicPartition("post.created", number))
        if number == 0:
            tiers = [TopicPartition(f"webhooks.retry.{tier}", 0) for tier in ("5s", "30s", "5m")]
            world.tier_source.assign(*tiers)
        return world

    def make(self) -> World:
        """Another worker that begins to hear what the others know."""
        number = len(self.worlds)
        sender = FakeSender(self.clock)
        sender.posts, sender.accepted = self.sender.posts, self.sender.accepted
        sender.behaviour = self.sender.behaviour
        world = World(
            self.cluster,
            sender,
            limits=limits(breaker=self.rules, disable=self.disable),
            board=FakeBoard(self.topic),
            worker_id=f"w{number}",
        )
        self.worlds.append(world)
        return world

    def fill(self, count: int, worker: int) -> None:
        for _ in range(count):
            self.cluster.append("post.created", b"1", partition=worker)

    def behave(self, id_: str, behaviour: Any) -> None:
        self.sender.behaviour[f"https://{id_}.example/hooks"] = behaviour

    def reset_by_operator(self, id_: str = "a") -> None:
        """As ``subscriptions reset`` posts it."""
        now_ms = self.clock.now_ms()
        url_digest = digest_of(self.lanes(id_)[0].subscription.url)
        stamps = {"at_ms": now_ms, "reset_at_ms": now_ms, "cleared_at_ms": now_ms}
        self.topic.append(*encode(news_of(id_, worker="operator", url_digest=url_digest, **stamps)))

    def lanes(self, id_: str = "a") -> list[Lane]:
        found = [world.worker.lanes.get(id_) for world in self.worlds]
        return [lane for lane in found if lane is not None]

    def told(self, id_: str = "a") -> int:
        """How many records there are of what was learnt of one endpoint."""
        return sum(key == f"endpoint/{id_}".encode() for key, _ in self.topic.appended)

    def posts(self, id_: str = "a") -> list[Post]:
        return [post for post in self.sender.posts if post.url == f"https://{id_}.example/hooks"]
