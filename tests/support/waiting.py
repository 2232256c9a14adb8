"""Waiting for a fact, with a limit: what a test does instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable

_LOOK_EVERY_S = 0.02


def wait_until(is_so: Callable[[], bool], what: str, *, timeout_s: float = 60) -> None:
    """Return as soon as ``is_so()``; fails the test with ``what`` when that takes too long."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(_LOOK_EVERY_S)
