"""The second sender keeps the contract of all senders, directly and through a proxy, and over HTTP/2 the one
of those that speak it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from connector.core.subscription import Egress
from tests.contracts.sender_contract import SenderContract
from tests.contracts.sender_http2_hostile_contract import Http2HostileContract
from tests.contracts.sender_tls_contract import TlsContract, authority, ca_file
from tests.support.egress_proxy import egress_proxy
from tests.support.egress_senders import egress_senders
from tests.support.posting import MakeSender

__all__ = ["authority", "ca_file"]


class TestEgressSenderDirectly(SenderContract):
    @pytest.fixture
    async def make_sender(self) -> AsyncIterator[MakeSender]:
        async with egress_senders(Egress()) as make:
            yield make


class TestEgressSenderOverHttp2(TlsContract, Http2HostileContract):
    """Receivers of TLS that do not negotiate are spoken to in HTTP/1.1."""

    @pytest.fixture
    async def make_sender(self) -> AsyncIterator[MakeSender]:
        async with egress_senders(Egress(http2=True)) as make:
            yield make


class TestEgressSenderThroughAProxy(SenderContract):
    """Names are the proxy's to resolve and to guard, so what is asked of a look-up is asked of it."""

    @pytest.fixture
    async def make_sender(self) -> AsyncIterator[MakeSender]:
        names = {"partner.example": "127.0.0.1", "hang.example": ""}
        async with (
            egress_proxy(names=names) as proxy,
            egress_senders(Egress(proxy=proxy.url)) as make,
        ):
            yield make

    # Ours resolves nothing here.
    test_an_error_that_nobody_foresaw_is_a_failure_and_gives_its_place_back = None
    test_a_name_with_one_forbidden_address_among_its_answers_is_not_connected_to = None
    test_what_is_forbidden_in_what_is_allowed_is_not_connected_to = None
    test_a_name_is_looked_up_once_and_the_address_that_was_vetted_is_connected_to = None
    test_a_name_that_leads_inside_later_is_not_connected_to_then = None
