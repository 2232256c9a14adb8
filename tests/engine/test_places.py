"""Who may have a POST under way: the process's places, each host's, and the quarter of lanes without a recent
success."""

from __future__ import annotations

import asyncio
from copy import copy
from itertools import count
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from connector.core.breaker import BreakerRules
from connector.core.composer import compile_composer
from connector.core.event import Event
from connector.core.ledger import Ledger, Ticket
from connector.core.outcome import Deferred, Delivered
from connector.core.record import Record
from connector.core.subscription import Subscription
from connector.engine.delivery import Delivery
from connector.engine.lane import Lane
from connector.engine.lanes import Lanes
from connector.engine.places import Places
from connector.engine.ports import TopicPartition
from tests.support.virtual_time import VirtualClock, VirtualLoop, virtual
from tests.support.world import POSTS, FakeSender, World, hangs, limits, replies, subscription

EVENT = Event("post.created", "one", 0, 3, b"1")
RECORD = Record("post.created", 0, 0, 0, None, b"1")
LANES = 5
HOSTS = 3
PLACES = 8
HOST_PLACES = 2
LOOK_S = 0.25
BAD = TopicPartition("bad", 0)
LATE = TopicPartition("late", 0)


# ── the process ─────────────────────────────────────────────────────────────────────────────────


@virtual
async def test_a_lane_that_waits_for_the_process_gets_the_next_place_that_is_free():
    world = World.new(limits=limits(dispatch={"in_flight_max": 4, "in_hand_max": 1_000}))
    for id_ in ("a", "b", "c", "d"):
        world.behave(id_, replies(200, after_s=0.1))
    world.fill(20)

    world.start([subscription(id_) for id_ in ("a", "b", "c", "d")])
    await asyncio.sleep(2.5)  # 80 POSTs in 4 places, 0.1 s each, is 2 s

    assert [world.accepted(id_) for id_ in ("a", "b", "c", "d")] == [20, 20, 20, 20]


# ── one host ────────────────────────────────────────────────────────────────────────────────────


def to_one_host(count: int, **changes: Any) -> list[Subscription]:
    return [
        subscription(f"s{n}", url=f"https://shared.example/hooks/{n}", in_flight_max=2, **changes)
        for n in range(count)
    ]


@virtual
async def test_a_thousand_subscriptions_to_one_host_do_not_storm_it_and_each_gets_its_turn():
    places = {"in_flight_max": 2_000, "host_in_flight_max": 50, "in_hand_max": 50_000, "wait_max_ms": 60_000}
    world = World.new(limits=limits(dispatch=places))
    to_host = to_one_host(1_000)
    for one in to_host:
        world.sender.behaviour[one.url] = replies(200, after_s=0.05)
    world.fill(4)

    world.start(to_host)
    await asyncio.sleep(2.5)  # 50 places, 20 times a second: 1,000 a second
    posts = [sum(post.url == one.url for post in world.sender.posts) for one in to_host]
    await asyncio.sleep(3)

    assert world.sender.in_flight_max == 50
    assert (min(posts), max(posts)) in ((2, 3), (2, 4), (1, 3))
    assert len(world.sender.accepted) == 4_000


@virtual
async def test_a_host_that_is_full_does_not_keep_another_waiting():
    world = World.new(limits=limits(dispatch={"host_in_flight_max": 3}))
    to_host = to_one_host(10)
    for one in to_host:
        world.sender.behaviour[one.url] = hangs
    world.fill(20)

    world.start([*to_host, subscription("well", in_flight_max=1)])
    await asyncio.sleep(2)

    assert world.sender.in_flight_max == 4
    assert world.accepted("well") == 20


