"""Everything that sends runs on the event loop that the product runs on; what counts time itself, on both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

_TELL_TIME_APART = frozenset({"test_deadlines.py"})
"""uvloop counts whole milliseconds: only here did the two loops ever differ in what a test saw."""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.path.name in _TELL_TIME_APART:
        return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}
