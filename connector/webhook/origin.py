"""An origin: where connections lead, those kept for it, and who waits for one."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from connector.webhook.exchange import Exchange
from connector.webhook.guard import Address
from connector.webhook.reply import KnownReply
from connector.webhook.target import Scheme

Kept = TypeVar("Kept")


class Origin(Generic[Kept]):
    """Scheme, host and port. All https origins of a process share one TLS identity (authorities, and
    the host as server name), so it needs no further part in the key.

    ``idle`` is a stack of connections; ``claimed`` counts those open or being opened; ``waiting`` are
    exchanges beyond the limit, oldest first, settled ones among them.
    """

    __slots__ = (
        "__weakref__", "claimed", "host", "idle", "known_reply", "literal", "port", "scheme", "waiting",
    )  # fmt: skip

    def __init__(self, scheme: Scheme, host: str, port: int, literal: Address | None) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port
        self.literal = literal
        self.idle: dict[Kept, None] = {}
        self.claimed = 0
        self.waiting: deque[Exchange] = deque()
        self.known_reply = KnownReply()

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"