@virtual
async def test_a_lane_whose_url_changed_no_longer_waits_for_its_former_host():
    world = World.new(limits=limits(dispatch={"host_in_flight_max": 1, "wait_max_ms": 60_000}))
    first, second = to_one_host(2, timeout_ms=60_000)
    world.sender.behaviour[first.url] = hangs
    world.fill(2)
    world.start([first, second])
    await asyncio.sleep(1)
    assert not [post for post in world.sender.posts if post.url == second.url], "the host is full"

    moved = subscription("s1", url="https://other.example/hooks", in_flight_max=2)
    world.worker.view([first, moved], [5_000, 30_000, 300_000])
    await asyncio.sleep(1)

    assert world.accepted("other") == 2


@virtual
async def test_a_place_at_a_host_is_passed_on_when_who_was_next_has_moved_away():
    world = World.new(limits=limits(dispatch={"host_in_flight_max": 1, "wait_max_ms": 60_000}))
    first, second, third = to_one_host(3, timeout_ms=5_000)
    world.sender.behaviour[first.url] = hangs
    world.fill(1)
    world.start([first, second, third])
    await asyncio.sleep(1)

    moved = subscription("s1", url="https://other.example/hooks", in_flight_max=2)
    world.worker.view([first, moved, third], [5_000, 30_000, 300_000])
    await asyncio.sleep(5)

    assert [post.url for post in world.sender.accepted] == [moved.url, third.url]


@virtual
async def test_a_place_at_a_host_is_passed_on_by_a_body_that_is_too_large_to_be_sent():
    world = World.new(limits=limits(dispatch={"host_in_flight_max": 1, "wait_max_ms": 60_000}))
    first, second, third = to_one_host(3)
    second = subscription("s1", url=second.url, body_bytes_max=1)
    world.sender.behaviour[first.url] = replies(200, after_s=1)
    world.fill(1)

    world.start([first, second, third])
    await asyncio.sleep(1.1)

    assert [post.url for post in world.sender.accepted] == [first.url, third.url]


# ── the quarter for lanes without a recent success ──────────────────────────────────────────────


@virtual
async def test_a_hundred_hanging_lanes_leave_three_quarters_to_the_others():
    world = World.new(limits=limits(dispatch={"in_flight_max": 100, "in_hand_max": 20_000}))
    hanging = [subscription(f"h{n}", events=("bad",)) for n in range(100)]
    for one in hanging:
        world.behave(one.id, hangs)
    world.behave("well", replies(200, after_s=0.05))
    well = subscription("well", events=("post.created",), in_flight_max=100)
    world.start([well, *hanging], [POSTS, BAD])
    world.fill(200)
    await asyncio.sleep(2)
    world.fill(20, "bad")
    await asyncio.sleep(1)
    assert world.sender.in_flight == 25

    before = world.accepted("well")
    world.fill(1_000)
    await asyncio.sleep(1.5)

    assert world.accepted("well") - before == 1_000
    assert world.sender.in_flight_max <= 100


@virtual
async def test_lanes_that_were_never_tried_come_before_those_that_failed():
    world = World.new(limits=limits(dispatch={"in_flight_max": 16, "in_hand_max": 10_000}))
    for n in range(8):
        world.behave(f"h{n}", hangs)
    hanging = [subscription(f"h{n}", events=("bad",), timeout_ms=2_000) for n in range(8)]
    late = subscription("late", events=("late",))
    world.start([*hanging, late], [BAD, LATE])
    world.fill(30, "bad")
    await asyncio.sleep(10)
    assert world.sender.in_flight == 4

    world.fill(1, "late")
    await asyncio.sleep(2.1)  # the first of those that hang have timed out by then

    assert world.accepted("late") == 1


@virtual
async def test_a_lane_that_proves_itself_no_longer_waits_among_the_others():
    places = {"in_flight_max": 8, "in_hand_max": 10_000, "wait_max_ms": 60_000}
    world = World.new(limits=limits(dispatch=places))
    world.behave("slow", replies(200, after_s=1))
    world.behave("hangs", hangs)
    world.start([subscription("slow"), subscription("hangs")])
    world.fill(20)
    await asyncio.sleep(8)

    assert world.accepted("slow") == 20  # in the quarter of 2 places it would take 10 s at least


