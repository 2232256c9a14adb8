"""What is committed, when, and what a refusal changes."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from connector.core.commits import CommitPlan, CommitState
from connector.core.doneset import decode, encode
from connector.core.ledger import Ledger, Ticket
from connector.core.record import Record


def record(offset: int, *, leader_epoch: int = -1) -> Record:
    return Record("t", 0, offset, 0, None, b"v", leader_epoch=leader_epoch)


def ledger_with(count: int) -> tuple[Ledger, list[Ticket]]:
    ledger = Ledger(position=0)
    tickets = [ledger.admit(record(offset)) for offset in range(count)]
    return ledger, tickets  # type: ignore[return-value]  # admitted in order: all are tickets


def planned(state: CommitState, ledger: Ledger, *, leader_epoch: int = -1) -> CommitPlan:
    plan = state.plan(ledger, now_ms=0, leader_epoch=leader_epoch)
    assert plan is not None
    return plan


def test_the_first_plan_commits_the_position():
    ledger, _ = ledger_with(0)

    assert CommitState(topic_id="").plan(ledger, now_ms=0, leader_epoch=-1) == CommitPlan(0, "")


def test_nothing_new_is_not_committed_again():
    ledger, tickets = ledger_with(1)
    state = CommitState(topic_id="")
    ledger.settle(tickets[0])
    state.acknowledge(planned(state, ledger))

    assert state.plan(ledger, now_ms=0, leader_epoch=-1) is None
    assert state.committed_offset == 1


def test_a_stuck_watermark_is_committed_again_when_the_done_set_grew():
    ledger, tickets = ledger_with(3)
    state = CommitState(topic_id="id")
    ledger.settle(tickets[1])
    first = planned(state, ledger, leader_epoch=3)
    state.acknowledge(first)
    ledger.settle(tickets[2])

    second = state.plan(ledger, now_ms=0, leader_epoch=3)

    assert second is not None
    done = decode(second.metadata, topic_id="id")
    assert (first.offset, second.offset) == (0, 0)
    assert done is not None
    assert [offset for offset in range(4) if done.contains(offset)] == [1, 2]


def test_one_commit_is_under_way_at_a_time():
    ledger, tickets = ledger_with(2)
    state = CommitState(topic_id="")
    ledger.settle(tickets[0])
    assert state.plan(ledger, now_ms=0, leader_epoch=-1) == CommitPlan(1, "")
    ledger.settle(tickets[1])

    assert state.plan(ledger, now_ms=0, leader_epoch=-1) is None
    assert state.plan(ledger, now_ms=0, leader_epoch=-1, is_final=True) == CommitPlan(2, "")


def test_a_failed_commit_is_tried_again():
    ledger, tickets = ledger_with(1)
    state = CommitState(topic_id="")
    ledger.settle(tickets[0])
    plan = planned(state, ledger)

    state.reject(plan, is_metadata_refused=False)

    assert state.plan(ledger, now_ms=0, leader_epoch=-1) == CommitPlan(1, "")


def test_a_refused_done_set_is_left_out_and_counted():
    ledger, tickets = ledger_with(2)
    state = CommitState(topic_id="")
    ledger.settle(tickets[1])
    state.reject(planned(state, ledger), is_metadata_refused=True)

    plan = planned(state, ledger)
    assert (plan.offset, plan.metadata, plan.has_dropped_done_set) == (0, "", True)


def test_a_done_set_is_tried_again_once_it_was_empty():
    ledger, tickets = ledger_with(4)
    state = CommitState(topic_id="")
    ledger.settle(tickets[1])
    state.reject(planned(state, ledger), is_metadata_refused=True)
    ledger.settle(tickets[0])
    state.acknowledge(planned(state, ledger))
    ledger.settle(tickets[3])

    plan = planned(state, ledger)

    assert plan.offset == 2
    assert plan.metadata != ""


def test_a_commit_without_an_answer_does_not_stop_commits_for_ever():
    ledger, tickets = ledger_with(2)
    state = CommitState(topic_id="")
    ledger.settle(tickets[0])
    lost = state.plan(ledger, now_ms=1_000, leader_epoch=-1)
    ledger.settle(tickets[1])

    assert lost is not None
    assert state.plan(ledger, now_ms=90_999, leader_epoch=-1) is None
    assert state.plan(ledger, now_ms=91_000, leader_epoch=-1) == CommitPlan(2, "")


def test_the_late_answer_to_a_commit_given_up_is_not_taken_for_the_later_one():
    ledger, tickets = ledger_with(2)
    state = CommitState(topic_id="")
    ledger.settle(tickets[0])
    given_up = planned(state, ledger)
    ledger.settle(tickets[1])
    later = state.plan(ledger, now_ms=90_000, leader_epoch=-1)

    state.acknowledge(given_up)

    assert state.committed_offset == -1
    assert later is not None
    state.acknowledge(later)
    assert state.committed_offset == 2


def test_a_done_set_over_the_limit_is_left_out_and_counted():
    ledger, tickets = ledger_with(200_000)
    for ticket in Random(7).sample(tickets[1:], 100_000):  # an irregular pattern does not compress
        ledger.settle(ticket)
    state = CommitState(topic_id="")

    plan = planned(state, ledger)

    assert (plan.offset, plan.metadata, plan.has_dropped_done_set) == (0, "", True)


def test_what_was_done_right_at_a_new_watermark_stays_in_the_done_set():
    before = decode(encode(100, [101, 102], topic_id="", leader_epoch=0), topic_id="")
    ledger = Ledger(position=100, done=before)
    ticket = ledger.admit(record(100, leader_epoch=0))
    assert isinstance(ticket, Ticket)
    ledger.settle(ticket)

    plan = CommitState(topic_id="").plan(ledger, now_ms=0, leader_epoch=0)

    assert plan is not None
    after = decode(plan.metadata, topic_id="")
    assert after is not None
    assert (plan.offset, [offset for offset in range(99, 105) if after.contains(offset)]) == (101, [101, 102])


class AskedLedger(Ledger):
    """Counts how often it is asked for what a done-set holds."""

    asked = 0

    def settled_above(self) -> list[int]:
        self.asked += 1
        return super().settled_above()


def test_a_done_set_that_was_committed_and_has_not_changed_is_not_encoded_again():
    ledger = AskedLedger(position=0)
    tickets = [ledger.admit(record(offset)) for offset in range(3)]
    assert isinstance(tickets[1], Ticket)
    ledger.settle(tickets[1])
    state = CommitState(topic_id="")
    state.acknowledge(planned(state, ledger))

    for second in range(60):
        assert state.plan(ledger, now_ms=second * 1_000, leader_epoch=-1) is None
    ledger.admit(record(3))
    assert state.plan(ledger, now_ms=60_000, leader_epoch=-1) is None

    assert ledger.asked == 1


def test_a_done_set_that_was_not_acknowledged_is_encoded_again():
    ledger, tickets = ledger_with(2)
    state = CommitState(topic_id="")
    ledger.settle(tickets[1])
    plan = planned(state, ledger)
    state.reject(plan, is_metadata_refused=False)

    assert planned(state, ledger) == plan


class WhatChangesAPlan(RuleBasedStateMachine):
    """Whatever happens to a ledger, a state that remembers plans what one without a past would plan,
    unless just that is committed already."""

    def __init__(self) -> None:
        super().__init__()
        before = decode(encode(9, [12, 13, 15, 17, 18, 21], topic_id="", leader_epoch=1), topic_id="")
        self.ledger = Ledger(position=10, done=before)
        self.state = CommitState(topic_id="")
        self.committed: CommitPlan | None = None
        self.offset = 10
        self.leader_epoch = 1
        self.is_broker_there = True

    @rule(gap=st.integers(0, 2))
    def admit(self, gap: int) -> None:
        self.ledger.admit(record(self.offset + gap, leader_epoch=self.leader_epoch))
        self.offset += gap + 1

    @rule()
    def elect_a_leader(self) -> None:
        self.leader_epoch += 1

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        if tickets := self.ledger.open_tickets():
            self.ledger.settle(data.draw(st.sampled_from(tickets)))

    @rule(ahead=st.integers(0, 2))
    def reach_end(self, ahead: int) -> None:
        self.offset += ahead
        self.ledger.reach_end(self.offset)

    @rule(is_there=st.booleans())
    def broker(self, is_there: bool) -> None:
        self.is_broker_there = is_there

    @invariant()
    def only_what_is_committed_is_not_planned(self) -> None:
        fresh = CommitState(topic_id="").plan(self.ledger, now_ms=0, leader_epoch=self.leader_epoch)

        plan = self.state.plan(self.ledger, now_ms=0, leader_epoch=self.leader_epoch)

        assert plan == (None if fresh == self.committed else fresh)
        if plan is not None and self.is_broker_there:
            self.state.acknowledge(plan)
            self.committed = plan
        elif plan is not None:
            self.state.reject(plan, is_metadata_refused=False)


TestWhatChangesAPlan = WhatChangesAPlan.TestCase
