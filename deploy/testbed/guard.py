"""Ends processes and removes a folder, whatever becomes of the process that asked for it.

A guard is a small process of its own that reads a pipe. Told to end, or finding the pipe closed
because its owner died, it kills every process group it was given and removes the folder. An
orderly stop and a killed owner take the same way, so the way is walked in every run. The owner
reaps its own children.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


class Guard:
    """Owner's end of the pipe. ``folder`` must exist and is removed at the end."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C at a terminal must not reach it
        )

    def watch(self, group: int) -> None:
        """Kill this process group at the end."""
        self._tell(f"+{group}")

    def forget(self, group: int) -> None:
        """The group has ended; its number may soon be somebody else's."""
        self._tell(f"-{group}")

    def end(self) -> None:
        """Kill what is watched, remove the folder, and return once both are done."""
        if self._process.stdin is None or self._process.stdin.closed:
            return
        self._tell("end")
        self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


def _keep_watch(lines: Iterable[str]) -> set[int]:
    """Follow the owner's orders to their end; the groups that are still alive then."""
    groups: set[int] = set()
    for line in lines:
        order = line.strip()
        if order == "end":
            break
        if order.startswith("+"):
            groups.add(int(order[1:]))
        elif order.startswith("-"):
            groups.discard(int(order[1:]))
    return groups


def _main(folder: str) -> None:
    # The end of the pipe is the only order it takes: a signal sent to everyone must not make it
    # leave before those it guards.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for group in _keep_watch(sys.stdin):
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _main(sys.argv[1])
