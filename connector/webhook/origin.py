"""An origin: where connections lead, and as whom, those kept for it, and who waits for one."""

from __future__ import annotations

import ssl
from collections import deque
from typing import Generic, TypeVar

from connector.webhook.exchange import Exchange
from connector.webhook.guard import Address
from connector.webhook.reply import KnownReply
from connector.webhook.target import Scheme, Target

Kept = TypeVar("Kept")


class Origin(Generic[Kept]):
    """Scheme, host and port, and the TLS context of one identity (``None`` for http): two identities have
    two origins at one host.

    ``idle`` is a stack of connections; ``claimed`` counts those open or being opened; ``waiting`` are
    exchanges beyond the limit, if any, oldest first, settled ones among them.
    """

    __slots__ = (
        "__weakref__", "claimed", "host", "idle", "known_reply", "literal", "port", "scheme", "tls",
        "waiting",
    )  # fmt: skip

    def __init__(self, target: Target, tls: ssl.SSLContext | None) -> None:
        self.scheme: Scheme = target.scheme
        self.host = target.host
        self.port = target.port
        self.literal: Address | None = target.literal
        self.tls = tls
        self.idle: dict[Kept, None] = {}
        self.claimed = 0
        self.waiting: deque[Exchange] | None = (
            None  # made for the first that waits: an empty one takes 0.8 kB
        )
        self.known_reply = KnownReply()

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"
