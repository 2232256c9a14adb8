"""The fast sender keeps the contract of all senders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from connector.webhook.sender import WebhookSender
from tests.contracts.sender_contract import SenderContract
from tests.contracts.sender_tls_contract import authority, ca_file
from tests.support.posting import LOOPBACK, MakeSender

__all__ = ["authority", "ca_file"]


class TestWebhookSender(SenderContract):
    @pytest.fixture
    async def make_sender(self) -> AsyncIterator[MakeSender]:
        senders: list[WebhookSender] = []

        def make(**settings: Any) -> WebhookSender:
            sender = WebhookSender(**{"guard": LOOPBACK, "allow_http": True, **settings})
            senders.append(sender)
            return sender

        yield make
        for sender in senders:
            await sender.close()
