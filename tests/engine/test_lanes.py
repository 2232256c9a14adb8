"""One lane alone: what may wait, for how long it may prove its pace, and what a change does to it."""

from __future__ import annotations

from typing import Any

import pytest

from connector.core.breaker import BreakerRules
from connector.core.composer import compile_composer
from connector.core.event import Event
from connector.core.ledger import Ledger, Ticket
from connector.core.outcome import Deferred
from connector.core.record import Record
from connector.core.subscription import Egress, Subscription, TlsIdentity
from connector.engine.clock import SystemClock
from connector.engine.delivery import Delivery
from connector.engine.lane import UNBOUNDED, Lane
from connector.engine.lanes import Lanes
from connector.engine.ports import ForbiddenTarget
from tests.support.world import FakeEndpoint, subscription

EVENT = Event("post.created", "one", 0, 3, b"1")
TIERS = (5_000, 30_000, 120_000)
RECORD = Record("post.created", 0, 0, 0, None, b"1")


class Endpoints:
    """As much of a sender as lanes need; refuses one URL. ``identities`` are those asked for."""

    def __init__(self) -> None:
        self.identities: list[TlsIdentity | None] = []

    def endpoint(
        self, url: str, *, headers: Any, content_type: str, tls: TlsIdentity | None, egress: Egress
    ) -> FakeEndpoint:
        self.identities.append(tls)
        if "forbidden" in url:
            raise ForbiddenTarget(url)
        return FakeEndpoint(url)


def lanes(*subscriptions: Subscription, endpoints: Endpoints | None = None) -> Lanes:
    made = Lanes(
        endpoints or Endpoints(),  # type: ignore[arg-type]  # the rest is not called
        lambda one: compile_composer(one.dialect, one.secrets),
        breaker=BreakerRules(failures_to_open=0),
        host_in_flight_max=100,
        clock=SystemClock(),
    )
    made.replace(subscriptions)
    return made


def lane(**changes: Any) -> Lane:
    found = lanes(subscription("a", **changes)).get("a")
    assert found is not None
    return found


def delivery(lane: Lane) -> Delivery:
    return Delivery(Ticket(Ledger(position=0), 0, 1, 0), RECORD, EVENT, lane)


def succeeded(lane: Lane, now_ms: int) -> None:
    lane.succeeded(delivery(lane), now_ms)


def failed(lane: Lane, now_ms: int) -> None:
    lane.failed(delivery(lane), Deferred(error_class="http-500", detail="", status=500), now_ms, now_ms)


