"""A place: where links of the second sender lead, and by which way. Links are never shared between two."""

from __future__ import annotations

import ssl

import httpcore

from connector.webhook.guard import Address
from connector.webhook.target import Scheme, Target


class Proxy:
    """An egress proxy. ``answered_at_s`` is when it last answered anybody who asked for a tunnel, on the
    monotonic clock: who waits for it in vain can tell a dead proxy from a dead receiver by that."""

    __slots__ = ("__weakref__", "answered_at_s", "name", "target")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.name = target.authority
        self.answered_at_s = float("-inf")


class Place:
    """Scheme, host and port of the receiver; the proxy on the way, if any; the TLS context of one identity
    (``None`` for http); whether HTTP/2 is wanted. ``sending_bytes`` are of bodies under way there."""

    __slots__ = (
        "__weakref__", "host", "literal", "origin", "port", "proxy", "scheme", "sending_bytes", "tls",
        "wants_http2",
    )  # fmt: skip

    def __init__(
        self, target: Target, proxy: Proxy | None, tls: ssl.SSLContext | None, *, wants_http2: bool
    ) -> None:
        self.scheme: Scheme = target.scheme
        self.host = target.host
        self.port = target.port
        self.literal: Address | None = target.literal
        self.proxy = proxy
        self.tls = tls
        self.wants_http2 = wants_http2
        self.sending_bytes = 0
        self.origin = httpcore.Origin(
            target.scheme.encode("ascii"), target.host.encode("ascii"), target.port
        )

    @property
    def is_tunnelled(self) -> bool:
        """Whether the proxy passes bytes on unread. It reads and forwards requests of plain http."""
        return self.proxy is not None and self.scheme == "https"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        through = f" through the proxy {self.proxy.name}" if self.proxy is not None else ""
        return f"{self.scheme}://{host}:{self.port}{through}"