# ── no lane is forgotten ────────────────────────────────────────────────────────────────────────

FAILED = Deferred(error_class="http-500", detail="", status=500)
OURS = Deferred(error_class="resources", detail="", is_counted=False)
ASKED = Deferred(error_class="http-429", detail="", status=429, retry_after_ms=2_000)
RATES = (None, 0.5, 5.0)
OUTCOMES: list[Delivered | Deferred] = [Delivered(200), Delivered(200), FAILED, OURS, ASKED]


class PlacesMachine(RuleBasedStateMachine):
    """Lanes that fill, fail, come back, move and wait for their rates, driven as by the dispatcher."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.clock = VirtualClock()
        self.rates: list[float | None] = [None] * LANES
        self.too_large: set[Delivery] = set()
        self.taken = count()

    @initialize()
    def begin(self) -> None:
        self.lanes = Lanes(
            FakeSender(self.clock),
            lambda one: compile_composer(one.dialect, one.secrets),
            breaker=BreakerRules(failures_to_open=2, cool_down_ms=500, cool_down_max_ms=1_000),
            host_in_flight_max=HOST_PLACES,
            clock=self.clock,
        )
        self.places = Places(in_flight_max=PLACES, clock=self.clock, start=self.start)
        self.hosts = [n % HOSTS for n in range(LANES)]
        self.run(self.view)

    def run(self, call: Any) -> None:
        async def called() -> None:
            call()

        self.loop.run_until_complete(called())

    def view(self) -> None:
        urls = [f"https://h{host}.example/" for host in self.hosts]
        self.lanes.replace(
            [
                subscription(f"s{n}", url=urls[n], in_flight_max=3, rate_per_s=self.rates[n])
                for n in range(LANES)
            ]
        )
        self.lanes.share(1.0)
        self.places.line_up_anew(self.lanes)
        self.places.serve()

    def start(self, delivery: Delivery) -> None:
        lane = delivery.lane
        if delivery in self.too_large:
            return
        if lane.breaker.state != "closed":
            lane.breaker.begin_probe()
            delivery.is_probe = True
        delivery.since_ms = self.clock.monotonic_ms()
        self.places.occupy(delivery)

    def lane(self, number: int) -> Lane:
        lane = self.lanes.get(f"s{number}")
        assert lane is not None
        return lane

    @rule(number=st.integers(0, LANES - 1), records=st.integers(1, 4), is_too_large=st.booleans())
    def take(self, number: int, records: int, is_too_large: bool) -> None:
        def taken() -> None:
            for _ in range(records):
                lane = self.lane(number)
                ticket = Ticket(Ledger(position=0), offset=next(self.taken), size_bytes=1, timestamp_ms=0)
                delivery = Delivery(ticket, RECORD, EVENT, lane)
                if is_too_large:
                    self.too_large.add(delivery)
                if self.places.may_start(lane):
                    self.start(delivery)
                elif not lane.is_shut(self.clock.now_ms()):
                    self.places.enqueue(delivery, self.clock.monotonic_ms())

        self.run(taken)

    @precondition(lambda self: self.places.flying)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def answer(self, data: st.DataObject, outcome: Delivered | Deferred) -> None:
        flying = sorted(self.places.flying, key=lambda one: one.ticket.offset)
        delivery = flying[data.draw(st.integers(0, len(flying) - 1))]

        def answered() -> None:
            lane = delivery.lane
            if isinstance(outcome, Delivered):
                lane.succeeded(delivery, self.clock.monotonic_ms())
            else:
                lane.failed(delivery, outcome, self.clock.now_ms(), self.clock.monotonic_ms())
            self.places.vacate(delivery)
            if lane.breaker.state == "open":
                self.empty(lane)
            self.places.line_up(lane)
            self.places.serve()

        self.run(answered)

    @rule(number=st.integers(0, LANES - 1))
    def withdraw(self, number: int) -> None:
        self.run(lambda: self.empty(self.lane(number)))

    def empty(self, lane: Lane) -> None:
        self.places.take_out(lane, lambda _: True)

    @rule(number=st.integers(0, LANES - 1), host=st.integers(0, HOSTS - 1), rate=st.sampled_from(RATES))
    def change(self, number: int, host: int, rate: float | None) -> None:
        self.hosts[number], self.rates[number] = host, rate
        self.run(self.view)

    @rule()
    def close(self) -> None:
        self.places.is_closed = True

    @rule()
    def open(self) -> None:
        def opened() -> None:
            self.places.is_closed = False
            self.places.line_up_anew(self.lanes)
            self.places.serve()

        self.run(opened)

    @rule(seconds=st.sampled_from((0.05, 0.3, 1.0, 61.0)))
    def pass_time(self, seconds: float) -> None:
        """Time passes, with a look at its end; what a timer owes by then has had its turn."""

        async def passed() -> None:
            await asyncio.sleep(seconds)
            now_ms = self.clock.monotonic_ms()
            for lane in self.lanes:
                lane.expire(now_ms)
                self.places.line_up(lane)
            self.places.serve()
            await asyncio.sleep(LOOK_S)
            for lane in self.lanes:
                self.places.line_up(lane)
            self.places.serve()
            for lane in self.lanes:
                assert not self.could_start(lane), f"{lane.subscription.id} is forgotten"

        self.loop.run_until_complete(passed())

    def could_start(self, lane: Lane) -> bool:
        """Whether it has something waiting and nothing is in its way, counted anew."""
        flying = self.places.flying
        return (
            lane.waiting > 0
            and not self.places.is_closed
            and len(flying) < PLACES
            and sum(one.host is lane.host for one in flying) < HOST_PLACES
            and (lane.is_proven or sum(one.is_unproven for one in flying) < PLACES // 4)
            and lane.has_place(self.clock.now_ms())
            and (lane.bucket is None or copy(lane.bucket).take(self.clock.monotonic_ms()) == 0)
        )

    @invariant()
    def every_bound_holds(self) -> None:
        if not hasattr(self, "places"):
            return
        flying = self.places.flying
        assert len(flying) <= PLACES
        for lane in self.lanes:
            to_its_url = (one for one in flying if one.lane is lane and one.resets >= lane.url_resets)
            assert len(list(to_its_url)) == lane.in_flight
        for host in {one.host for one in flying}:
            assert sum(one.host is host for one in flying) == host.in_flight
        assert sum(one.is_unproven for one in flying) <= PLACES // 4
        assert self.places.waiting == sum(lane.waiting for lane in self.lanes)
        assert set(self.places.queued) == {lane for lane in self.lanes if lane.waiting}

    @invariant()
    def every_lane_is_once_in_the_line_it_names(self) -> None:
        if not hasattr(self, "places"):
            return
        places = self.places
        named = [lane for lane in self.lanes if lane.line is not None and lane.line is not places._timed]
        hosts = {lane.host.name: lane.host for lane in self.lanes}.values()
        lines = [places.line, places._untried, places._suspects, *(host.line for host in hosts)]
        assert sum(len(line) for line in lines) == len(named)
        for lane in named:
            assert lane.line is not None
            assert lane.line.count(lane) == 1

    def teardown(self) -> None:
        self.loop.close()


TestNoLaneIsForgotten = PlacesMachine.TestCase
TestNoLaneIsForgotten.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


def test_a_lane_led_away_from_a_host_is_not_lined_up_again_when_a_post_there_ends():
    state = PlacesMachine()
    state.begin()
    state.take(number=0, records=1, is_too_large=False)
    state.take(number=3, records=2, is_too_large=False)  # one waits: their host is full
    state.change(number=0, host=1, rate=None)
    state.close()
    state.change(number=3, host=1, rate=None)

    state.run(lambda: state.places.vacate(next(iter(state.places.flying))))

    state.every_lane_is_once_in_the_line_it_names()
    state.teardown()
