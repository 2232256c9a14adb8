"""Settling tickets: once each, counted, and heard by whoever waits for room."""

from __future__ import annotations

import pytest

from connector.core.accounts import Accounts, InHand
from connector.core.ledger import Ledger, Ticket
from connector.core.record import Record
from connector.engine.settlement import Settlement


def ticket(*, owing: int) -> Ticket:
    admitted = Ledger(position=0).admit(Record("t", 0, 0, 0, None, b"1"))
    assert isinstance(admitted, Ticket)
    admitted.owing = owing
    return admitted


def test_a_record_is_settled_with_the_last_of_its_deliveries():
    accounts = Accounts()
    settlement, owed = Settlement(accounts), ticket(owing=2)

    settlement.settle_delivery(owed)
    assert (owed.is_settled, accounts.records_settled) == (False, 0)
    settlement.settle_delivery(owed)

    assert (owed.is_settled, accounts.records_settled) == (True, 1)
    assert owed.ledger.watermark == 1


def test_a_delivery_is_not_settled_twice():
    settlement, owed = Settlement(Accounts()), ticket(owing=1)
    settlement.settle_delivery(owed)

    with pytest.raises(AssertionError):
        settlement.settle_delivery(owed)


def test_what_is_settled_after_its_partition_left_changes_no_offset():
    accounts = Accounts()
    settlement, owed = Settlement(accounts), ticket(owing=1)
    owed.ledger.close()

    settlement.settle_delivery(owed)

    assert (owed.is_settled, accounts.records_settled) == (False, 0)


def test_whoever_waits_for_room_hears_of_it_once():
    settlement = Settlement(Accounts())
    heard: list[str] = []
    settlement.wake(lambda: heard.append("room"))

    settlement.make_room()
    settlement.is_awaited = True
    settlement.settle_delivery(ticket(owing=2))
    settlement.settle_delivery(ticket(owing=2))

    assert heard == ["room"]


def test_each_equation_stands_for_itself():
    accounts = Accounts(records_read=3, records_settled=1, deliveries_taken=5, accepted=2)

    assert accounts.problems(InHand(records=2, deliveries=3)) == []
    assert len(accounts.problems(InHand(records=1, deliveries=3))) == 1
    assert len(accounts.problems(InHand(records=2, deliveries=2))) == 1
