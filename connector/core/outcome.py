"""What came of one attempt: the reply or failure as it was, and what it means.

``Reply`` and ``Failure`` are what a sender reports. ``judge`` (rules per dialect) turns one into
an outcome; :mod:`connector.core.routing` turns the outcome into a route.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FailureKind = Literal[
    "dns",            # the name did not resolve
    "forbidden",      # the address guard refused the address that the name resolved to
    "connect",        # refused, unreachable, reset while connecting
    "tls",            # handshake or certificate
    "timeout",        # the whole-request deadline passed
    "reset",          # closed or reset before the reply was whole
    "protocol",       # what came back is not HTTP/1.1, or exceeds a cap
    "resources",      # ours: file descriptors, ports or buffers used up; never billed to the receiver
]


@dataclass(slots=True)
class Reply:
    """A whole HTTP reply. ``body`` holds at most the first 1 KiB; ``retry_after`` and ``date`` are
    the raw header values, ``None`` when absent."""

    status: int
    retry_after: bytes | None = None
    date: bytes | None = None
    body: bytes = b""
    content_type: bytes = b""


@dataclass(frozen=True, slots=True)
class Failure:
    """No whole reply. ``detail`` is one sentence for the operator."""

    kind: FailureKind
    detail: str


ErrorClass = str
"""Closed vocabulary: ``http-<status>`` or a :data:`FailureKind`; what an operator filters by."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The endpoint accepted the delivery."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """The attempt failed and may be tried again.

    ``retry_after_ms`` is the wait the receiver asked for (0: none); ``is_counted`` is false when
    the fault was ours, so that the attempt number does not move.
    """

    error_class: ErrorClass
    detail: str
    status: int = 0
    retry_after_ms: int = 0
    is_counted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The endpoint will never accept this delivery; no retry helps."""

    reason: Literal["refused", "gone"]
    error_class: ErrorClass
    detail: str
    status: int


Outcome = Delivered | Deferred | Refused
