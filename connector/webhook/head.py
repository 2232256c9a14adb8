"""The prepared head of a request: everything before the signed headers, rendered once per endpoint.

Static headers come from a subscription, so they are where a request could be split in two: names
must be tokens and values printable ASCII, and the names by which framing, identity and signatures
travel are ours alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from connector import __version__
from connector.core.http_names import header_name_fault, header_value_fault
from connector.webhook.target import Target


def check_header(name: str, value: str) -> None:
    """Raise ``ValueError`` with rule and cure when this may not be a static header. The message
    never quotes the value, which may be a credential."""
    if fault := header_name_fault(name):
        raise ValueError(fault)
    if fault := header_value_fault(value):
        raise ValueError(f"the header {name}: {fault}")


def request_head(target: Target, *, headers: Sequence[tuple[str, str]], content_type: str) -> bytes:
    """The request line and all headers that do not change from delivery to delivery. Raises
    ``ValueError`` for a header that :func:`check_header` refuses."""
    if fault := header_value_fault(content_type):
        raise ValueError(f"the content type: {fault}")
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
