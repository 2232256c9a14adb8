"""One POST under way: what is to be sent, who wants to know, and where it has got to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from connector.core.outcome import Failure, Reply


class Carrier(Protocol):
    """The connection that carries an exchange, as far as the exchange is concerned."""

    @property
    def has_reply_begun(self) -> bool:
        """Whether any byte of the reply has come."""

    def abort(self) -> None:
        """Close at once and drop the exchange without a word."""


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
        "request",
        "slot",
    )

    def __init__(
        self,
        request: bytes,
        deadline_s: float,
        context: Any,  # the caller's, handed back untouched
        done: Callable[[Any, Reply | Failure], None],
    ) -> None:
        self.request = request
        self.deadline_s = deadline_s
        self.context = context
        self.done = done
        self.slot = 0
        self.is_resent = False  # after a kept connection broke; it is done once
        self.is_settled = False
        self.connection: Carrier | None = None
        self.opening: asyncio.Task[object] | None = None
