"""Which HTTP headers a subscription may set for itself, and which belong to the connector.

The connector frames the request, names itself and signs; a static header that repeated or contradicted
one of those would make a receiver see two values, or let a configuration smuggle a second request.
Judged when a subscription is read; whoever sends may rely on it.
"""

from __future__ import annotations

import re

FORBIDDEN_HEADERS = frozenset(
    {
        # Framing and connection handling: the sender's own (RFC 9110 section 7.6.1, RFC 9112 section 6).
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        # Who is calling.
        "user-agent",
        # The identity and the signatures of every built-in dialect.
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
        "x-netasampark-signature",
        "x-notify-signature",
        "x-webhook-signature",
        "x-webhook-timestamp",
    }
)
"""Lower-case names that a static header may not have."""

FORBIDDEN_PREFIXES = ("ce-", "proxy-")
"""Lower-case beginnings that a static header may not have: CloudEvents attributes, hop-by-hop proxying."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?", re.ASCII)


def header_name_fault(name: str) -> str:
    """Why a static header may not be called ``name``, in one sentence; empty when it may."""
    lower = name.lower()
    if not _TOKEN.fullmatch(name):
        return f"{name!r} is not a header name; use letters, digits and dashes"
    if lower in FORBIDDEN_HEADERS or lower.startswith(FORBIDDEN_PREFIXES):
        return f"the header {name} is set by the connector itself; remove it"
    return ""


def header_value_fault(value: str) -> str:
    """Why ``value`` cannot be a header's value, in one sentence that does not quote it; empty when it can."""
    if not _VALUE.fullmatch(value):
        return "a header value must be printable ASCII on one line, not empty, without blanks around it"
    return ""
