"""The pump's bounds: windows, grants, and who may go on when one partition cannot."""

from __future__ import annotations

import asyncio

from connector.core.event import Decoded, Event
from connector.core.headers import encode
from connector.core.record import Record
from connector.core.topic_names import tier_topic
from connector.core.trail import Origin, Trail
from connector.engine.ports import TopicPartition
from tests.support.fake_kafka import PREFIX
from tests.support.virtual_time import VirtualLoop, virtual
from tests.support.world import (
    POSTS,
    FakeDecoder,
    World,
    hangs,
    limits,
    replies,
    subscription,
)

FRIENDS = TopicPartition("friend.added", 0)


def window(world: World, tp: TopicPartition) -> tuple[int, int, int]:
    """Records in the window, unsettled bytes, and records fetched and not admitted."""
    flow = next(flow for flow in world.worker.pumps[0].flows if flow.tp == tp)
    return flow.ledger.window, flow.ledger.open_bytes, len(flow.carry)


@virtual
async def test_a_window_is_bounded_in_records():
    world = World.new(limits=limits(flow={"window_records_max": 10}))
    world.behave("a", hangs)
    world.fill(30)

    world.start([subscription("a")])
    await asyncio.sleep(0.2)

    assert window(world, POSTS) == (10, 10, 20)
    assert world.problems() == []


@virtual
async def test_a_window_is_bounded_in_bytes():
    world = World.new(limits=limits(flow={"window_bytes_max": 100}))
    world.behave("a", hangs)
    for _ in range(5):
        world.cluster.append("post.created", b"x" * 40)

    world.start([subscription("a")])
    await asyncio.sleep(0.2)

    assert window(world, POSTS) == (2, 80, 3)


@virtual
async def test_a_record_larger_than_the_window_is_taken_alone():
    world = World.new(limits=limits(flow={"window_bytes_max": 100}))
    world.behave("a", replies(200, after_s=1))
    world.cluster.append("post.created", b"1")
    world.cluster.append("post.created", b"x" * 500)
    world.cluster.append("post.created", b"1")

    world.start([subscription("a")])
    await asyncio.sleep(0.5)
    assert window(world, POSTS) == (1, 1, 2)
    await asyncio.sleep(1)
    assert window(world, POSTS) == (1, 500, 1)
    await asyncio.sleep(2)

    assert world.accepted("a") == 3


@virtual
async def test_no_more_than_two_batches_are_asked_for_ahead():
    world = World.new()

    world.start([subscription("a")])
    await asyncio.sleep(1)

    assert world.source.grants == 2


@virtual
async def test_nothing_is_fetched_while_there_is_no_room():
    world = World.new(limits=limits(dispatch={"in_hand_max": 4}))
    world.source.batch_max = 10
    world.behave("a", replies(200, after_s=3))
    world.fill(100)

    world.start([subscription("a", in_flight_max=1)])
    await asyncio.sleep(0.5)

    assert world.source.position[POSTS] <= 20
    assert world.worker.in_hand().deliveries == 4


@virtual
async def test_a_partition_that_goes_on_is_never_paused():
    world = World.new(limits=limits(flow={"window_records_max": 50}))
    world.behave("a", replies(200, after_s=0.05))
    world.fill(1_000)

    world.start([subscription("a", in_flight_max=50)])
    await asyncio.sleep(5)

    assert world.accepted("a") == 1_000
    assert world.source.pauses == 0


@virtual
async def test_a_full_window_is_paused_and_the_other_partitions_go_on():
    world = World.new(limits=limits(flow={"window_records_max": 10}))
    world.behave("stuck", hangs)
    world.fill(100)
    subscriptions = [
        subscription("stuck", events=("post.created",), in_flight_max=20),
        subscription("well", events=("friend.added",)),
    ]

    world.start(subscriptions, [POSTS, FRIENDS])
    await asyncio.sleep(1)
    world.fill(1_000, "friend.added")
    await asyncio.sleep(0.5)

    assert world.source.paused == {POSTS}
    assert world.accepted("well") == 1_000


@virtual
async def test_a_paused_partition_is_resumed_once_it_has_been_worked_off():
    world = World.new(limits=limits(flow={"window_records_max": 10}))
    world.behave("a", hangs)
    world.fill(50)
    world.start([subscription("a", in_flight_max=20, timeout_ms=3_000)])
    await asyncio.sleep(2)
    assert world.source.paused == {POSTS}

    world.behave("a", replies(200))
    await asyncio.sleep(30)
    world.cluster.append("post.created", b"1")
    await asyncio.sleep(3)

    assert world.source.paused == set()
    assert world.committed(POSTS) == 51


