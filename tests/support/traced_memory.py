"""How much memory something takes at its peak."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def traced_memory() -> Iterator[Callable[[], int]]:
    """Within the block memory is traced: what it yields gives the peak so far, in bytes. Tracing slows
    everything down, so it ends with the block whatever happens there."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
