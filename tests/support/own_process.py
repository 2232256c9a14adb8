"""Tests that need a process of their own, such as those that use up its descriptors.

In a process that others share, a thread that an earlier test left behind (a client that connects again and
again) takes the descriptor that is set free, and the test waits for ever.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_TEST_S = 60
_ALL_S = 120


def run_alone(tests: Path) -> None:
    """Run the tests of one file, whose name keeps it from being run with the others. One that hangs is ended,
    and named in what is shown when any fails."""
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *(f"--timeout={_TEST_S}", str(tests)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_ALL_S,
    )

    assert ended.returncode == 0, ended.stdout
