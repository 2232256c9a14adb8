"""Senders for tests that both kinds must pass: what makes some, and closes them all in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from connector.core.subscription import Egress
from connector.webhook.sender import WebhookSender
from tests.support.egress_senders import egress_senders
from tests.support.posting import LOOPBACK, MakeSender

BOTH = ("fast", "second")
HTTP2 = "second, asking for HTTP/2"


@asynccontextmanager
async def fast_senders() -> AsyncIterator[Callable[..., WebhookSender]]:
    """Yields what makes a sender; closes them all."""
    senders: list[WebhookSender] = []

    def make(**settings: Any) -> WebhookSender:
        sender = WebhookSender(**{"guard": LOOPBACK, "allow_http": True, **settings})
        senders.append(sender)
        return sender

    yield make
    for sender in senders:
        await sender.close()


@asynccontextmanager
async def senders_of(kind: str, **usual: Any) -> AsyncIterator[MakeSender]:
    """The same of one of :data:`BOTH` kinds, or :data:`HTTP2`, with the ``usual`` settings."""
    assert kind in (*BOTH, HTTP2)
    making = fast_senders() if kind == "fast" else egress_senders(Egress(http2=kind == HTTP2))
    async with making as make:
        yield partial(make, **usual)
