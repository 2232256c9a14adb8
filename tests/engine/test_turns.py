"""A turn relieves windows before they are full, where there is room for what they would take in."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from connector.core.accounts import Accounts
from connector.core.ledger import Ticket
from connector.core.record import Record
from connector.engine.flow import Flow, FlowLimits
from connector.engine.head_of_line import HeadOfLine
from connector.engine.intake import Taken
from connector.engine.ports import Assignment, Fetched, TopicPartition
from connector.engine.settlement import Settlement
from connector.engine.turns import Turns
from tests.support.fake_kafka import Cluster, FakeSource
from tests.support.virtual_time import VirtualClock, virtual
from tests.support.world import POSTS

LIMITS = FlowLimits(window_records_max=100, window_bytes_max=1 << 20)


class Given:
    """What was given up, by offset."""

    def __init__(self) -> None:
        self.up: list[int] = []

    def divert_queued(self, tickets: Collection[Ticket], why: str) -> None: ...

    def abandon(self, tickets: Collection[Ticket], why: str) -> None: ...

    def abandon_suspects(self, tickets: Collection[Ticket], why: str) -> None: ...

    def divert_overtaken(self, tickets: Collection[Ticket], why: str, now_ms: int) -> None:
        self.up += [ticket.offset for ticket in tickets]


class Downstream:
    def __init__(self, *, is_open: bool) -> None:
        self.is_open = is_open

    def has_room(self) -> bool:
        return self.is_open


class Never:
    """The window is full: nothing is taken."""

    def take(self, flow: Flow, record: Record) -> Taken:
        raise AssertionError(f"{record} was taken")


def record(offset: int) -> Record:
    return Record("post.created", 0, offset, 0, None, b"1")


def flow_held_up_by_its_first(window: int, tp: TopicPartition = POSTS) -> Flow:
    flow = Flow(Assignment(tp=tp, epoch=1, position=0))
    tickets = [flow.ledger.admit(record(offset)) for offset in range(window)]
    for ticket in tickets[1:]:
        assert isinstance(ticket, Ticket)
        flow.ledger.settle(ticket)
    return flow


def turns_of(*flows: Flow, given: Given, has_room: bool = True) -> Turns:
    return Turns(
        flows={flow.tp: flow for flow in flows},
        source=FakeSource(Cluster(VirtualClock()), "group"),
        intake=Never(),
        downstream=Downstream(is_open=has_room),
        settlement=Settlement(Accounts()),
        head_of_line=HeadOfLine(given, LIMITS),
        limits=LIMITS,
        clock=VirtualClock(),
        log=None,  # type: ignore[arg-type]  # nothing is told
    )


@pytest.mark.parametrize(("has_room", "given_up"), [(True, [0]), (False, [])])
def test_who_holds_up_a_full_window_is_given_up_unless_nothing_may_be_taken_in(
    has_room: bool, given_up: list[int]
) -> None:
    @virtual
    async def turn() -> None:
        given = Given()
        turns = turns_of(flow_held_up_by_its_first(100), given=given, has_room=has_room)

        # While all holds, answers of POSTs begun before still settle records, and each brings a turn.
        turns.fetched([Fetched(POSTS, 1, [record(100)], -1, 101)])

        assert given.up == given_up

    turn()


@pytest.mark.parametrize(("window", "given_up"), [(49, []), (50, [0])])
def test_a_window_that_is_half_full_is_relieved_before_its_partition_has_its_next_batch(
    window: int, given_up: list[int]
) -> None:
    @virtual
    async def turn() -> None:
        given = Given()
        busy, other = flow_held_up_by_its_first(window), TopicPartition("post.created", 1)
        turns = turns_of(busy, flow_held_up_by_its_first(1, other), given=given)

        turns.fetched([Fetched(other, 1, [], -1, 1)])

        assert given.up == given_up

    turn()


@virtual
async def test_of_a_partition_that_leaves_what_is_under_way_is_waited_for():
    given, leaving = Given(), flow_held_up_by_its_first(100)
    leaving.is_draining = True
    other = TopicPartition("post.created", 1)
    turns = turns_of(leaving, flow_held_up_by_its_first(1, other), given=given)

    turns.fetched([Fetched(other, 1, [], -1, 1)])

    assert given.up == []
