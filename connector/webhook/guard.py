"""The address guard: which addresses a webhook may be sent to.

A subscriber writes the URL, so an address inside the house must be refused whatever spells it. This
module judges addresses only, as a pure function of the address and the operator's allow-list: names
are resolved elsewhere, and every answer for a name is judged, not only the one that is used.

``ipaddress.is_global`` is no guard: it passes translated and transition addresses that carry an
inner IPv4, and its answer changes with the Python patch release. So IPv6 is denied unless it lies in
the one block that is routed (2000::/3) and outside that block's exceptions, and IPv4 is denied by
the whole list of special purposes at IANA.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_FORBIDDEN_V4 = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by carriers"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local, home of cloud metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112 service"),
        ("192.52.193.0/24", "multicast tunnelling"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112 service"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved or broadcast"),
    )
)

_ROUTED_V6 = IPv6Network("2000::/3")
_FORBIDDEN_V6 = tuple(
    (IPv6Network(network), what)
    for network, what in (
        ("2001::/23", "protocol assignments, Teredo among them"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4, which carries an IPv4 address"),
        ("2620:4f:8000::/48", "AS112 service"),
        ("3fff::/20", "documentation"),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


def parse_networks(networks: Iterable[str]) -> tuple[Network, ...]:
    """The operator's allow-list. Raises ``ValueError`` naming the entry that is not a network."""
    parsed: list[Network] = []
    for text in networks:
        try:
            parsed.append(ip_network(text))
        except ValueError as error:
            raise ValueError(f"{text!r} is not a network such as 10.20.0.0/16: {error}") from error
    return tuple(parsed)


def refusal(address: Address, allowed: Sequence[Network]) -> str:
    """Why ``address`` must not be connected to, as a phrase; empty when it may be.

    An address in an ``allowed`` network passes. An address that carries an IPv4 address in a known
    way (IPv4-mapped, NAT64) is judged as that IPv4 address.
    """
    if any(address in network for network in allowed):
        return ""
    if isinstance(address, IPv4Address):
        return _refusal_v4(address)
    inner = _inner_v4(address)
    if inner is not None:
        why = refusal(inner, allowed)
        return f"{why}, inside {address}" if why else ""
    if address not in _ROUTED_V6:
        return f"{address} is outside 2000::/3, the only routed part of IPv6"
    for network, what in _FORBIDDEN_V6:
        if address in network:
            return f"{address} is in {network} ({what})"
    return ""


def first_refusal(addresses: Iterable[Address], allowed: Sequence[Network]) -> str:
    """The reason against the first forbidden address of an answer; empty when all may be used.

    One bad address condemns the answer: a name that points outside and inside at once is an attack
    or a mistake, and which address would be used is chance.
    """
    return next((why for address in addresses if (why := refusal(address, allowed))), "")


def _refusal_v4(address: IPv4Address) -> str:
    for network, what in _FORBIDDEN_V4:
        if address in network:
            return f"{address} is in {network} ({what})"
    return ""


def _inner_v4(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
