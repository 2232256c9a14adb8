"""What a task came to, whatever it ended with.

Trouble that we know is put into our words where it shows. Libraries of TLS, DNS and HTTP may raise what
nobody foresaw all the same: then it is this attempt's failure, and counts, for a receiver may have brought it
about. An attempt that never came back would hold its place for ever.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

from connector.core.outcome import Failure

T = TypeVar("T")


def came_of(task: asyncio.Task[T | Failure]) -> T | Failure:
    """The result of a task that is done; of one that was cancelled or raised, a failure."""
    if task.cancelled():
        return Failure("reset", "cancelled by the connector")
    error = task.exception()
    if error is None:
        return task.result()
    return Failure("protocol", f"the attempt broke off with an error that nobody foresaw: {error!r}")
