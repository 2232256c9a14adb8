"""Second senders for suites that were written for any sender: every endpoint leaves by the same way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from connector.core.subscription import Egress
from connector.webhook.egress_sender import EgressEndpoint, EgressSender
from tests.support.posting import LOOPBACK


class ByOneWay(EgressSender):
    """An :class:`EgressSender` whose endpoints need not say by which way."""

    def __init__(self, egress: Egress, **settings: Any) -> None:
        super().__init__(**settings)
        self._egress = egress

    def endpoint(self, url: str, **settings: Any) -> EgressEndpoint:
        return super().endpoint(url, **{"egress": self._egress, **settings})


@asynccontextmanager
async def egress_senders(egress: Egress) -> AsyncIterator[Callable[..., EgressSender]]:
    """Yields what makes a sender; closes them all."""
    senders: list[EgressSender] = []

    def make(**settings: Any) -> EgressSender:
        sender = ByOneWay(egress, **{"guard": LOOPBACK, "allow_http": True, **settings})
        senders.append(sender)
        return sender

    yield make
    for sender in senders:
        await sender.close()
