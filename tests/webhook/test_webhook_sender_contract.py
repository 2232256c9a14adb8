"""The fast sender keeps the contract of all senders."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contracts.sender_contract import SenderContract
from tests.contracts.sender_tls_contract import authority, ca_file
from tests.support.posting import MakeSender
from tests.support.senders import fast_senders

__all__ = ["authority", "ca_file"]


class TestWebhookSender(SenderContract):
    @pytest.fixture
    async def make_sender(self) -> AsyncIterator[MakeSender]:
        async with fast_senders() as make:
            yield make
