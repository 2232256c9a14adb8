"""The address guard: which addresses a webhook may be sent to.

A subscriber writes the URL, so an address inside the house must be refused whatever spells it. This
module judges addresses only, as a pure function of the address and the operator's lists: names are
resolved elsewhere, and every answer for a name is judged, not only the one that is used.

``ipaddress.is_global`` is no guard: it passes translated and transition addresses that carry an
inner IPv4, and its answer changes with the Python patch release. So IPv6 is denied unless it lies in
the one block that is routed (2000::/3) and outside that block's exceptions, and IPv4 is denied by
the whole list of special purposes at IANA. What else is inside though it looks public, such as a house's
own public range, its operator has to forbid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_FORBIDDEN_V4 = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by carriers"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "Azure's wire server, home of machines' settings"),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Judges addresses by the rules above and the operator's two lists. What is in ``forbidden`` is refused;
    of the rest, what is in ``allowed`` passes; of the rest, what is public."""

    allowed: tuple[Network, ...] = ()
    forbidden: tuple[Network, ...] = ()

    def refusal(self, address: Address) -> str:
        """Why ``address`` must not be connected to, and the cure, as a phrase; empty when it may be.

        An address that carries an IPv4 address in a known way (IPv4-mapped, NAT64) is judged as that
        IPv4 address, and may be forbidden or allowed as itself besides.
        """
        inner = _inner_v4(address)
        for network in self.forbidden:
            if address in network or (inner is not None and inner in network):
                return (
                    f"{address} is in {network}, which forbid_networks names: use another address, or have "
                    f"the operator take that network from guard.forbid_networks"
                )
        if self.allows(address) or (inner is not None and self.allows(inner)):
            return ""
        why = _special_purpose(address, inner)
        if not why:
            return ""
        return f"{why}: use a public address, or have the operator name its network in guard.allow_networks"

    def first_refusal(self, addresses: Iterable[Address]) -> str:
        """The reason against the first forbidden address of an answer; empty when all may be used.

        One bad address condemns the answer: a name that points outside and inside at once is an attack
        or a mistake, and which address would be used is chance.
        """
        return next((why for address in addresses if (why := self.refusal(address))), "")

    def allows(self, address: Address) -> bool:
        """Whether the operator's allow-list holds this very address."""
        return any(address in network for network in self.allowed)


def _special_purpose(address: Address, inner: IPv4Address | None) -> str:
    """The rule by which ``address`` is not public; empty when it is."""
    if inner is not None:
        why = _special_purpose_v4(inner)
        return f"{why}, inside {address}" if why else ""
    if isinstance(address, IPv4Address):
        return _special_purpose_v4(address)
    return _special_purpose_v6(address)


def _special_purpose_v4(address: IPv4Address) -> str:
    for network, what in _FORBIDDEN_V4:
        if address in network:
            return f"{address} is in {network} ({what})"
    return ""


def _special_purpose_v6(address: IPv6Address) -> str:
    if address not in _ROUTED_V6:
        return f"{address} is outside 2000::/3, the only routed part of IPv6"
    for network, what in _FORBIDDEN_V6:
        if address in network:
            return f"{address} is in {network} ({what})"
    return ""


def _inner_v4(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
