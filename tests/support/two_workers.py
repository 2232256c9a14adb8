"""Two workers of one group on one Kafka in memory, and a subscription whose backlog they park and replay."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from connector.core.headers import Decoded, decode
from connector.core.record import Headers, Record
from connector.core.sharing import BacklogNews, encode
from connector.core.sharing import decode as decode_news
from connector.core.subscription import Subscription
from connector.core.topic_names import dead_letters_topic, parked_topic, tier_topic
from connector.core.trail import Trail
from connector.engine.ports import NotWritten, TopicPartition
from tests.support.fake_board import FakeBoard, FakeTopic
from tests.support.fake_kafka import PREFIX, Cluster
from tests.support.virtual_time import VirtualClock
from tests.support.world import FakeSender, World, subscription

TIERS = (1_000, 30_000)
PARKED = parked_topic(PREFIX)
SHORTEST_TIER = tier_topic(PREFIX, TIERS[0])
SOURCES = [TopicPartition("post.created", 0), TopicPartition("post.created", 1)]
TIER_PARTITIONS = [TopicPartition(tier_topic(PREFIX, tier_ms), 0) for tier_ms in TIERS]


def resumed(id_: str) -> Subscription:
    return subscription(id_, ladder_ms=TIERS)


def paused(id_: str) -> Subscription:
    return subscription(id_, ladder_ms=TIERS, paused=True)


def trail_of(letter: Record) -> Trail:
    """What a letter's headers say."""
    read = decode(letter.headers)
    assert isinstance(read, Decoded)
    return read.trail


class TwoWorkers:
    """``first`` leads and reads the tiers, each reads a source partition. They begin with one subscription,
    ``acme``, which is what :meth:`pause`, :meth:`resume` and :attr:`backlog` speak of."""

    def __init__(self) -> None:
        self.cluster = Cluster(VirtualClock())
        self.cluster.partitions |= {"post.created": 2, PARKED: 3}
        self.topic = FakeTopic()
        self.first = World(
            self.cluster, FakeSender(self.cluster.clock), board=FakeBoard(self.topic), worker_id="a"
        )
        self.second = self.first.next_worker(board=FakeBoard(self.topic), worker_id="b")
        self.view(resumed("acme"))
        self.first.worker.start()
        self.second.worker.start()
        self.first.source.assign(SOURCES[0])
        self.first.tier_source.assign(*TIER_PARTITIONS)
        self.second.source.assign(SOURCES[1])

    @classmethod
    async def joined(cls) -> TwoWorkers:
        """Both are known to one another."""
        two = cls()
        await asyncio.sleep(3)
        return two

    @classmethod
    async def with_parked(cls, each: int) -> TwoWorkers:
        """So many events of each source partition are parked."""
        two = await cls.joined()
        await two.park(each)
        return two

    @classmethod
    async def in_the_middle(cls) -> TwoWorkers:
        """At least 2,000 of 6,000 parked letters are replayed, and not all of them."""
        two = await cls.with_parked(3_000)
        await two.resume()
        await two.until(lambda: two.replayed >= 2_000, "a third is replayed")
        return two

    # ── what happens ────────────────────────────────────────────────────────────────────────────

    def view(self, *subscriptions: Subscription) -> None:
        """Both learn of these at once."""
        for world in (self.first, self.second):
            world.worker.view(list(subscriptions), TIERS)

    async def pause(self, apart_s: float = 0) -> None:
        await self._view_apart([paused("acme")], apart_s)

    async def resume(self, apart_s: float = 0) -> None:
        await self._view_apart([resumed("acme")], apart_s)

    async def _view_apart(self, view: Sequence[Subscription], apart_s: float) -> None:
        self.first.worker.view(view, TIERS)
        await asyncio.sleep(apart_s)
        self.second.worker.view(view, TIERS)

    async def replay(self) -> None:
        """Resume, and wait until all is replayed and sent."""
        await self.resume()
        await self.until_replayed()

    def produce(self, each: int) -> None:
        """So many events, of several keys, in each source partition."""
        for n in range(each):
            for tp in SOURCES:
                self.cluster.append(tp.topic, b"1", partition=tp.partition, key=b"%d" % (n % 20))

    async def park(self, each: int) -> None:
        """So many events in each source partition, all of them parked."""
        before = self.parked
        await self.pause()
        await asyncio.sleep(1)
        self.produce(each)
        await self.until_parked(before + 2 * each)

    def append_parked(self, value: bytes, headers: Headers = ()) -> Record:
        """A record that no worker of ours has written, in the first partition of the parked topic."""
        return self.cluster.append(PARKED, value, partition=0, headers=headers)

    def tell(self, *, openings: int, cursor: dict[int, int], is_done: bool) -> None:
        """News of acme's backlog by somebody else."""
        news = BacklogNews(
            subscription_id="acme", at_ms=0, openings=openings, topic_id="", cursor=cursor, is_done=is_done
        )
        self.topic.append(*encode(news))

    def take_tier_away(self) -> None:
        """Nothing can be written to the shortest tier."""
        self.cluster.write_faults_by_topic[SHORTEST_TIER] = NotWritten("passing", "the broker is away")

    def bring_tier_back(self) -> None:
        del self.cluster.write_faults_by_topic[SHORTEST_TIER]

    def hand_over(self) -> None:
        """The second gets all that the first has read."""
        self.second.source.assign(SOURCES[0])
        self.second.tier_source.assign(*TIER_PARTITIONS)

    # ── waiting ─────────────────────────────────────────────────────────────────────────────────

    async def until(self, is_so: Callable[[], object], what: str) -> None:
        for _ in range(1_000):
            if is_so():
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"never: {what}")

    async def until_parked(self, count: int) -> None:
        await self.until(lambda: self.parked == count, "all of it is parked")

    async def until_replayed(self) -> None:
        await self.until(lambda: self.backlog.is_done, "the backlog is replayed")
        await asyncio.sleep(5)  # the tier's delay

    # ── what is so ──────────────────────────────────────────────────────────────────────────────

    @property
    def parked(self) -> int:
        """Records of the parked topic, those that are replayed included."""
        return len(self.cluster.letters(PARKED))

    def parked_in(self, partition: int) -> list[Record]:
        return self.cluster.topics[PARKED][partition]

    @property
    def on_tier(self) -> list[Record]:
        """All that was ever written to the shortest tier."""
        return self.cluster.topics[SHORTEST_TIER][0]

    @property
    def dead(self) -> list[Record]:
        return self.cluster.letters(dead_letters_topic(PREFIX))

    @property
    def accepted(self) -> Counter[str]:
        """How often the endpoints accepted each event."""
        return Counter(post.webhook_id for post in self.first.sender.accepted)

    @property
    def backlog(self) -> BacklogNews:
        """What the board says of it."""
        key = b"backlog/acme"
        news = decode_news(key, self.topic.newest[key])
        assert isinstance(news, BacklogNews)
        return news

    @property
    def replayed(self) -> int:
        """Records below the cursor."""
        return sum(self.backlog.cursor.values())

    def check_books(self) -> None:
        assert self.first.problems() == []
        assert self.second.problems() == []
