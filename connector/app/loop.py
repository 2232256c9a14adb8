"""The event loop that everything which delivers runs on."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


def run_on_loop(main: Coroutine[Any, Any, T]) -> T:  # Any: nothing is sent to it or yielded
    """Run ``main`` on a fast loop of its own and return what it returns. Ctrl-C cancels it, waits until
    it has put things away, and then raises :class:`KeyboardInterrupt`."""
    return uvloop.run(main)
