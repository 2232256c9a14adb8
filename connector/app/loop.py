"""The event loop that everything which delivers runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

from connector.engine.ports import Log

T = TypeVar("T")


def run_on_loop(main: Coroutine[Any, Any, T]) -> T:  # Any: nothing is sent to it or yielded
    """Run ``main`` on a fast loop of its own and return what it returns. Ctrl-C cancels it, waits until
    it has put things away, and then raises :class:`KeyboardInterrupt`."""
    return uvloop.run(main)


def watch_callbacks(loop: asyncio.AbstractEventLoop, fail: Callable[[str], None], log: Log) -> None:
    """Call ``fail`` when a callback raises. Trouble of a socket is its connection's own; anything else is a
    bug, and a worker that goes on after one may hold what nobody will ever settle."""

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        log.error("a callback failed", why=context.get("message", ""), exc_info=error)
        if error is not None and not isinstance(error, OSError):
            fail(f"a fault of this program: {error!r}")

    loop.set_exception_handler(handle)
