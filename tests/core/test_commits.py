"""What is committed, when, and what a refusal changes."""

from __future__ import annotations

from random import Random

from connector.core.commits import CommitPlan, CommitState
from connector.core.doneset import decode
from connector.core.ledger import Ledger, Ticket
from connector.core.record import Record


def ledger_with(count: int) -> tuple[Ledger, list[Ticket]]:
    ledger = Ledger(position=0)
    tickets = [ledger.admit(Record("t", 0, offset, 0, None, b"v")) for offset in range(count)]
    return ledger, tickets  # type: ignore[return-value]  # admitted in order: all are tickets


def test_the_first_plan_commits_the_position():
    ledger, _ = ledger_with(0)

    assert CommitState(topic_id="").plan(ledger, leader_epoch=-1) == CommitPlan(0, "")


def test_nothing_new_is_not_committed_again():
    ledger, tickets = ledger_with(1)
    state = CommitState(topic_id="")
    ledger.settle(tickets[0])
    state.plan(ledger, leader_epoch=-1)
    state.acknowledge()

    assert state.plan(ledger, leader_epoch=-1) is None
    assert state.committed_offset == 1


def test_a_stuck_watermark_is_committed_again_when_the_done_set_grew():
    ledger, tickets = ledger_with(3)
    state = CommitState(topic_id="id")
    ledger.settle(tickets[1])
    first = state.plan(ledger, leader_epoch=3)
    state.acknowledge()
    ledger.settle(tickets[2])

    second = state.plan(ledger, leader_epoch=3)

    assert first is not None
    assert second is not None
    done = decode(second.metadata, topic_id="id")
    assert (first.offset, second.offset) == (0, 0)
    assert done is not None
    assert [offset for offset in range(4) if done.contains(offset)] == [1, 2]


def test_one_commit_is_under_way_at_a_time():
    ledger, tickets = ledger_with(2)
    state = CommitState(topic_id="")
    ledger.settle(tickets[0])
    assert state.plan(ledger, leader_epoch=-1) == CommitPlan(1, "")
    ledger.settle(tickets[1])

    assert state.plan(ledger, leader_epoch=-1) is None
    assert state.plan(ledger, leader_epoch=-1, is_final=True) == CommitPlan(2, "")


def test_a_failed_commit_is_tried_again():
    ledger, tickets = ledger_with(1)
    state = CommitState(topic_id="")
    ledger.settle(tickets[0])
    state.plan(ledger, leader_epoch=-1)

    state.reject(is_metadata_refused=False)

    assert state.plan(ledger, leader_epoch=-1) == CommitPlan(1, "")


def test_a_refused_done_set_is_left_out_and_counted():
    ledger, tickets = ledger_with(2)
    state = CommitState(topic_id="")
    ledger.settle(tickets[1])
    state.plan(ledger, leader_epoch=-1)

    state.reject(is_metadata_refused=True)

    assert state.plan(ledger, leader_epoch=-1) == CommitPlan(0, "")
    assert state.done_sets_dropped == 1


def test_a_done_set_over_the_limit_is_left_out_and_counted():
    ledger, tickets = ledger_with(200_000)
    for ticket in Random(7).sample(tickets[1:], 100_000):  # an irregular pattern does not compress
        ledger.settle(ticket)
    state = CommitState(topic_id="")

    plan = state.plan(ledger, leader_epoch=-1)

    assert plan == CommitPlan(0, "")
    assert state.done_sets_dropped == 1
