"""The second sender keeps the contract of all senders: directly, asking for HTTP/2, and through a proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from connector.core.subscription import Egress
from tests.contracts.sender_contract import MakeSender, SenderContract, authority, ca_file
from tests.support.egress_senders import egress_senders

__all__ = ["authority", "ca_file"]


class TestEgressSenderDirectly(SenderContract):
    @pytest.fixture
    async def make_sender(self) -> AsyncIterator[MakeSender]:
        async with egress_senders(Egress()) as make:
            yield make


class TestEgressSenderThatWouldSpeakHttp2(SenderContract):
    @pytest.fixture
    async def make_sender(self) -> AsyncIterator[MakeSender]:
        async with egress_senders(Egress(http2=True)) as make:
            yield make
