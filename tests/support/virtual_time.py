"""An event loop whose clock jumps: timers fire in order without anybody waiting for them.

Nothing that runs on it may wait for the outside world; the engine with fake adapters does not.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
START_S = 1_000_000.0
UNIX_AT_START_MS = 1_700_000_000_000


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for a timeout, moves the clock by it."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = START_S

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("nothing will ever happen: no timer is set and nothing is ready")
        if not ready and timeout:
            self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s

    def pass_time(self, seconds: float) -> None:
        """Time passes while a callback is at work."""
        self._jumping.now_s += seconds


class VirtualClock:
    """The engine's clock port on the running virtual loop. ``skew_ms`` shifts Unix time alone."""

    def __init__(self) -> None:
        self.skew_ms = 0

    def monotonic_ms(self) -> int:
        return round(asyncio.get_running_loop().time() * 1_000)

    def now_ms(self) -> int:
        return self.monotonic_ms() - round(START_S * 1_000) + UNIX_AT_START_MS + self.skew_ms


def run_virtual(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run ``main()`` to its end in virtual time. What a callback or a forgotten task raised is raised
    here: the loop alone would only log it."""
    raised: list[BaseException] = []

    async def heard() -> T:
        running = asyncio.current_task()
        assert running is not None

        def failed(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            raised.append(_error_of(context))
            running.cancel()

        asyncio.get_running_loop().set_exception_handler(failed)
        return await main()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        try:
            return runner.run(heard())
        finally:
            if raised:
                raise raised[0]


def _error_of(context: dict[str, Any]) -> BaseException:
    return context.get("exception") or AssertionError(context["message"])


def virtual(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test in virtual time."""

    def run() -> None:
        run_virtual(test)

    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    return run
