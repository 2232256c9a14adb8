"""The address guard's own rules; which addresses it refuses is in guard_corpus.yaml."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.webhook.guard import Guard, parse_networks

GUARD = Guard()


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_within_an_ipv6_address_is_judged_as_itself(inner: IPv4Address) -> None:
    mapped, nat64 = IPv6Address(0xFFFF << 32 | int(inner)), IPv6Address(0x64FF9B << 96 | int(inner))
    why = GUARD.refusal(inner)

    assert GUARD.refusal(mapped) == (f"{why}, inside {mapped}" if why else "")
    assert GUARD.refusal(nat64) == (f"{why}, inside {nat64}" if why else "")


@given(st.ip_addresses(v=6, network="2001::/23"))
def test_the_refusal_names_the_address_and_the_rule(address: IPv6Address) -> None:
    assert GUARD.refusal(address) == f"{address} is in 2001::/23 (protocol assignments, Teredo among them)"


def test_an_allowed_network_lets_its_addresses_pass_and_no_others() -> None:
    guard = Guard(allowed=parse_networks(["10.20.0.0/16", "fd00:1::/32"]))

    assert guard.refusal(ip_address("10.20.3.4")) == ""
    assert guard.refusal(ip_address("::ffff:10.20.3.4")) == ""
    assert guard.refusal(ip_address("fd00:1::5")) == ""
    assert guard.refusal(ip_address("10.21.0.1")) != ""
    assert guard.refusal(ip_address("fd00:2::5")) != ""


def test_one_forbidden_address_condemns_an_answer() -> None:
    answer = [ip_address("8.8.8.8"), ip_address("169.254.169.254")]

    assert GUARD.first_refusal(answer) == (
        "169.254.169.254 is in 169.254.0.0/16 (link-local, home of cloud metadata)"
    )


@given(st.ip_addresses(v=4, network="198.35.26.0/23"))
def test_a_network_that_the_operator_forbids_is_refused_whatever_is_allowed(address: IPv4Address) -> None:
    everything = parse_networks(["0.0.0.0/0", "::/0"])
    guard = Guard(allowed=everything, forbidden=parse_networks(["198.35.26.0/23"]))
    mapped, nat64 = IPv6Address(0xFFFF << 32 | int(address)), IPv6Address(0x64FF9B << 96 | int(address))

    for each in (address, mapped, nat64):
        assert guard.refusal(each) == f"{each} is in 198.35.26.0/23, which forbid_networks names"
    assert guard.refusal(ip_address("198.35.28.0")) == ""


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "house", ""])
def test_a_malformed_network_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a network such as"):
        parse_networks([text])
