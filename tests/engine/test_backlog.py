"""What was parked is replayed once nobody parks any more: all of it, by one worker, from where it stood."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from connector.core.headers import Decoded, decode
from connector.core.record import Headers, Record
from connector.core.sharing import BacklogNews, encode
from connector.core.sharing import decode as decode_news
from connector.core.subscription import Subscription
from connector.core.topic_names import dead_letters_topic, parked_topic, tier_topic
from connector.engine.ports import NotWritten, TopicPartition
from connector.engine.tiers import UNHEARD_GRACE_MS
from tests.support.fake_board import FakeBoard, FakeTopic
from tests.support.fake_kafka import PREFIX, Cluster
from tests.support.virtual_time import VirtualClock, virtual
from tests.support.world import LIMITS, FakeSender, World, limits, replies, subscription

TIERS = (1_000, 30_000)
PARKED = parked_topic(PREFIX)
SOURCES = [TopicPartition("post.created", 0), TopicPartition("post.created", 1)]
TIER_PARTITIONS = [TopicPartition(tier_topic(PREFIX, tier_ms), 0) for tier_ms in TIERS]
ACME = subscription("acme", ladder_ms=TIERS)
PAUSED = subscription("acme", ladder_ms=TIERS, paused=True)


class Two:
    """Two workers of one group: ``first`` leads and reads the tiers, each reads a source partition."""

    def __init__(self) -> None:
        self.cluster = Cluster(VirtualClock())
        self.cluster.partitions |= {"post.created": 2, PARKED: 3}
        self.topic = FakeTopic()
        self.sender = FakeSender(self.cluster.clock)
        self.first = self._worker("a", [ACME], SOURCES[:1], TIER_PARTITIONS)
        self.second = self._worker("b", [ACME], SOURCES[1:], [])

    def _worker(
        self, name: str, view: list[Subscription], sources: Sequence[TopicPartition],
        tiers: Sequence[TopicPartition],
    ) -> World:  # fmt: skip
        sender = FakeSender(self.cluster.clock)
        sender.posts, sender.accepted = self.sender.posts, self.sender.accepted
        sender.behaviour = self.sender.behaviour
        world = World(self.cluster, sender, board=FakeBoard(self.topic), worker_id=name)
        world.worker.view(view, TIERS)
        world.worker.start()
        world.source.assign(*sources)
        world.tier_source.assign(*tiers)
        return world

    def produce(self, count: int) -> None:
        """So many events, of several keys, in each source partition."""
        for n in range(count):
            for tp in SOURCES:
                self.cluster.append(tp.topic, b"1", partition=tp.partition, key=b"%d" % (n % 20))

    async def pause(self, apart_s: float = 0) -> None:
        await self._show(PAUSED, apart_s)

    async def resume(self, apart_s: float = 0) -> None:
        await self._show(ACME, apart_s)

    async def _show(self, one: Subscription, apart_s: float) -> None:
        self.first.worker.view([one], TIERS)
        await asyncio.sleep(apart_s)
        self.second.worker.view([one], TIERS)

    async def park(self, count: int) -> None:
        """So many events in each source partition, all of them parked."""
        await self.pause()
        await asyncio.sleep(1)
        self.produce(count)
        await self.until(lambda: self.parked == 2 * count, "all of it is parked")

    async def until(self, is_so: Any, what: str) -> None:
        for _ in range(1_000):
            if is_so():
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"never: {what}")

    @property
    def parked(self) -> int:
        return len(self.cluster.letters(PARKED))

    @property
    def accepted(self) -> Counter[str]:
        return Counter(post.webhook_id for post in self.sender.accepted)

    @property
    def backlog(self) -> BacklogNews:
        """What the board says of it."""
        key = b"backlog/acme"
        news = decode_news(key, self.topic.newest[key])
        assert isinstance(news, BacklogNews)
        return news

    async def until_replayed(self) -> None:
        await self.until(lambda: self.backlog.is_done, "the backlog is replayed")
        await asyncio.sleep(5)  # the tier's delay

    def check_books(self) -> None:
        assert self.first.problems() == []
        assert self.second.problems() == []


@virtual
async def test_workers_that_learn_of_pause_and_resume_seconds_apart_leave_nothing_behind() -> None:
    two = Two()
    await asyncio.sleep(3)
    two.produce(10)
    await two.pause(apart_s=4)
    two.produce(10)
    await asyncio.sleep(4)
    two.produce(10)
    await two.resume(apart_s=4)
    two.produce(10)

    await two.until_replayed()

    assert two.accepted == Counter(two.accepted.keys())
    assert len(two.accepted) == 80
    assert two.parked >= 20
    assert sum(two.backlog.cursor.values()) == two.parked
    two.check_books()


@virtual
async def test_while_one_worker_still_parks_nothing_is_replayed() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(5)

    two.first.worker.view([ACME], TIERS)
    await asyncio.sleep(30)
    before = len(two.accepted)
    two.second.worker.view([ACME], TIERS)
    await two.until_replayed()

    assert before == 0
    assert len(two.accepted) == 10


@virtual
async def test_a_worker_that_dies_while_it_parks_holds_the_replay_up_for_seconds_only() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(5)
    await asyncio.sleep(2)  # and committed

    await two.second.kill()
    two.first.source.assign(SOURCES[1])
    two.first.worker.view([ACME], TIERS)
    await asyncio.sleep(3)
    before = len(two.accepted)
    await two.until_replayed()

    assert before == 0
    assert len(two.accepted) == 10


@virtual
async def test_when_the_leader_dies_in_the_middle_the_next_goes_on_from_the_cursor() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(3_000)
    await two.resume()
    await two.until(lambda: sum(two.backlog.cursor.values()) >= 2_000, "a third is replayed")

    await two.first.kill()
    cursor = dict(two.backlog.cursor)
    two.second.source.assign(SOURCES[0])
    two.second.tier_source.assign(*TIER_PARTITIONS)
    await two.until_replayed()

    assert two.second.letters.reads[0][1] >= min(cursor.values())
    assert set(two.accepted) == {f"post_created-{p}-{n}" for p in (0, 1) for n in range(3_000)}
    assert two.second.problems() == []


@virtual
async def test_a_worker_that_stops_in_the_middle_gives_back_what_it_has_not_written() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(3_000)
    await two.resume()
    await two.until(lambda: sum(two.backlog.cursor.values()) >= 2_000, "a third is replayed")

    await two.first.worker.stop()
    two.second.source.assign(SOURCES[0])
    two.second.tier_source.assign(*TIER_PARTITIONS)
    await two.until_replayed()

    assert two.first.letters.is_closed
    assert len(two.accepted) == 6_000
    two.check_books()


@virtual
async def test_paused_again_in_the_middle_the_rest_stays_at_its_cursor() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(3_000)
    await two.resume()
    await two.until(lambda: sum(two.backlog.cursor.values()) >= 2_000, "a third is replayed")

    await two.pause(apart_s=2)
    await asyncio.sleep(30)
    cursor = sum(two.backlog.cursor.values())
    accepted = len(two.accepted)
    await two.resume(apart_s=2)
    await two.until_replayed()

    assert 2_000 <= cursor < 6_000
    assert accepted <= cursor
    assert len(two.accepted) == 6_000
    two.check_books()


@virtual
async def test_each_time_it_is_paused_what_is_parked_then_is_replayed() -> None:
    two = Two()
    await asyncio.sleep(3)

    for _ in range(3):
        await two.pause(apart_s=1)
        two.produce(10)
        await asyncio.sleep(3)
        await two.resume(apart_s=2)
        await two.until_replayed()

    assert two.accepted == Counter(two.accepted.keys())
    assert len(two.accepted) == 60
    assert two.backlog.openings == 6
    two.check_books()


@virtual
async def test_a_done_that_is_out_of_date_closes_nothing() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(5)
    late = BacklogNews(subscription_id="acme", at_ms=0, openings=1, topic_id="", cursor={0: 0}, is_done=True)

    two.topic.append(*encode(late))
    await asyncio.sleep(2)
    held = two.backlog
    await two.resume()
    await two.until_replayed()

    assert (held.openings, held.is_done) == (2, False)
    assert len(two.accepted) == 10


@virtual
async def test_a_done_by_one_who_has_not_heard_that_we_park_is_opened_again() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(5)
    done = BacklogNews(subscription_id="acme", at_ms=0, openings=9, topic_id="", cursor={}, is_done=True)

    two.topic.append(*encode(done))
    await asyncio.sleep(2)
    two.produce(5)
    await asyncio.sleep(5)
    await two.resume()
    await two.until_replayed()

    assert len(two.accepted) == 20


@virtual
async def test_what_is_paused_itself_or_unknown_here_stays_where_it_is() -> None:
    two = Two()
    other = subscription("other", ladder_ms=TIERS, paused=True)
    for world in (two.first, two.second):
        world.worker.view([PAUSED, other], TIERS)
    await asyncio.sleep(3)
    two.produce(5)
    await two.until(lambda: two.parked == 20, "all of it is parked")

    for world in (two.first, two.second):
        world.worker.view([ACME, other], TIERS)
    await two.until_replayed()
    acme = two.first.accepted("acme")
    for world in (two.first, two.second):
        world.worker.view([ACME], TIERS)
    await asyncio.sleep(30)

    assert (acme, two.first.accepted("other")) == (10, 0)
    assert not two.first.worker.knowledge.backlogs["other"].is_done


@virtual
async def test_subscriptions_resumed_together_are_replayed_in_one_pass() -> None:
    two = Two()
    names = ("s1", "s2", "s3")
    for world in (two.first, two.second):
        world.worker.view([subscription(one, ladder_ms=TIERS, paused=True) for one in names], TIERS)
    await asyncio.sleep(3)
    two.produce(5)
    await two.until(lambda: two.parked == 30, "all of it is parked")

    for world in (two.first, two.second):
        world.worker.view([subscription(one, ladder_ms=TIERS) for one in names], TIERS)
    await asyncio.sleep(10)

    assert [two.first.accepted(one) for one in names] == [10, 10, 10]
    assert len(two.first.letters.reads) == len(set(two.first.letters.reads))


@virtual
async def test_a_live_worker_whose_news_cannot_be_read_may_park_for_anybody() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(5)

    await two.resume()
    for _ in range(20):
        two.topic.append(b"worker/x", b'{"v":2}')
        await asyncio.sleep(1)
    before = len(two.accepted)
    await two.until_replayed()

    assert before == 0
    assert len(two.accepted) == 10


# ── its pace ────────────────────────────────────────────────────────────────────────────────────


@virtual
async def test_no_more_than_two_thousand_a_second_are_replayed() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(3_000)

    await two.resume()
    await two.until_replayed()

    times = sorted(letter.timestamp_ms for letter in two.cluster.topics[TIER_PARTITIONS[0].topic][0])
    assert len(times) == 6_000
    assert all(late - early >= 950 for early, late in zip(times, times[2_000:], strict=False))


@virtual
async def test_no_more_than_five_hundred_are_unacknowledged_and_all_go_on_when_the_broker_is_back() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(1_000)
    two.cluster.write_faults_by_topic[TIER_PARTITIONS[0].topic] = NotWritten("passing", "the broker is away")

    await two.resume()
    await asyncio.sleep(60)
    unacknowledged = two.first.worker.in_hand().records
    two.check_books()
    two.cluster.write_faults_by_topic.clear()
    await two.until_replayed()
    await asyncio.sleep(10)

    assert 100 <= unacknowledged <= 500
    assert len(two.accepted) == 2_000
    two.check_books()


@virtual
async def test_no_more_than_sixteen_mebibytes_are_unacknowledged() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.pause()
    await asyncio.sleep(1)
    for n in range(60):
        two.cluster.append("post.created", b"1" * 900_000, partition=n % 2)
    await two.until(lambda: two.parked == 60, "all of it is parked")
    two.cluster.write_faults_by_topic[TIER_PARTITIONS[0].topic] = NotWritten("passing", "the broker is away")

    await two.resume()
    await asyncio.sleep(60)
    unacknowledged = two.first.worker.in_hand().records
    two.check_books()
    two.cluster.write_faults_by_topic.clear()
    await two.until_replayed()
    await asyncio.sleep(10)

    assert unacknowledged == (16 << 20) // 900_000
    assert len(two.accepted) == 60
    two.check_books()


@virtual
async def test_a_process_that_is_full_replays_nothing_until_it_has_room() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(500)
    two.first.behave("acme", replies(200, after_s=0.4))
    in_hand = [0]

    def is_accepted() -> bool:
        in_hand.append(two.first.worker.in_hand().deliveries)
        return len(two.accepted) == 1_000

    await two.resume()
    await two.until(is_accepted, "all is accepted")

    assert max(in_hand) <= LIMITS.dispatch.in_hand_max + 100


# ── trouble ─────────────────────────────────────────────────────────────────────────────────────


@virtual
async def test_a_topic_that_cannot_be_read_is_told_once_and_read_when_it_can() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(5)
    two.cluster.is_unreadable = True

    await two.resume()
    await asyncio.sleep(30)
    two.cluster.is_unreadable = False
    await two.until_replayed()

    told = two.first.log.said("the parked topic cannot be read; trying again")
    assert told == [{"why": "the brokers are down"}]
    assert len(two.accepted) == 10


@virtual
async def test_a_log_that_was_cut_is_replayed_from_its_start_counted_and_told() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.pause()
    await asyncio.sleep(1)
    await two.resume()
    await two.until_replayed()
    await two.park(700)
    for partition in range(3):
        two.cluster.log_starts[TopicPartition(PARKED, partition)] = 100

    await two.resume()
    await two.until_replayed()

    assert len(two.accepted) == 1_100
    assert two.first.worker.accounts.offsets_lost == 300
    assert [one["from_offset"] for one in two.first.log.said("position moved")] == [0, 0, 0]
    two.check_books()


@virtual
async def test_a_cursor_beyond_the_end_is_of_another_log() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(5)
    news = BacklogNews(
        subscription_id="acme", at_ms=0, openings=2, topic_id="", cursor={0: 99, 1: 99, 2: 99},
        is_done=False,
    )
    two.topic.append(*encode(news))

    await two.resume()
    await two.until_replayed()

    assert len(two.accepted) == 10
    assert two.first.worker.accounts.jumps["recreated"] == 3
    assert two.first.worker.accounts.offsets_lost == 0


@virtual
async def test_records_that_are_no_letters_are_passed_over_counted_and_told() -> None:
    two = Two()
    await asyncio.sleep(3)
    two.cluster.append(PARKED, b"stray", partition=0)
    two.cluster.append(PARKED, b"odd", partition=0, headers=[("webhook.subscription-id", b"\xff")])
    two.cluster.append(PARKED, b"late", partition=0, headers=[("webhook.subscription-id", b"acme")])
    await two.pause()
    await asyncio.sleep(1)
    two.produce(5)
    await two.until(lambda: two.parked == 13, "all of it is parked")

    await two.resume()
    await two.until_replayed()

    assert len(two.accepted) == 10
    assert two.first.worker.accounts.letters_unreadable == 3
    (told,) = two.first.log.said("records of the parked topic that are no letters are passed over")
    assert told["count"] == 3
    assert told["first"].startswith("webhooks.parked[0]@0: The header 'webhook.v' is missing")
    assert two.parked == 13
    two.check_books()


def _of_another_version(two: Two, headers: Headers) -> Record:
    return two.cluster.append(PARKED, b"1", partition=0, headers=[("webhook.v", b"2"), *headers])


@virtual
async def test_a_letter_of_another_version_stops_the_replay_there_and_is_told_once() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(20)
    two.cluster.partitions[PARKED] = 1
    unread = _of_another_version(two, [("webhook.subscription-id", b"acme")])
    two.cluster.partitions[PARKED] = 3
    before = two.cluster.topics[PARKED][0][: unread.offset]
    two.produce(20)
    await two.until(lambda: two.parked == 81, "more is parked behind it")

    await two.resume()
    await asyncio.sleep(300)

    behind = len(two.cluster.topics[PARKED][0]) - unread.offset - 1
    assert before
    assert behind > 0
    assert len(two.accepted) == 80 - behind
    assert two.backlog.cursor[0] == unread.offset
    assert not two.backlog.is_done
    assert two.first.worker.accounts.letters_unreadable == 1
    (told,) = two.first.log.said("a parked letter cannot be read; its replay waits there")
    assert told == {
        "subscription": "acme",
        "letter": str(unread),
        "why": "The headers are of version b'2'; this release reads version 1.",
    }
    assert len(two.first.log.said("replaying what was parked")) == 1
    two.check_books()


@virtual
async def test_once_a_version_leads_that_can_read_it_the_rest_is_replayed() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(20)
    log = two.cluster.topics[PARKED][0]
    letter = log[1]
    log[1] = replace(letter, headers=tuple((n, b"2" if n == "webhook.v" else v) for n, v in letter.headers))
    await two.resume()
    await asyncio.sleep(60)
    before = len(two.accepted)

    log[1] = letter  # as a later release would see it
    await two.until_replayed()

    assert before == 40 - len(log) + 1
    assert len(two.accepted) == 40
    assert two.accepted == Counter(two.accepted.keys())


@virtual
async def test_what_one_cannot_have_read_holds_up_no_other() -> None:
    two = Two()
    names = ("acme", "other")
    for world in (two.first, two.second):
        world.worker.view([subscription(one, ladder_ms=TIERS, paused=True) for one in names], TIERS)
    await asyncio.sleep(3)
    _of_another_version(two, [("webhook.subscription-id", b"acme")])
    two.produce(20)
    await two.until(lambda: two.parked == 81, "all of it is parked")

    for world in (two.first, two.second):
        world.worker.view([subscription(one, ladder_ms=TIERS) for one in names], TIERS)
    await two.until(lambda: two.first.worker.knowledge.backlogs["other"].is_done, "the other is replayed")
    await asyncio.sleep(5)

    assert two.first.accepted("other") == 40
    assert 0 < two.first.accepted("acme") < 40
    assert not two.backlog.is_done


@virtual
async def test_a_letter_that_does_not_say_whose_it_is_stops_everybody_there() -> None:
    two = Two()
    await asyncio.sleep(3)
    _of_another_version(two, [])
    await two.pause()
    await asyncio.sleep(1)
    two.produce(20)
    await two.until(lambda: two.parked == 41, "all of it is parked")

    await two.resume()
    await asyncio.sleep(60)

    assert two.backlog.cursor[0] == 0
    assert not two.backlog.is_done
    assert len(two.accepted) == 41 - len(two.cluster.topics[PARKED][0])
    assert two.first.worker.accounts.letters_unreadable == 1


@virtual
async def test_a_topic_made_anew_is_replayed_from_its_start_whatever_the_cursor_says() -> None:
    two = Two()
    two.cluster.topic_ids[PARKED] = "first"
    await asyncio.sleep(3)
    await two.park(20)
    await two.resume()
    await two.until_replayed()
    told = two.backlog

    two.cluster.topics[PARKED].clear()
    two.cluster.topic_ids[PARKED] = "second"
    await two.park(60)
    await two.resume()
    await two.until_replayed()

    assert told.topic_id == "first"
    assert two.backlog.topic_id == "second"
    assert len(two.accepted) == 160
    assert two.first.worker.accounts.jumps["recreated"] == 3
    assert two.first.worker.accounts.offsets_lost == 0
    assert [one["to_offset"] for one in two.first.log.said("position moved")] == [0, 0, 0]


# ── of whom nobody hears any more ───────────────────────────────────────────────────────────────


@virtual
async def test_what_is_parked_for_a_subscription_that_was_removed_becomes_dead_after_the_grace() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(5)

    for world in (two.first, two.second):
        world.worker.view([subscription("other", ladder_ms=TIERS)], TIERS)
    await asyncio.sleep(UNHEARD_GRACE_MS / 1_000 - 10)
    before = len(two.cluster.letters(dead_letters_topic(PREFIX)))
    await asyncio.sleep(15)

    dead = [decode(letter.headers) for letter in two.cluster.letters(dead_letters_topic(PREFIX))]
    assert before == 0
    assert [one.trail.reason for one in dead if isinstance(one, Decoded)] == ["deleted"] * 10
    assert two.backlog.is_done
    assert two.first.worker.accounts.dead["deleted"] == 10
    (told,) = two.first.log.said("a subscription is gone for which something may lie parked")
    assert told["subscription"] == "acme"
    two.check_books()


@virtual
async def test_a_subscription_that_comes_back_within_the_grace_gets_what_was_parked() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(5)

    for _ in range(2):
        for world in (two.first, two.second):
            world.worker.view([], TIERS)
        await asyncio.sleep(UNHEARD_GRACE_MS / 1_000 - 10)
        await two.pause()
        await asyncio.sleep(5)
    await two.resume()
    await two.until_replayed()

    assert len(two.accepted) == 10
    assert two.first.worker.accounts.dead == {}


@virtual
async def test_one_that_comes_back_while_its_letters_become_dead_gets_the_rest() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(3_000)
    for world in (two.first, two.second):
        world.worker.view([], TIERS)
    await asyncio.sleep(UNHEARD_GRACE_MS / 1_000 - 10)
    await two.until(lambda: two.cluster.letters(dead_letters_topic(PREFIX)), "it is given up")

    await two.resume()
    await two.until_replayed()

    dead = len(two.cluster.letters(dead_letters_topic(PREFIX)))
    assert 0 < dead < 3_000
    assert len(two.accepted) == 6_000 - dead
    two.check_books()


# ── the end ─────────────────────────────────────────────────────────────────────────────────────


@virtual
async def test_a_log_that_does_not_answer_holds_the_stop_up_no_longer_than_its_budget() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(5)
    two.first.letters.latency_s = 3_600.0
    await two.resume()
    await asyncio.sleep(3)
    began_ms = two.cluster.clock.monotonic_ms()

    await two.first.worker.stop()

    assert two.cluster.clock.monotonic_ms() - began_ms <= LIMITS.stop_budget_ms + 1_000
    assert len(two.first.log.said("the parked topic's reader did not stop in time")) == 1
    assert two.first.letters.is_closed
    two.check_books()


@virtual
async def test_in_a_hurry_a_read_under_way_is_broken_off() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(5)
    two.first.letters.latency_s = 3_600.0
    await two.resume()
    await asyncio.sleep(3)
    stopping = asyncio.ensure_future(two.first.worker.stop())
    await asyncio.sleep(0.1)
    began_ms = two.cluster.clock.monotonic_ms()

    two.first.worker.hurry()
    await stopping

    assert two.cluster.clock.monotonic_ms() - began_ms <= 1_000
    assert two.first.letters.is_closed
    two.check_books()


# ── what becomes of a letter ────────────────────────────────────────────────────────────────────


@virtual
async def test_a_pause_is_not_the_receivers_fault_the_age_of_a_delivery_stands_still() -> None:
    two = Two()
    await asyncio.sleep(3)
    two.first.behave("acme", replies(500))
    two.cluster.append("post.created", b"1", partition=0)
    await asyncio.sleep(0.5)
    await two.pause()
    await two.until(lambda: two.parked == 1, "it is parked when it is due")
    (parked,) = two.cluster.letters(PARKED)
    before = decode(parked.headers)
    assert isinstance(before, Decoded)

    await asyncio.sleep(600)
    await two.resume()
    await two.until(lambda: len(two.cluster.topics[TIER_PARTITIONS[0].topic][0]) == 2, "it is replayed")

    letter = two.cluster.topics[TIER_PARTITIONS[0].topic][0][1]
    after = decode(letter.headers)
    assert isinstance(after, Decoded)
    lay_ms = letter.timestamp_ms - parked.timestamp_ms
    assert lay_ms > 600_000
    assert abs(after.trail.first_attempt_ms - before.trail.first_attempt_ms - lay_ms - 1_000) <= 2
    assert (after.trail.attempt, after.trail.hop) == (1, 2)


@virtual
async def test_what_was_never_tried_has_no_age_yet() -> None:
    two = Two()
    await asyncio.sleep(3)
    await two.park(1)

    await asyncio.sleep(600)
    await two.resume()
    await two.until_replayed()

    for letter in two.cluster.topics[TIER_PARTITIONS[0].topic][0]:
        read = decode(letter.headers)
        assert isinstance(read, Decoded)
        assert (read.trail.first_attempt_ms, read.trail.attempt, read.trail.hop) == (0, 0, 1)


@virtual
async def test_alone_a_worker_replays_too() -> None:
    world = World.new(limits=limits())
    world.start([PAUSED])
    await asyncio.sleep(1)
    world.fill(10)
    await asyncio.sleep(3)
    parked = len(world.cluster.letters(PARKED))

    world.worker.view([ACME], TIERS)
    await asyncio.sleep(10)

    assert parked == 10
    assert world.accepted("acme") == 10
    assert world.problems() == []
