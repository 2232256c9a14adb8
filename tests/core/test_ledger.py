"""The ledger against a model: sets of offsets, and the plainest possible definition of a watermark."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from connector.core.ledger import REGRESSED, Ledger, Ticket
from connector.core.record import Record


@dataclass
class DoneSet:
    offsets: frozenset[int]
    leader_epoch: int = -1

    @property
    def highest(self) -> int:
        return max(self.offsets)

    def contains(self, offset: int) -> bool:
        return offset in self.offsets

    def above(self, offset: int) -> list[int]:
        return sorted(one for one in self.offsets if one > offset)


def record(offset: int, *, leader_epoch: int = -1, value: bytes = b"v") -> Record:
    return Record("t", 0, offset, 0, None, value, leader_epoch=leader_epoch)


def admitted(ledger: Ledger, offset: int) -> Ticket:
    ticket = ledger.admit(record(offset))
    assert isinstance(ticket, Ticket)
    return ticket


def test_the_watermark_of_an_untouched_ledger_is_its_position():
    assert Ledger(position=7).watermark == 7


def test_the_watermark_stands_at_the_oldest_unsettled_offset():
    ledger = Ledger(position=0)
    _, second, third = admitted(ledger, 0), admitted(ledger, 1), admitted(ledger, 2)

    ledger.settle(third)
    ledger.settle(second)

    assert ledger.watermark == 0
    assert ledger.settled_above() == [1, 2]
    assert ledger.open_count == 1


def test_the_watermark_passes_gaps_once_all_below_is_settled():
    ledger = Ledger(position=0)
    first, last = admitted(ledger, 3), admitted(ledger, 900)

    ledger.settle(last)
    ledger.settle(first)

    assert ledger.watermark == 901


def test_the_end_of_the_log_moves_the_watermark_past_trailing_markers():
    ledger = Ledger(position=0)
    ledger.settle(admitted(ledger, 4))

    ledger.reach_end(9)

    assert ledger.watermark == 9


def test_the_end_of_the_log_does_not_pass_what_is_in_hand():
    ledger = Ledger(position=0)
    ticket = admitted(ledger, 4)

    ledger.reach_end(9)

    assert ledger.watermark == 4
    ledger.settle(ticket)
    assert ledger.watermark == 9


def test_an_offset_not_above_the_last_one_is_regressed_and_changes_nothing():
    ledger = Ledger(position=0)
    admitted(ledger, 5)

    assert ledger.admit(record(5)) is REGRESSED
    assert ledger.admit(record(2)) is REGRESSED
    assert (ledger.window, ledger.watermark) == (1, 5)


def test_what_the_done_set_holds_is_not_admitted_again_and_stays_in_the_next_done_set():
    ledger = Ledger(position=0, done=DoneSet(frozenset({1, 2})))
    first = admitted(ledger, 0)

    assert ledger.admit(record(1)) is None
    assert ledger.admit(record(2)) is None

    assert ledger.settled_above() == [1, 2]
    ledger.settle(first)
    assert ledger.watermark == 3


def test_what_was_done_before_and_is_not_read_again_yet_stays_in_the_next_done_set():
    ledger = Ledger(position=5, done=DoneSet(frozenset({6, 7, 9})))

    assert ledger.settled_above() == [6, 7, 9]
    first = admitted(ledger, 5)
    assert ledger.admit(record(6)) is None
    assert ledger.settled_above() == [6, 7, 9]
    ledger.settle(first)
    assert (ledger.watermark, ledger.settled_above()) == (7, [7, 9])


def test_a_record_of_a_later_leader_epoch_is_never_in_the_done_set():
    ledger = Ledger(position=0, done=DoneSet(frozenset({1}), leader_epoch=4))

    ticket = ledger.admit(record(1, leader_epoch=5))

    assert isinstance(ticket, Ticket)


def test_a_closed_ledger_says_how_many_records_were_in_hand():
    ledger = Ledger(position=0)
    ledger.settle(admitted(ledger, 0))
    admitted(ledger, 1)
    admitted(ledger, 2)

    assert ledger.close() == 2
    assert not ledger.is_live


class LedgerModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(position=0)
        self.tickets: dict[int, Ticket] = {}
        self.settled: set[int] = set()
        self.next_offset = 0
        self.highest_watermark = 0

    @rule(gap=st.integers(0, 3), size=st.integers(0, 50))
    def admit(self, gap: int, size: int) -> None:
        offset = self.next_offset + gap
        ticket = self.ledger.admit(record(offset, value=b"x" * size))
        assert isinstance(ticket, Ticket)
        self.tickets[offset] = ticket
        self.next_offset = offset + 1

    @precondition(lambda self: len(self.tickets) > len(self.settled))
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(set(self.tickets) - self.settled)))
        self.ledger.settle(self.tickets[offset])
        self.settled.add(offset)

    @rule(beyond=st.integers(0, 3))
    def reach_end(self, beyond: int) -> None:
        self.next_offset += beyond
        self.ledger.reach_end(self.next_offset)

    @invariant()
    def agrees(self) -> None:
        unsettled = set(self.tickets) - self.settled
        watermark = min(unsettled, default=self.next_offset)
        assert self.ledger.watermark == watermark
        assert self.ledger.settled_above() == sorted(o for o in self.settled if o > watermark)
        assert self.ledger.open_count == len(unsettled)
        assert self.ledger.open_bytes == sum(self.tickets[o].size_bytes for o in unsettled)
        assert watermark >= self.highest_watermark
        self.highest_watermark = watermark


TestLedgerModel = LedgerModel.TestCase
