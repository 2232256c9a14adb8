"""The address guard: what is inside the house stays unreachable, however it is spelt."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.webhook.guard import first_refusal, parse_networks, refusal

FORBIDDEN_V4 = [
    "0.0.0.0", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1",
    "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.8",
    "192.0.0.170", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.1",
    "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255",
]  # fmt: skip

FORBIDDEN_V6 = [
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "100::1", "2001::1", "2001:1::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::1",
    "3fff::1", "3fff:fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1",
    "fe80::5efe:7f00:1", "fec0::1", "ff02::1", "::5efe:7f00:1", "1fff::1",
]  # fmt: skip

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255",
    "172.32.0.0", "192.0.1.0", "223.255.255.255", "2000::1", "2001:200::1", "2606:4700::1111",
    "2a00:1450::1", "3ffe:ffff::1", "3fff:1000::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
]  # fmt: skip


@pytest.mark.parametrize("text", FORBIDDEN_V4 + FORBIDDEN_V6)
def test_an_address_of_special_purpose_is_refused(text: str) -> None:
    assert refusal(ip_address(text), ()) != ""


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_passes(text: str) -> None:
    assert refusal(ip_address(text), ()) == ""


@given(st.sampled_from(FORBIDDEN_V4))
def test_an_ipv4_address_within_an_ipv6_address_is_judged_as_itself(text: str) -> None:
    inner = int(IPv4Address(text))

    assert "inside ::ffff:" in refusal(IPv6Address(0xFFFF << 32 | inner), ())
    assert "inside 64:ff9b::" in refusal(IPv6Address((0x64FF9B << 96) | inner), ())


@given(st.ip_addresses(v=6, network="2001::/23"))
def test_the_refusal_names_the_address_and_the_rule(address: IPv6Address) -> None:
    assert refusal(address, ()) == f"{address} is in 2001::/23 (protocol assignments, Teredo among them)"


def test_an_allowed_network_lets_its_addresses_pass_and_no_others() -> None:
    allowed = parse_networks(["10.20.0.0/16", "fd00:1::/32"])

    assert refusal(ip_address("10.20.3.4"), allowed) == ""
    assert refusal(ip_address("::ffff:10.20.3.4"), allowed) == ""
    assert refusal(ip_address("fd00:1::5"), allowed) == ""
    assert refusal(ip_address("10.21.0.1"), allowed) != ""
    assert refusal(ip_address("fd00:2::5"), allowed) != ""


def test_one_forbidden_address_condemns_an_answer() -> None:
    answer = [ip_address("8.8.8.8"), ip_address("169.254.169.254")]

    assert first_refusal(answer, ()) == (
        "169.254.169.254 is in 169.254.0.0/16 (link-local, home of cloud metadata)"
    )


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "house", ""])
def test_a_malformed_allowed_network_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a network such as"):
        parse_networks([text])
