"""Faults that last are told ever more seldom."""

from __future__ import annotations

from connector.kafka.reminder import TEXTS_MAX, Reminder


def test_what_is_met_every_second_is_told_at_once_and_then_ever_more_seldom_down_to_once_a_minute() -> None:
    told_at: list[int] = []
    second = 0
    reminder = Reminder(lambda what: told_at.append(second))

    for second in range(250):
        reminder.met("may not write", now_s=float(second))

    assert told_at == [0, 2, 6, 14, 30, 62, 122, 182, 242]


def test_another_fault_is_told_at_once_and_the_first_keeps_its_pause() -> None:
    told: list[str] = []
    reminder = Reminder(told.append)

    for what in ("a", "b", "a", "b"):
        reminder.met(what, now_s=0.0)

    assert told == ["a", "b"]


def test_what_comes_back_after_all_was_well_is_told_at_once() -> None:
    told: list[str] = []
    reminder = Reminder(told.append)

    reminder.met("a", now_s=0.0)
    reminder.over()
    reminder.met("a", now_s=0.1)

    assert told == ["a", "a"]


def test_only_so_many_faults_are_remembered_and_the_oldest_is_new_again() -> None:
    told: list[str] = []
    reminder = Reminder(told.append)

    for n in range(TEXTS_MAX + 1):
        reminder.met(f"fault {n}", now_s=0.0)
    reminder.met("fault 1", now_s=0.0)
    reminder.met("fault 0", now_s=0.0)

    assert len(told) == TEXTS_MAX + 2
    assert told[-1] == "fault 0"