@virtual
async def test_a_partition_paused_late_in_its_last_epoch_is_not_silent_in_the_next():
    world = World.new()
    world.start([subscription("a")])
    await world.source.revoke(POSTS)
    world.source.pause(POSTS)  # asked for before, obeyed after

    world.cluster.append("post.created", b"1")
    world.source.assign(POSTS)
    await asyncio.sleep(1)

    assert world.accepted("a") == 1


@virtual
async def test_a_stuck_partition_that_leaves_lets_the_others_go_on():
    world = World.new(limits=limits(flow={"window_records_max": 10}))
    world.behave("stuck", hangs)
    world.fill(2_000)
    subscriptions = [
        subscription("stuck", events=("post.created",), in_flight_max=10),
        subscription("well", events=("friend.added",)),
    ]
    world.start(subscriptions, [POSTS, FRIENDS])
    await asyncio.sleep(0.1)
    world.cluster.append("friend.added", b"1")

    world.source.lose(POSTS)
    await asyncio.sleep(0.1)

    assert world.accepted("well") == 1
    assert world.problems() == []


@virtual
async def test_what_holds_up_a_full_window_is_diverted_when_it_is_few():
    world = World.new(limits=limits(flow={"window_records_max": 100}))
    world.behave("stuck", hangs)
    world.decoder.outcomes[b"odd"] = Event("odd.one", "odd", 0, 3, b"1")
    world.cluster.append("post.created", b"odd")
    world.fill(500)

    world.start([subscription("stuck", events=("odd.one",)), subscription("well", events=("post.created",))])
    await asyncio.sleep(3)

    assert world.accepted("well") == 500
    assert world.worker.accounts.diverted["head of line"] == 1


@virtual
async def test_a_few_that_hang_never_keep_the_rest_of_a_busy_partition_waiting():
    world = World.new(limits=limits(flow={"window_records_max": 1_000}))
    world.behave("stuck", hangs)
    world.behave("well", replies(200, after_s=0.005))
    world.decoder.outcomes[b"odd"] = Event("odd.one", "odd", 0, 3, b"1")
    world.cluster.append("post.created", b"odd")
    stuck = subscription("stuck", events=("odd.one",), timeout_ms=3_000)
    world.start([stuck, subscription("well", events=("post.created",))])
    await asyncio.sleep(4)  # it is known to fail now

    for _ in range(20):
        world.cluster.append("post.created", b"odd")
        world.fill(200)
    await asyncio.sleep(4)

    assert world.accepted("well") == 4_000
    assert world.source.pauses == 0
    assert world.problems() == []


@virtual
async def test_a_slow_answer_of_an_endpoint_that_works_is_not_given_up_for_its_siblings():
    world = World.new(limits=limits(flow={"window_records_max": 1_000}))
    world.behave("well", replies(200, after_s=0.005))
    world.decoder.outcomes[b"odd"] = Event("odd.one", "odd", 0, 3, b"1")
    world.cluster.append("post.created", b"odd")
    world.start([subscription("slow", events=("odd.one",)), subscription("well", events=("post.created",))])
    await asyncio.sleep(1)

    world.behave("slow", replies(200, after_s=0.4))
    world.cluster.append("post.created", b"odd")
    world.fill(3_000)
    await asyncio.sleep(6)

    assert world.accepted("well") == 3_000
    assert world.accepted("slow") == 2
    assert world.worker.accounts.diverted["head of line"] == 0


@virtual
async def test_an_answer_of_a_doubtful_endpoint_is_waited_for_where_others_hold_up_the_window_more():
    world = World.new(limits=limits(flow={"window_records_max": 2_000}, dispatch={"in_hand_max": 2_000}))
    world.decoder.outcomes[b"odd"] = Event("odd.one", "odd", 0, 3, b"1")
    world.decoder.outcomes[b"slow"] = Event("slow.one", "slow", 0, 3, b"1")
    world.behave("odd", replies(503))
    world.start(
        [
            subscription("odd", events=("odd.one",)),
            subscription("slow", events=("slow.one",), rate_per_s=10.0, queue_max=1_000),
            subscription("well", events=("post.created",), in_flight_max=200),
        ]
    )
    await asyncio.sleep(4)
    world.cluster.append("post.created", b"odd")
    await asyncio.sleep(1)

    world.behave("odd", replies(200, after_s=0.3))
    world.cluster.append("post.created", b"odd")
    for _ in range(800):
        world.cluster.append("post.created", b"slow")
        world.fill(2)
    await asyncio.sleep(0.45)

    assert window(world, POSTS)[0] == 2_000
    assert world.accepted("odd") == 1
    await asyncio.sleep(10)

    assert world.accepted("odd") == 2  # the first one too, after its 503


