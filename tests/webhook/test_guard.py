"""The address guard's own rules; which addresses it refuses is in guard_corpus.yaml."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from hypothesis import given
from hypothesis import strategies as st

from connector.webhook.guard import Guard

GUARD = Guard()
EVERYWHERE = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_within_an_ipv6_address_is_judged_as_itself(inner: IPv4Address) -> None:
    mapped, nat64 = IPv6Address(0xFFFF << 32 | int(inner)), IPv6Address(0x64FF9B << 96 | int(inner))
    why, colon, cure = GUARD.refusal(inner).partition(":")

    assert GUARD.refusal(mapped) == (f"{why}, inside {mapped}{colon}{cure}" if why else "")
    assert GUARD.refusal(nat64) == (f"{why}, inside {nat64}{colon}{cure}" if why else "")


@given(st.ip_addresses(v=6, network="2001::/23"))
def test_the_refusal_names_the_address_the_rule_and_the_cure(address: IPv6Address) -> None:
    assert GUARD.refusal(address) == (
        f"{address} is in 2001::/23 (protocol assignments, Teredo among them): use a public address, or have "
        f"the operator name its network in guard.allow_networks"
    )


def test_an_allowed_network_lets_its_addresses_pass_and_no_others() -> None:
    guard = Guard(allowed=(IPv4Network("10.20.0.0/16"), IPv6Network("fd00:1::/32")))

    assert guard.refusal(ip_address("10.20.3.4")) == ""
    assert guard.refusal(ip_address("::ffff:10.20.3.4")) == ""
    assert guard.refusal(ip_address("fd00:1::5")) == ""
    assert guard.refusal(ip_address("10.21.0.1")) != ""
    assert guard.refusal(ip_address("fd00:2::5")) != ""


def test_one_forbidden_address_condemns_an_answer() -> None:
    answer = [ip_address("8.8.8.8"), ip_address("169.254.169.254")]

    assert GUARD.first_refusal(answer).startswith(
        "169.254.169.254 is in 169.254.0.0/16 (link-local, home of cloud metadata): "
    )


@given(st.ip_addresses(v=4, network="198.35.26.0/23"))
def test_a_network_that_the_operator_forbids_is_refused_whatever_is_allowed(address: IPv4Address) -> None:
    guard = Guard(allowed=EVERYWHERE, forbidden=(IPv4Network("198.35.26.0/23"),))
    mapped, nat64 = IPv6Address(0xFFFF << 32 | int(address)), IPv6Address(0x64FF9B << 96 | int(address))

    for each in (address, mapped, nat64):
        assert guard.refusal(each) == (
            f"{each} is in 198.35.26.0/23, which forbid_networks names: use another address, or have the "
            f"operator take that network from guard.forbid_networks"
        )
    assert guard.refusal(ip_address("198.35.28.0")) == ""
