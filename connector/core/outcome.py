"""What came of one attempt: the reply or failure as it was, and what it means.

``Reply`` and ``Failure`` are what a sender reports. ``judge`` (rules per dialect) turns one into
an outcome; :mod:`connector.core.routing` turns the outcome into a route.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

FailureKind = Literal[
    "dns",            # the name did not resolve
    "forbidden",      # the address guard refused the address that the name resolved to
    "connect",        # refused, unreachable, reset while connecting
    "tls",            # handshake or certificate
    "timeout",        # the whole-request deadline passed
    "reset",          # closed or reset before the reply was whole
    "protocol",       # what came back is not HTTP/1.1, or exceeds a cap
    "resources",      # ours: file descriptors, ports or buffers used up; never billed to the receiver
    "proxy",          # ours: the egress proxy is down, refuses us or fails; or, in doubt, the receiver
]

OWN_FAULTS: Final[frozenset[FailureKind]] = frozenset({"resources", "proxy"})
"""Failures that say nothing about the receiver, unless they are in doubt: no attempt is used up by them."""


@dataclass(slots=True)
class Reply:
    """A whole HTTP reply. ``body`` holds at most the first 1 KiB; ``retry_after`` and ``date`` are
    the raw header values, ``None`` when absent; of several ``Retry-After`` each is a line."""

    status: int
    retry_after: bytes | None = None
    date: bytes | None = None
    body: bytes = b""
    content_type: bytes = b""


@dataclass(frozen=True, slots=True)
class Failure:
    """No whole reply. ``detail`` is one sentence for the operator; ``is_unconnected``: the time was over
    before there was a connection. ``is_doubtful``: it looks like a fault of ours, and may be the receiver's.
    ``reply`` is what a proxy seems to have said in the receiver's stead, where the receiver may have written
    it itself."""

    kind: FailureKind
    detail: str
    is_unconnected: bool = False
    is_doubtful: bool = False
    reply: Reply | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it is surely a fault of ours, and as much so for others by the same way."""
        return self.kind in OWN_FAULTS and not self.is_doubtful

    @property
    def is_unreached(self) -> bool:
        """Whether nobody was met at all, which across many hosts at once is a fault of ours: a name server
        that slips sends all names to forbidden addresses, a proxy that is cut off opens no tunnel."""
        if self.is_doubtful:
            return self.reply is None
        return self.is_unconnected or self.kind in ("dns", "connect", "forbidden")


ErrorClass = str
"""Closed vocabulary: ``http-<status>`` or a :data:`FailureKind`; what an operator filters by."""


_OVERLOADED = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Delivered:
    """The endpoint accepted the delivery. ``retry_after_ms`` is how long it asked to be left alone with
    others (0: not at all)."""

    status: int
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """The attempt failed and may be tried again.

    ``retry_after_ms`` is the wait the receiver asked for (0: none); ``is_counted`` is false when
    the fault was ours, so that the attempt number does not move. ``is_doubtful``: it may be the receiver's
    all the same.
    """

    error_class: ErrorClass
    detail: str
    status: int = 0
    retry_after_ms: int = 0
    is_counted: bool = True
    is_doubtful: bool = False

    @property
    def slows_lane(self) -> bool:
        """Whether the endpoint may have been asked for too much: no whole reply, or one that says so."""
        return self.status == 0 or self.status in _OVERLOADED or self.status >= 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The endpoint will never accept this delivery; no retry helps. ``retry_after_ms`` is how long it asked
    to be left alone with others (0: not at all)."""

    reason: Literal["refused", "gone"]
    error_class: ErrorClass
    detail: str
    status: int
    retry_after_ms: int = 0

    def doubted(self) -> Deferred:
        """The same, where it is in doubt whether this endpoint is still the one to say so."""
        return Deferred(
            error_class=self.error_class,
            detail=self.detail,
            status=self.status,
            retry_after_ms=self.retry_after_ms,
        )


Outcome = Delivered | Deferred | Refused
