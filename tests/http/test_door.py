"""The tests of a door that is short of descriptors run in a process of their own."""

from __future__ import annotations

from pathlib import Path

from tests.support.own_process import run_alone


def test_connections_are_let_in_while_descriptors_are_used_up() -> None:
    run_alone(Path(__file__).with_name("starved_door.py"))
