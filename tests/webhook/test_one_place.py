"""One host is one host however its URL is spelled: a limit per host cannot be stormed by spellings."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from connector.core.breaker import BreakerRules
from connector.core.composer import compile_composer
from connector.core.subscription import DIRECT, Egress
from connector.engine.clock import SystemClock
from connector.engine.lanes import Lanes
from connector.engine.ports import ForbiddenTarget
from connector.webhook.egress_sender import EgressSender
from connector.webhook.guard import Guard
from connector.webhook.router import SenderRouter
from connector.webhook.sender import WebhookSender
from tests.support.world import subscription

SPELLINGS = [
    "https://b\u00fccher.example/a",
    "https://b\u00fccher.example:443/b",
    "https://b\u00fccher.example:0443/c",
    "https://B\u00dcCHER.Example/d",
    "https://xn--bcher-kva.example/e",
    "https://XN--BCHER-KVA.EXAMPLE:443/f?g",
    "https://bu\u0308cher.example/h",
    "https://xn--bcher-kva.example:/i",
    "HTTPS://xn--bcher-kva.example",
]
ADDRESSES = [
    "https://[2606:4700::1111]/a",
    "https://[2606:4700:0:0:0:0:0:1111]:443/b",
    "https://[2606:4700::0.0.17.17]/c",
]


@pytest.fixture
async def sender() -> AsyncIterator[SenderRouter]:
    sender = SenderRouter(WebhookSender(guard=Guard()), lambda: EgressSender(guard=Guard()))
    yield sender
    await sender.close()


def lanes_of(sender: SenderRouter, urls: list[str], *egresses: Egress) -> Lanes:
    lanes = Lanes(
        sender,
        lambda one: compile_composer(one.dialect, one.secrets),
        breaker=BreakerRules(),
        host_in_flight_max=256,
        clock=SystemClock(),
    )
    ways = egresses or (DIRECT,)
    lanes.replace(
        [
            subscription(f"s{n}-{m}", url=url, egress=egress)
            for n, url in enumerate(urls)
            for m, egress in enumerate(ways)
        ]
    )
    return lanes


@pytest.mark.parametrize("urls", [SPELLINGS, ADDRESSES])
async def test_all_spellings_of_a_host_share_its_places(sender: SenderRouter, urls: list[str]) -> None:
    lanes = lanes_of(sender, urls)

    assert len(lanes.hosts) == 1


async def test_both_senders_read_a_host_alike(sender: SenderRouter) -> None:
    lanes = lanes_of(sender, SPELLINGS, DIRECT, Egress(http2=True))

    assert [host.name for host in lanes.hosts] == ["https://xn--bcher-kva.example:443"]


async def test_all_spellings_of_a_proxy_are_one_way(sender: SenderRouter) -> None:
    proxies = ["http://p.example:3128", "http://P.Example:03128", "HTTP://p.example:3128/"]

    lanes = lanes_of(sender, SPELLINGS, *(Egress(proxy=one) for one in proxies))

    assert {host.way for host in lanes.hosts} == {"p.example:3128"}
    assert len(lanes.hosts) == 1


async def test_another_scheme_or_port_is_another_place(sender: SenderRouter) -> None:
    lanes = lanes_of(sender, ["https://a.example", "https://a.example:8443", "https://b.example"])

    assert len(lanes.hosts) == 3


async def test_a_dot_at_the_end_is_no_further_spelling_but_refused(sender: SenderRouter) -> None:
    with pytest.raises(ForbiddenTarget):
        lanes_of(sender, ["https://a.example./hook"])
