"""A target: the one reading of a subscription's URL that everything else uses.

Parsers that disagree on a URL are how guards are walked around, so the URL is read once, strictly:
what is unusual is refused with its cure rather than repaired. The result holds the host as it is
looked up, named in ``Host`` and in TLS, and the path as it is sent. An address written in the URL is
judged by the guard here, at registration; a name is judged whenever a connection is opened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Literal
from urllib.parse import SplitResult, quote, urlsplit

import idna

from connector.engine.ports import ForbiddenTarget
from connector.webhook.guard import Address, Guard

Scheme = Literal["http", "https"]

URL_CHARACTERS_MAX = 8_192
"""The longest URL, as sent. Servers commonly refuse request lines above 8 KiB."""

_DEFAULT_PORTS: dict[str, int] = {"http": 80, "https": 443}
# What browsers call bad ports: other protocols live there, and their servers may take lines of a POST for
# commands. No receiver can be meant.
_PORTS_OF_OTHERS = frozenset({
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104,
    109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515,
    526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049,
    3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
})  # fmt: skip
# Space, controls, backslash and lone surrogates: other parsers drop or rewrite them, so nothing good
# contains them.
_SUSPECT = re.compile(r"[\x00-\x20\x7f-\xa0\\\ud800-\udfff]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# A last label like this makes inet_aton read the whole host as an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CANONICAL_V4 = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """``host`` is an ASCII name in lower case or an address without brackets; ``literal`` is that
    address when the URL holds one. ``path`` is the request target: path and query, percent-encoded."""

    scheme: Scheme
    host: str
    port: int
    path: str
    literal: Address | None

    @property
    def place(self) -> str:
        """Scheme, host and port: one text for all spellings of a place."""
        host = f"[{self.host}]" if isinstance(self.literal, IPv6Address) else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def authority(self) -> str:
        """The value of ``Host``: the port is named unless it is the scheme's own."""
        host = f"[{self.host}]" if isinstance(self.literal, IPv6Address) else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_target(url: str, *, allow_http: bool, guard: Guard) -> Target:
    """Read and vet a URL. Raises :class:`ForbiddenTarget` with the rule it breaks and the cure."""
    if (suspect := _SUSPECT.search(url)) is not None:
        raise ForbiddenTarget(
            f"the URL contains {suspect.group()!r}: remove it, or percent-encode it if it is meant"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ForbiddenTarget(f"the URL cannot be read ({error}): correct it") from None
    scheme = _scheme(parts, allow_http=allow_http)
    if "@" in parts.netloc:
        raise ForbiddenTarget("the URL holds user-info before '@': put credentials in a static header")
    if "#" in url:
        raise ForbiddenTarget("the URL has a fragment (#...), which is never sent: remove it")
    if port == 0:
        raise ForbiddenTarget("the URL has port 0, where nothing listens: correct it")
    host, literal = _host(parts)
    if literal is not None and (why := guard.refusal(literal)):
        raise ForbiddenTarget(f"webhooks may not be sent to this address: {why}")
    is_vouched_for = literal is not None and guard.allows(literal)
    if port in _PORTS_OF_OTHERS and not is_vouched_for:
        raise ForbiddenTarget(
            f"the URL's port {port} belongs to another protocol, so no browser connects to it either: have "
            f"the receiver listen on another port"
        )
    return Target(
        scheme=scheme,
        host=host,
        port=port or _DEFAULT_PORTS[scheme],
        path=_path(parts),
        literal=literal,
    )


def _scheme(parts: SplitResult, *, allow_http: bool) -> Scheme:
    if parts.scheme == "https":
        return "https"
    if parts.scheme != "http":
        raise ForbiddenTarget(f"the URL's scheme is {parts.scheme or 'missing'!r}: use https")
    if not allow_http:
        raise ForbiddenTarget(
            "the URL is plain http, which everyone on the way can read and change: use https, or have "
            "the operator allow http (guard.allow_http)"
        )
    return "http"


def _host(parts: SplitResult) -> tuple[str, Address | None]:
    host = parts.netloc.rpartition(":")[0] if _has_port(parts.netloc) else parts.netloc
    if not host:
        raise ForbiddenTarget("the URL names no host: write https://host/path")
    if host.startswith("["):
        literal = _literal_v6(host)
        return str(literal), literal
    name = _ascii_name(host)
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ForbiddenTarget(
            f"the host {host!r} is not a DNS name: labels of 1 to 63 letters, digits and inner hyphens, "
            f"joined by single dots, at most 253 characters, no dot at the end"
        )
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        literal_v4 = _literal_v4(name)
        return name, literal_v4
    return name, None


def _has_port(netloc: str) -> bool:
    return ":" in netloc.rpartition("]")[2]


def _literal_v6(bracketed: str) -> IPv6Address:
    try:
        if "%" in bracketed:
            raise ValueError("a zone means something on one machine only")
        return IPv6Address(bracketed[1:-1])
    except ValueError as error:
        raise ForbiddenTarget(f"{bracketed} is not an IPv6 address ({error}): correct it") from None


def _literal_v4(name: str) -> IPv4Address:
    # Decimal, octal, hexadecimal and short spellings all mean an address to inet_aton and something
    # else, or nothing, to other readers: only the plain spelling is taken.
    try:
        if _CANONICAL_V4.fullmatch(name):
            return IPv4Address(name)
    except ValueError:
        pass
    raise ForbiddenTarget(
        f"the host {name!r} is an unusual spelling of an IPv4 address: write four decimal numbers from "
        f"0 to 255 without leading zeros"
    )


def _ascii_name(host: str) -> str:
    if host.isascii():
        return host.lower()
    try:
        return idna.encode(host, uts46=True, std3_rules=True).decode("ascii")
    except idna.IDNAError as error:
        raise ForbiddenTarget(f"the host {host!r} is not a valid international name: {error}") from None


def _path(parts: SplitResult) -> str:
    path = _encode(parts.path or "/")
    if parts.query:
        path += "?" + _encode(parts.query)
    if len(path) > URL_CHARACTERS_MAX:
        raise ForbiddenTarget(
            f"the URL's path and query are {len(path)} characters when encoded: at most {URL_CHARACTERS_MAX}"
        )
    return path


def _encode(text: str) -> str:
    # What is already encoded stays as the partner wrote it; a signature may cover the path.
    return quote(_LONE_PERCENT.sub("%25", text), safe="/%:@!$&'()*+,;=?~")
