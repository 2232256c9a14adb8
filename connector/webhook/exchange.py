"""One POST under way: what is to be sent, who wants to know, and where it has got to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from connector.core.outcome import Failure, Reply

if TYPE_CHECKING:
    from connector.webhook.connection import Connection
    from connector.webhook.pool import Origin


class Exchange:
    """A request and its fate. Until it is settled it is in exactly one place: on a connection
    (``connection``), with one being opened for it (``opening``), or in its origin's queue (neither).

    A plain class with identity: one is made for every delivery, and it is hashed twice.
    """

    __slots__ = (
        "connection",
        "context",
        "deadline_s",
        "done",
        "is_resent",
        "is_settled",
        "opening",
        "origin",
        "request",
        "slot",
    )

    def __init__(
        self,
        origin: Origin,
        request: bytes,
        deadline_s: float,
        context: Any,  # the caller's, handed back untouched
        done: Callable[[Any, Reply | Failure], None],
    ) -> None:
        self.origin = origin
        self.request = request
        self.deadline_s = deadline_s
        self.context = context
        self.done = done
        self.slot = 0
        self.is_resent = False  # after a kept connection broke; it is done once
        self.is_settled = False
        self.connection: Connection | None = None
        self.opening: asyncio.Task[Connection | Failure] | None = None
