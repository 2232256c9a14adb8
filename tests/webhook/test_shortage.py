"""Descriptors or ports are used up: a fault of ours wherever it strikes, and over when it is over."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme
import uvloop

from connector.core.outcome import Failure
from connector.core.subscription import Egress
from connector.engine.ports import Sender
from connector.webhook.dial import failure_at
from connector.webhook.guard import Guard
from connector.webhook.resolver import AresLookup, Lookup
from connector.webhook.sender import WebhookSender
from tests.contracts.sender_tls_contract import authority, ca_file, server_tls
from tests.support.egress_proxy import egress_proxy
from tests.support.egress_senders import ByOneWay
from tests.support.http2_receiver import http2_receiving
from tests.support.name_server import name_server
from tests.support.own_network import OwnNetwork, no_port_left
from tests.support.own_process import run_alone
from tests.support.posting import LOOPBACK, FixedLookup, kind, post
from tests.support.raw_receiver import always, ok, receiving
from tests.support.starved_sender import Order, orders_to_text

__all__ = ["authority", "ca_file"]

NAME = "partner.example"


# ── file descriptors ────────────────────────────────────────────────────────────────────────────


async def test_with_any_number_of_descriptors_left_a_delivery_arrives_or_the_fault_is_ours(
    authority: trustme.CA, ca_file: str
) -> None:
    async with (
        name_server({NAME: "127.0.0.1", "proxy.example": "127.0.0.1"}) as server,
        receiving(always(ok())) as plain,
        receiving(always(ok()), server_tls(authority, NAME, "127.0.0.1")) as secure,
        http2_receiving(lambda peer, stream: peer.reply(stream), server_tls(authority, NAME)) as http2,
        egress_proxy(names={NAME: "127.0.0.1"}) as proxy,
    ):
        by_address = Order(url=plain.url(), name_server=server, ca_file=ca_file)
        by_name = replace(by_address, url=plain.url(host=NAME))
        with_tls = replace(by_address, url=secure.url(host=NAME))
        orders = [
            by_address,
            by_name,
            with_tls,
            replace(by_address, http2=True),
            replace(by_name, http2=True),
            replace(by_name, http2=True, url=http2.url(host=NAME)),
            replace(by_address, proxy=proxy.url),
            replace(with_tls, proxy=f"http://proxy.example:{proxy.port}"),
        ]
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.starved_sender", orders_to_text(orders)),
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # it forks
        )
        try:
            said, _ = await asyncio.wait_for(program.communicate(), 60)
        finally:
            if program.returncode is None:
                os.killpg(program.pid, signal.SIGKILL)

    for order, outcomes in zip(orders, json.loads(said), strict=True):
        starved, fed = zip(*outcomes, strict=True)
        assert starved in (
            ("resources", "http-200", "http-200", "http-200"),
            ("resources", "resources", "http-200", "http-200"),
            ("resources", "resources", "resources", "http-200"),
        ), order
        assert set(fed) == {"http-200"}, order


async def test_a_name_server_that_refuses_is_no_shortage() -> None:
    lookup = AresLookup(["127.0.0.1:1"])
    sender = WebhookSender(guard=Guard(), lookup=lookup)

    outcome = await post(sender, "https://partner.example/")
    await sender.close()

    assert kind(outcome) == "dns"


def test_a_part_of_a_sender_that_finds_no_descriptor_is_no_other_matter() -> None:
    run_alone(Path(__file__).with_name("starved_parts.py"))


# ── local ports ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnNetwork]:
    with OwnNetwork(tmp_path_factory.mktemp("network")) as network:
        yield network


def fast(lookup: Lookup) -> Sender:
    return WebhookSender(guard=LOOPBACK, allow_http=True, lookup=lookup)


def second(lookup: Lookup) -> Sender:
    return ByOneWay(Egress(http2=True), guard=LOOPBACK, allow_http=True, lookup=lookup)


MakeWithLookup = Callable[[Lookup], Sender]
both = pytest.mark.parametrize("make", [fast, second])


@both
def test_without_a_port_to_connect_from_the_fault_is_ours(network: OwnNetwork, make: MakeWithLookup) -> None:
    async def scenario() -> None:
        sender = make(FixedLookup({NAME: ["127.0.0.1"]}))
        async with receiving(always(ok())) as receiver:
            with no_port_left(socket.SOCK_STREAM):
                starved = [kind(await post(sender, receiver.url(host=host))) for host in ("127.0.0.1", NAME)]
            fed = kind(await post(sender, receiver.url(host=NAME)))
            await sender.close()

        assert starved == ["resources", "resources"]
        assert fed == "http-200"

    network.run(lambda: uvloop.run(scenario()))


@both
def test_without_a_port_a_name_with_addresses_that_we_cannot_reach_at_all_is_no_other_matter(
    network: OwnNetwork, make: MakeWithLookup
) -> None:
    async def scenario() -> None:
        sender = make(FixedLookup({NAME: ["2600::1", "127.0.0.1"]}))  # no way leads to IPv6 from here
        async with receiving(always(ok())) as receiver:
            with no_port_left(socket.SOCK_STREAM):
                starved = kind(await post(sender, receiver.url(host=NAME)))
            fed = kind(await post(sender, receiver.url(host=NAME)))
            await sender.close()

        assert (starved, fed) == ("resources", "http-200")

    network.run(lambda: uvloop.run(scenario()))


@both
def test_without_a_port_to_ask_a_name_server_from_the_fault_is_ours(
    network: OwnNetwork, make: MakeWithLookup
) -> None:
    async def scenario() -> None:
        async with name_server({NAME: "127.0.0.1"}) as server, receiving(always(ok())) as receiver:
            sender = make(AresLookup([server]))
            with no_port_left(socket.SOCK_DGRAM):
                starved = await post(sender, receiver.url(host=NAME))
            fed = await post(sender, receiver.url(host=NAME))
            await sender.close()

        assert starved == Failure("resources", f"{NAME} is not looked up: no port is free")
        assert kind(fed) == "http-200"

    network.run(lambda: uvloop.run(scenario()))


# ── one failure for several addresses ───────────────────────────────────────────────────────────

V4, V6 = ip_address("192.0.2.1"), ip_address("2001:db8::1")


@pytest.mark.parametrize(
    ("to_v6", "to_v4", "told"),
    [
        (errno.ENETUNREACH, errno.ECONNREFUSED, "connect"),  # no IPv6 here, and nobody listens
        (errno.EADDRNOTAVAIL, errno.ECONNREFUSED, "connect"),  # the same, as said of other interfaces
        (errno.ENETUNREACH, errno.ENETUNREACH, "connect"),
        (errno.ENETUNREACH, errno.EADDRNOTAVAIL, "resources"),  # no IPv6 here, and no port left
        (errno.EADDRNOTAVAIL, errno.EADDRNOTAVAIL, "resources"),
        (errno.ECONNREFUSED, errno.EMFILE, "resources"),  # one was never tried
        (errno.EMFILE, errno.ECONNREFUSED, "resources"),
    ],
)
def test_of_two_addresses_the_one_that_tells_most_is_told(to_v6: int, to_v4: int, told: str) -> None:
    errors = [(OSError(number, os.strerror(number)), at) for number, at in ((to_v6, V6), (to_v4, V4))]

    assert failure_at(errors, "https://a.example").kind == told