@virtual
async def test_what_was_done_before_a_restart_has_overtaken_nobody():
    world = World.new(limits=limits(flow={"window_records_max": 1_000}))
    world.behave("slow", hangs)
    world.decoder.outcomes[b"odd"] = Event("odd.one", "odd", 0, 3, b"1")
    both = [subscription("slow", events=("odd.one",)), subscription("well", events=("post.created",))]
    for _ in range(6):
        world.cluster.append("post.created", b"odd")
    world.fill(900)
    world.start(both)
    await asyncio.sleep(2.2)
    await world.kill()

    heir = world.next_worker(limits=limits(flow={"window_records_max": 1_000}))
    heir.decoder.outcomes[b"odd"] = Event("odd.one", "odd", 0, 3, b"1")
    heir.behave("slow", replies(200, after_s=0.05))
    heir.fill(300)
    heir.start(both)
    await asyncio.sleep(1)

    assert heir.worker.accounts.records_already_done == 900
    assert heir.accepted("slow") == 6
    assert heir.worker.accounts.diverted["head of line"] == 0


@virtual
async def test_all_that_fills_a_window_is_diverted_when_nothing_moves_for_long():
    world = World.new(limits=limits(flow={"window_records_max": 20}))
    world.behave("stuck", hangs)
    world.fill(40)

    world.start([subscription("stuck", in_flight_max=20), subscription("well")])
    await asyncio.sleep(4)
    assert world.accepted("well") == 20
    await asyncio.sleep(3)

    assert world.accepted("well") == 40


@virtual
async def test_a_flood_of_records_is_admitted_in_turns():
    world = World.new(limits=limits(dispatch={"in_flight_max": 5_000, "in_hand_max": 5_000}))
    world.source.batch_max = 5_000
    world.behave("a", replies(200, after_s=0))
    world.fill(1_000)

    world.start([subscription("a", in_flight_max=5_000)])
    await asyncio.sleep(0.1)

    assert world.sender.in_flight_max <= 2 * 64
    assert world.accepted("a") == 1_000


@virtual
async def test_a_held_pump_admits_nothing_until_it_is_released():
    world = World.new()
    world.start([subscription("a")])
    pump = world.worker.pumps[0]

    pump.hold("the view is in doubt")
    world.cluster.append("post.created", b"1")
    await asyncio.sleep(60)
    assert world.accepted("a") == 0
    pump.release()
    await asyncio.sleep(1)

    assert world.accepted("a") == 1


class BusyDecoder(FakeDecoder):
    """A millisecond passes while it decodes, as it may in a real turn."""

    def decode(self, record: Record) -> Decoded:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.pass_time(0.001)
        return super().decode(record)


@virtual
async def test_a_letter_that_falls_due_in_the_middle_of_a_turn_is_not_forgotten():
    world = World.new(decoder=BusyDecoder())
    tier_ms = 3_600_000
    topic = tier_topic(PREFIX, tier_ms)
    now_ms = world.clock.now_ms()
    for partition, due_in_ms in ((0, 5_000), (0, 2_400_000), (1, 5_001)):
        trail = Trail(
            subscription_id="a",
            event_id=f"e{due_in_ms}",
            event_type="post.created",
            origin=Origin(topic="post.created", partition=0, offset=due_in_ms),
            attempt=1,
            hop=1,
            first_attempt_ms=now_ms,
        )
        stamp_ms = now_ms - tier_ms + due_in_ms
        world.cluster.append(
            topic, b"1", partition=partition, headers=encode(trail, ()), timestamp_ms=stamp_ms
        )
    world.worker.view([subscription("a", ladder_ms=(tier_ms,))], [tier_ms])
    world.worker.start()
    world.tier_source.assign(TopicPartition(topic, 0), TopicPartition(topic, 1))

    await asyncio.sleep(60)

    assert world.accepted("a") == 2


@virtual
async def test_a_partition_that_the_source_holds_is_counted_once_and_only_while_it_is_ours():
    world = World.new()
    world.behave("a", replies(200))
    world.fill(1)
    world.start([subscription("a")])
    await asyncio.sleep(0.5)
    pump = world.worker.pumps[0]
    before = pump.partitions_held

    pump.holding([POSTS, FRIENDS])  # FRIENDS was ours once
    held = pump.partitions_held
    pump.holding([])

    assert (before, held, pump.partitions_held) == (0, 1, 0)
