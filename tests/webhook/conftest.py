"""Everything that sends runs on the event loop that the product runs on; what counts time itself, on both.
And every test ends: one that waits for what a failing product never does fails where it waits, while others
go on. Only what blocks the loop itself is left to the limit of the whole run.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping

import pytest
import uvloop

_TELL_TIME_APART = frozenset({"test_deadlines.py"})
"""uvloop counts whole milliseconds: only here did the two loops ever differ in what a test saw."""


_ENDS_WITHIN_S = 120
"""A dozen times what the longest takes."""


def pytest_itemcollected(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        item.obj = _ending(item.obj)


def _ending(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def ends(*args: object, **kwargs: object) -> None:
        async with asyncio.timeout(_ENDS_WITHIN_S):
            await test(*args, **kwargs)

    return ends


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.path.name in _TELL_TIME_APART:
        return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}
