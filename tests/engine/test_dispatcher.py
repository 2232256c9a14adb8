"""Deliveries through the dispatcher: bounds, fan-out, and where each goes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from connector.core.dialect import DIALECTS
from connector.core.event import Event
from connector.core.headers import Decoded, decode
from connector.core.outcome import Failure, Reply
from connector.engine.ports import NotWritten
from tests.support.virtual_time import UNIX_AT_START_MS, virtual
from tests.support.world import POSTS, Post, World, hangs, limits, replies, subscription


@virtual
async def test_posts_under_way_are_bounded_for_the_process():
    world = World.new(limits=limits(dispatch={"in_flight_max": 5}))
    world.fill(50)
    subscriptions = [subscription("a"), subscription("b")]

    world.start(subscriptions)
    await asyncio.sleep(5)

    assert world.sender.in_flight_max == 5
    assert world.accepted("a") == world.accepted("b") == 50


@virtual
async def test_posts_under_way_are_bounded_for_a_subscription():
    world = World.new()
    world.fill(50)

    world.start([subscription("a", in_flight_max=3)])
    await asyncio.sleep(5)

    assert world.sender.in_flight_max == 3
    assert world.accepted("a") == 50


@virtual
async def test_deliveries_in_hand_are_bounded_for_the_process():
    world = World.new(limits=limits(dispatch={"in_hand_max": 10}))
    world.behave("a", hangs)
    world.fill(50)

    world.start([subscription("a", in_flight_max=8)])
    await asyncio.sleep(0.5)

    assert world.worker.in_hand().deliveries == 10


@virtual
async def test_letters_that_cannot_be_written_count_as_in_hand():
    world = World.new(limits=limits(dispatch={"in_hand_max": 10}))
    world.behave("a", replies(500))
    world.cluster.write_faults_by_topic["webhooks.retry.5s"] = NotWritten("passing", "the broker is away")
    world.fill(50)

    world.start([subscription("a")])
    await asyncio.sleep(30)
    assert world.worker.accounts.deliveries_taken == 10
    world.cluster.write_faults_by_topic.clear()
    world.behave("a", replies(200))
    await asyncio.sleep(60)

    assert world.committed(POSTS) == 50
    assert world.problems() == []


@virtual
async def test_a_record_with_more_deliveries_than_there_is_room_for_is_taken_whole():
    world = World.new(limits=limits(dispatch={"in_hand_max": 5}))
    world.fill(3)

    world.start([subscription(f"s{n}") for n in range(20)])
    await asyncio.sleep(2)

    assert len(world.sender.accepted) == 60


@virtual
async def test_nineteen_of_twenty_are_unaffected_by_one_that_hangs():
    world = World.new(limits=limits(dispatch={"in_flight_max": 500, "in_hand_max": 2_000}))
    world.behave("s0", hangs)
    world.fill(500)

    world.start([subscription(f"s{n}") for n in range(20)])
    await asyncio.sleep(3)

    assert [world.accepted(f"s{n}") for n in range(1, 20)] == [500] * 19


@virtual
async def test_room_made_by_one_of_several_deliveries_wakes_the_pumps():
    world = World.new(limits=limits(dispatch={"in_hand_max": 40, "wait_max_ms": 60_000}))
    world.behave("s0", hangs)
    world.fill(30)

    world.start([subscription(f"s{n}", in_flight_max=30) for n in range(20)])
    await asyncio.sleep(0.2)

    assert world.accepted("s1") == 30


@virtual
async def test_what_has_waited_too_long_is_diverted():
    world = World.new()
    world.behave("a", replies(200, after_s=6))
    world.fill(2)

    world.start([subscription("a", in_flight_max=1)])
    await asyncio.sleep(8)

    assert world.worker.accounts.diverted == {"waited too long": 1}
    assert world.problems() == []


@virtual
async def test_where_nothing_moves_only_as_many_wait_as_there_are_places():
    world = World.new()
    world.behave("a", hangs)
    world.fill(50)

    world.start([subscription("a", in_flight_max=2)])
    await asyncio.sleep(3)

    assert world.worker.dispatcher.queued == 2
    assert world.worker.accounts.diverted == {"full lane": 46}
    assert len(world.cluster.letters("webhooks.retry.5m")) == 46
    assert world.problems() == []


@virtual
async def test_a_body_over_the_limit_is_a_dead_letter_at_once():
    world = World.new()
    world.cluster.append("post.created", b'"' + b"x" * 300 + b'"')

    world.start([subscription("a", body_bytes_max=200)])
    await asyncio.sleep(2)

    assert world.worker.accounts.dead == {"oversize": 1}
    assert world.sender.posts == []
    assert world.committed(POSTS) == 1


@virtual
async def test_gone_is_a_dead_letter_at_once():
    world = World.new()
    world.behave("a", replies(410))
    world.fill(1)

    world.start([subscription("a", dialect=replace(DIALECTS["webhooks-v1"], gone_is_final=True))])
    await asyncio.sleep(60)

    assert world.worker.accounts.dead == {"gone": 1}
    assert len(world.sender.posts) == 1


@virtual
async def test_a_fault_of_our_own_counts_no_attempt():
    world = World.new()
    world.behave("a", lambda _: (0.001, Failure("resources", "no descriptors")))
    world.behave("b", lambda _: (0.001, Failure("proxy", "the egress proxy is down")))
    world.fill(1)
    world.start([subscription("a", ladder_ms=(5_000,)), subscription("b", ladder_ms=(5_000,))])
    await asyncio.sleep(60)

    world.behave("a", replies(200))
    world.behave("b", replies(200))
    await asyncio.sleep(60)

    assert (world.accepted("a"), world.accepted("b")) == (1, 1)
    assert world.worker.accounts.dead == {}


@virtual
async def test_a_fault_that_may_be_feigned_as_ours_counts_after_ten_in_a_row():
    world = World.new()
    feigned = Failure("proxy", "the egress proxy fails", is_doubtful=True, reply=Reply(502))
    world.behave("a", lambda _: (0.001, feigned))
    world.fill(1)

    world.start([subscription("a", ladder_ms=(5_000,))])
    await asyncio.sleep(1_000)

    assert world.worker.accounts.dead == {"exhausted": 1}
    assert len(world.sender.posts) == 22


@virtual
async def test_what_a_proxy_seems_to_say_of_retry_after_holds_its_lane_too():
    world = World.new()
    busy = Reply(503, retry_after=b"120")
    failure = Failure("proxy", "the egress proxy is busy", is_doubtful=True, reply=busy)
    world.behave("a", lambda _: (0.001, failure))
    world.fill(1)
    world.start([subscription("a")])
    await asyncio.sleep(1)

    world.fill(10)
    await asyncio.sleep(110)

    assert len(world.sender.posts) == 1


@virtual
async def test_a_paused_subscription_is_parked():
    world = World.new()
    world.fill(3)

    world.start([subscription("a", paused=True), subscription("b")])
    await asyncio.sleep(2)

    assert len(world.cluster.letters("webhooks.parked")) == 3
    assert world.accepted("b") == 3
    assert world.committed(POSTS) == 3


@virtual
async def test_pausing_parks_what_waits_and_lets_go_on_what_is_in_flight():
    world = World.new()
    world.behave("a", replies(200, after_s=2))
    world.fill(5)
    world.start([subscription("a", in_flight_max=2)])
    await asyncio.sleep(0.5)

    world.worker.view([subscription("a", in_flight_max=2, paused=True)], [5_000])
    await asyncio.sleep(12)  # by a tier: before it is parked, all must know that there will be something

    assert world.accepted("a") == 2
    assert len(world.cluster.letters("webhooks.parked")) == 3
    assert world.problems() == []


@virtual
async def test_what_waits_for_a_removed_subscription_goes_to_a_tier():
    world = World.new()
    world.behave("a", replies(200, after_s=2))
    world.fill(5)
    world.start([subscription("a", in_flight_max=2)])
    await asyncio.sleep(0.5)

    world.worker.view([], [5_000])
    await asyncio.sleep(3)

    assert world.accepted("a") == 2
    assert world.worker.accounts.diverted["subscription removed"] == 3
    assert world.problems() == []


@virtual
async def test_a_change_of_url_is_used_by_the_next_attempt():
    world = World.new()
    world.behave("a", replies(500))
    world.fill(1)
    world.start([subscription("a")])
    await asyncio.sleep(1)

    world.worker.view([subscription("a", url="https://new.example/hooks")], [5_000, 30_000, 300_000])
    await asyncio.sleep(10)

    assert world.accepted("new") == 1


@virtual
async def test_an_abandoned_post_that_is_accepted_all_the_same_is_one_duplicate():
    world = World.new()
    world.behave("slow", replies(200, after_s=4))
    world.behave("well", replies(200))
    world.fill(1)
    world.start([subscription("slow"), subscription("well")])
    await asyncio.sleep(0.5)

    await world.source.revoke(POSTS, budget_ms=3_000)
    await asyncio.sleep(20)

    assert world.accepted("slow") == 2
    assert world.worker.accounts.late_answers == 1
    assert world.problems() == []


@virtual
async def test_a_body_that_differs_from_the_first_attempts_is_counted():
    world = World.new()
    world.behave("a", replies(500))
    world.fill(1)
    world.start([subscription("a")])
    await asyncio.sleep(2)

    world.decoder.outcomes[b"1"] = Event("post.created", "post_created-0-0", 0, 3, b"2")
    await asyncio.sleep(10)

    assert world.worker.accounts.bodies_changed == 1


@virtual
async def test_a_step_of_the_clock_is_followed_at_the_next_look():
    world = World.new()
    world.behave("a", replies(500))
    world.start([subscription("a")])
    await asyncio.sleep(1)

    world.cluster.clock.skew_ms = 3_600_000
    await asyncio.sleep(0.3)
    world.fill(1)
    await asyncio.sleep(1)

    letter = decode(world.cluster.tier_letters()[0].headers)
    assert isinstance(letter, Decoded)
    assert letter.trail.first_attempt_ms >= UNIX_AT_START_MS + 3_600_000 + 1_300


@virtual
async def test_how_long_an_attempt_took_is_told_right_when_the_clock_steps_meanwhile():
    world = World.new()
    world.behave("a", replies(503, after_s=0.2))
    world.fill(1)
    world.start([subscription("a")])
    await asyncio.sleep(0.1)

    world.cluster.clock.skew_ms = -60_000
    await asyncio.sleep(0.3)

    assert [said["took_ms"] for said in world.log.said("attempt failed")] == [200]


@virtual
async def test_lanes_take_turns_for_the_places_of_the_process():
    world = World.new(limits=limits(dispatch={"in_flight_max": 2, "in_hand_max": 1_000}))
    order: list[str] = []

    def note(post: Post):
        order.append(post.url[8])
        return replies(200)(post)

    world.behave("a", note)
    world.behave("b", note)
    world.fill(50)

    world.start([subscription("a"), subscription("b")])
    await asyncio.sleep(2)

    assert abs(order[:40].count("a") - order[:40].count("b")) <= 2


@virtual
async def test_a_retry_after_that_comes_too_late_for_its_letter_is_honoured_by_the_lane():
    world = World.new(limits=limits(flow={"window_records_max": 20}))
    world.behave("quick", replies(200))
    world.behave("slow", replies(429, after_s=15, retry_after=b"3600"))
    for number in range(30):
        world.cluster.append("post.created", b"%d" % number)

    world.start([subscription("quick"), subscription("slow", in_flight_max=4, queue_max=4)])
    await asyncio.sleep(1_800)

    posts = sorted(post.at_ms for post in world.sender.posts if "slow" in post.url)
    first_answer_ms = posts[0] + 15_000
    assert [at_ms for at_ms in posts if first_answer_ms + 30_000 < at_ms < first_answer_ms + 1_700_000] == []
