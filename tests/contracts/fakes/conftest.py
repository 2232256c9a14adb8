"""The fakes keep their contracts on the loop that the engine's tests run on, where time jumps."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import pytest

from tests.support.virtual_time import VirtualLoop

_LOOPS = MappingProxyType({"virtual": VirtualLoop})


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> MappingProxyType[str, Callable[[], VirtualLoop]]:
    return _LOOPS
