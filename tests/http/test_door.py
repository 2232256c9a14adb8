"""The tests of a door that is short of descriptors run in a process of their own.

A thread that another test left behind (a client that connects again and again) took the descriptor that was
set free, and a test waited for ever.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_connections_are_let_in_while_descriptors_are_used_up() -> None:
    tests = Path(__file__).with_name("starved_door.py")

    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", str(tests)],
        capture_output=True,
        text=True,
    )

    assert ended.returncode == 0, ended.stdout
