"""The prepared head of a request: everything before the signed headers, rendered once per endpoint.

Static headers come from a subscription, so they are where a request could be split in two: names
must be tokens and values printable ASCII, and the names by which framing, identity and signatures
travel are ours alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from connector import __version__
from connector.webhook.target import Target

FORBIDDEN_HEADERS = frozenset(
    {
        "accept-encoding",  # replies are never decompressed
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)
"""Names, in lower case, that a static header may not have."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?|")


def check_header(name: str, value: str) -> None:
    """Raise ``ValueError`` with rule and cure when this may not be a static header. The message
    never quotes the value, which may be a credential."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name: use letters, digits and hyphens")
    if name.lower() in FORBIDDEN_HEADERS:
        raise ValueError(f"the header {name} is set by the connector: remove it")
    if not _VALUE.fullmatch(value):
        raise ValueError(
            f"the value of the header {name} must be printable ASCII without line breaks and without "
            f"blanks at its ends"
        )


def request_head(target: Target, *, headers: Sequence[tuple[str, str]], content_type: str) -> bytes:
    """The request line and all headers that do not change from delivery to delivery. Raises
    ``ValueError`` for a header that :func:`check_header` refuses."""
    if not content_type or not _VALUE.fullmatch(content_type):
        raise ValueError("the content type must be printable ASCII")
    for name, value in headers:
        check_header(name, value)
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"Host: {target.authority}",
        f"User-Agent: webhook-connector/{__version__}",
        f"Content-Type: {content_type}",
        *(f"{name}: {value}" for name, value in headers),
        "",
    ]
    return "\r\n".join(lines).encode("ascii")
