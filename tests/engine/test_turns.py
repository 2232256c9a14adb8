"""A turn relieves a nearly full window only where there is room for what it would take in."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from connector.core.accounts import Accounts
from connector.core.ledger import Ticket
from connector.core.record import Record
from connector.engine.flow import Flow, FlowLimits
from connector.engine.head_of_line import HeadOfLine
from connector.engine.intake import Taken
from connector.engine.ports import Assignment, Fetched
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


def flow_held_up_by_its_first() -> Flow:
    flow = Flow(Assignment(tp=POSTS, epoch=1, position=0))
    tickets = [flow.ledger.admit(record(offset)) for offset in range(100)]
    for ticket in tickets[1:]:
        assert isinstance(ticket, Ticket)
        flow.ledger.settle(ticket)
    return flow


@pytest.mark.parametrize(("has_room", "given_up"), [(True, [0]), (False, [])])
def test_who_holds_up_a_nearly_full_window_is_given_up_unless_nothing_may_be_taken_in(
    has_room: bool, given_up: list[int]
) -> None:
    @virtual
    async def turn() -> None:
        flow, given = flow_held_up_by_its_first(), Given()
        turns = Turns(
            flows={POSTS: flow},
            source=FakeSource(Cluster(VirtualClock()), "group"),
            intake=Never(),
            downstream=Downstream(is_open=has_room),
            settlement=Settlement(Accounts()),
            head_of_line=HeadOfLine(given, LIMITS),
            limits=LIMITS,
            clock=VirtualClock(),
            log=None,  # type: ignore[arg-type]  # nothing is told
        )

        # While all holds, answers of POSTs begun before still settle records, and each brings a turn.
        turns.fetched([Fetched(POSTS, 1, [record(100)], -1, 101)])

        assert given.up == given_up

    turn()