def busy(*, per_s: int, **changes: Any) -> Lane:
    """It has made so many in the second before 6 s, and has nothing to do now."""
    made = lane(**changes)
    for n in range(per_s):
        succeeded(made, 5_000 + n * 1_000 // per_s)
    made.rate.roll(6_000)
    return made


def enqueue(lane: Lane, count: int, *, now_ms: int) -> int:
    return sum(lane.enqueue(delivery(lane), now_ms) for _ in range(count))


def test_a_lane_whose_queues_were_emptied_gets_new_time_to_prove_its_pace():
    burst = lane(queue_max=10)
    enqueue(burst, 50, now_ms=5_000)
    burst.remove(lambda _: True)
    assert enqueue(burst, 50, now_ms=9_000) == 50

    while burst.queue:
        burst.next()
    assert enqueue(burst, 50, now_ms=12_000) == 50


def test_a_burst_may_wait_until_the_lane_has_had_time_to_prove_its_pace():
    burst = lane(queue_max=10)

    assert enqueue(burst, 50, now_ms=5_000) == 50
    assert burst.room(5_999) == UNBOUNDED
    assert burst.room(6_000) == 10


def test_a_lane_that_failed_last_gets_no_more_than_its_queue():
    failing = lane(queue_max=10)
    failed(failing, 5_000)

    assert enqueue(failing, 50, now_ms=5_000) == 20  # its pace at this moment: 1 in 50 ms


def test_a_fast_lane_may_keep_a_second_of_its_own_pace():
    fast = lane(queue_max=10)
    enqueue(fast, 1, now_ms=5_000)
    for n in range(500):
        succeeded(fast, 5_000 + 2 * n)

    assert fast.room(6_000) == pytest.approx(500, rel=0.1)


def test_a_pace_is_forgotten_when_nothing_ended_in_a_whole_window():
    fast = lane(queue_max=10)
    enqueue(fast, 1, now_ms=5_000)
    for n in range(500):
        succeeded(fast, 5_000 + 2 * n)

    assert fast.room(60_000) == 10


def test_a_lane_in_the_way_lets_nothing_wait_until_something_has_ended():
    blocking = lane(queue_max=10)
    blocking.is_in_the_way = True

    assert enqueue(blocking, 1, now_ms=5_000) == 0
    failed(blocking, 6_000)
    assert enqueue(blocking, 1, now_ms=6_000) == 1


def test_a_queue_that_was_taken_away_is_no_proof_and_gets_no_new_time():
    hanging = lane(queue_max=10)
    enqueue(hanging, 5, now_ms=5_000)

    hanging.queue.clear()

    assert enqueue(hanging, 50, now_ms=7_000) == 10


def test_a_queue_that_was_worked_off_gives_the_next_burst_its_own_time():
    well = lane(queue_max=10)
    enqueue(well, 2, now_ms=5_000)

    well.next()
    well.next()

    assert enqueue(well, 50, now_ms=60_000) == 50


def test_a_lane_that_has_more_to_come_back_gets_no_new_time_to_prove_its_pace():
    slow = busy(per_s=10, queue_max=10)
    slow.take_tier(TIERS, 6_000)
    slow.remove(lambda _: True)

    assert enqueue(slow, 50, now_ms=7_000) == 10
    slow.expire(10_900)
    assert slow.returns is not None
    slow.expire(11_000)
    assert slow.returns is None


def test_a_burst_after_all_is_back_gets_its_own_time_though_nobody_has_looked_at_the_lane_since():
    slow = busy(per_s=10, queue_max=10)
    slow.take_tier(TIERS, 6_000)
    slow.remove(lambda _: True)

    assert enqueue(slow, 50, now_ms=11_000) == 50


def test_of_retries_as_many_may_wait_as_are_made_until_the_next_come():
    slow, fast, faster = (busy(per_s=per_s, queue_max=10) for per_s in (1, 100, 1_000))

    assert slow.retry_room(6_000) == 10
    assert fast.retry_room(6_000) == pytest.approx(650, rel=0.1)
    assert faster.retry_room(6_000) == 2_000


def test_what_a_lane_makes_is_measured_while_it_has_enough_to_do():
    slow = lane(queue_max=1)
    enqueue(slow, 2, now_ms=5_000)
    for now_ms in range(5_000, 15_250, 250):
        slow.retry_room(now_ms)
        if now_ms % 2_500 == 0:
            slow.attempts += 100
            succeeded(slow, now_ms)

    assert slow.retry_room(15_250) == int(6.5 * 40)  # its rate says 1 or nothing


def test_what_has_no_room_takes_the_longest_tier_from_which_it_is_back_in_time():
    slow = lane(queue_max=100)
    enqueue(slow, 100, now_ms=4_000)
    slow.retry_room(5_000)
    slow.attempts += 50

    taken = [slow.take_tier(TIERS, 10_000) for _ in range(1_200)]

    assert taken == [5_000] * 215 + [30_000] * 945 + [120_000] * 40


def test_what_has_no_room_is_back_when_it_is_known_what_the_lane_makes():
    learning = busy(per_s=4, queue_max=100)
    enqueue(learning, 100, now_ms=6_000)

    assert [learning.take_tier((1_000, *TIERS), 6_000) for _ in range(1_200)] == [5_000] * 1_200
    assert learning.returns is not None


def test_what_was_learnt_of_a_pace_holds_no_longer_while_another_is_learnt():
    known = lane(queue_max=100)
    enqueue(known, 100, now_ms=4_000)
    known.retry_room(5_000)
    known.attempts += 50
    succeeded(known, 10_000)
    assert [known.take_tier(TIERS, 10_000) for _ in range(216)] == [5_000] * 215 + [30_000]

    known.forget(10_000)
    known.in_flight = 1  # all that it has room for

    assert known.take_tier(TIERS, 10_100) == 5_000


def test_what_a_lane_makes_is_remembered_until_it_has_nothing_to_do_here_and_nothing_elsewhere():
    slow = busy(per_s=10)
    assert slow.throughput is None
    slow.take_tier(TIERS, 6_000)
    enqueue(slow, 1, now_ms=7_000)
    measured = slow.throughput

    slow.expire(11_000)
    assert slow.throughput is measured is not None
    slow.next()
    slow.expire(11_250)
    assert slow.throughput is None


def test_what_has_no_room_waits_half_a_minute_where_nothing_moves_yet():
    hanging = lane()
    enqueue(hanging, 50, now_ms=5_000)

    assert hanging.take_tier(TIERS, 5_000) == 30_000
    assert hanging.returns is None


def test_what_a_stalled_lane_has_no_room_for_rests():
    stalled = lane(in_flight_max=1)
    assert stalled.rest_ms(5_000) == 0

    stalled.in_flight = 1

    assert stalled.rest_ms(5_000) == 60_000


def test_what_a_lane_has_no_room_for_rests_while_all_attempts_fail_however_often_they_end():
    failing = lane()
    for now_ms in range(5_000, 10_000, 500):
        failed(failing, now_ms)
    assert failing.rest_ms(10_000) == 30_000

    succeeded(failing, 10_000)
    assert failing.rest_ms(10_000) == 0


def test_a_view_with_a_forbidden_url_changes_nothing():
    before = lanes(subscription("a"))

    with pytest.raises(ForbiddenTarget):
        before.replace([subscription("b"), subscription("c", url="https://forbidden.example/")])

    assert [one.subscription.id for one in before] == ["a"]


def test_an_endpoint_is_prepared_with_its_subscriptions_identity_and_again_when_its_files_are_rotated():
    old, new = TlsIdentity(ca_file="ca.pem", digest="1"), TlsIdentity(ca_file="ca.pem", digest="2")
    endpoints = Endpoints()
    made = lanes(endpoints=endpoints)

    for view in ([subscription("a")], [subscription("a", tls=old)], [subscription("a", tls=new)]):
        made.replace(view)

    assert endpoints.identities == [None, old, new]


def test_a_changed_subscription_keeps_its_lane_and_what_waits_there():
    changing = lanes(subscription("a"))
    one = changing.get("a")
    assert one is not None
    enqueue(one, 3, now_ms=5_000)

    evicted = changing.replace([subscription("a", url="https://new.example/")])

    assert evicted == []
    assert changing.get("a") is one
    assert (one.endpoint.url, len(one.queue)) == ("https://new.example/", 3)


def test_removed_and_paused_lanes_may_not_keep_their_queue():
    changing = lanes(subscription("a"), subscription("b"), subscription("c"))
    for one in changing:
        enqueue(one, 1, now_ms=5_000)

    evicted = changing.replace([subscription("b", paused=True), subscription("c")])

    assert [(one.subscription.id, one.is_live) for one in evicted] == [("a", False), ("b", True)]


def test_lanes_match_in_the_order_of_the_file():
    by_type = (subscription("a", events=("post.*",)), subscription("c", events=("x",)))
    matched = lanes(subscription("b"), *by_type)

    assert [one.subscription.id for one in matched.matching("post.created")] == ["b", "a"]
