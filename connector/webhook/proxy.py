"""What an egress proxy is asked and what its answers mean: whose fault it is that nothing arrived.

A proxy that is down, refuses us or fails is the deployment's own trouble, and a receiver is not billed
for it. But a proxy also speaks *for* the receiver: most answer 502 or 503 when it is the receiver that
cannot be reached. Only the proxies that say which of the two it was can be told apart:

- ``Proxy-Status`` (RFC 9209) names the error: a table here says whose it is;
- ``X-Squid-Error`` and ``X-Smokescreen-Error`` do the same for Squid and Smokescreen.

Without such a mark every refusal of a tunnel is the proxy's, except 403, which is its guard's word on the
address. But it is in doubt: the proxy was met, and dead receivers look the same. Only 407 is surely about us.
A plain http request is answered by receiver and proxy with the same bytes, and a receiver can write
any mark: there it is heard only on 502, 503 and 504, which a proxy would say, and what it excuses is in doubt
(the failure keeps the reply). Without a mark the reply is the receiver's, except 407, which only a proxy has
to say. ``Via`` proves nothing, as every reply that passed through bears it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network

from connector import __version__
from connector.core.outcome import Failure, FailureKind, Reply
from connector.engine.ports import ForbiddenTarget
from connector.webhook.guard import Guard
from connector.webhook.target import Target, parse_target

# The operator names the proxy, and it is inside the house: the guard does not judge it.
_EVERYWHERE = Guard(allowed=(IPv4Network("0.0.0.0/0"), IPv6Network("::/0")))

_STATUS_ERRORS: dict[str, FailureKind] = {
    "dns_timeout": "dns",
    "dns_error": "dns",
    "destination_unavailable": "connect",
    "destination_ip_prohibited": "forbidden",
    "destination_ip_unroutable": "connect",
    "connection_refused": "connect",
    "connection_terminated": "reset",
    "connection_timeout": "connect",
    "connection_read_timeout": "timeout",
    "connection_write_timeout": "timeout",
    "tls_protocol_error": "tls",
    "tls_certificate_error": "tls",
    "tls_alert_received": "tls",
    "http_request_denied": "forbidden",
    "http_response_incomplete": "reset",
    "http_response_header_section_size": "protocol",
    "http_response_header_size": "protocol",
    "http_response_body_size": "protocol",
    "http_response_transfer_coding": "protocol",
    "http_response_content_coding": "protocol",
    "http_response_timeout": "timeout",
    "http_upgrade_failed": "protocol",
    "http_protocol_error": "protocol",
}
"""Errors of RFC 9209 that speak of the receiver; every other one is the proxy's."""

_SQUID_ERRORS: dict[str, FailureKind] = {
    "ERR_ACCESS_DENIED": "forbidden",
    "ERR_CONNECT_FAIL": "connect",
    "ERR_DNS_FAIL": "dns",
    "ERR_INVALID_RESP": "protocol",
    "ERR_READ_ERROR": "reset",
    "ERR_READ_TIMEOUT": "timeout",
    "ERR_SECURE_CONNECT_FAIL": "tls",
    "ERR_TOO_BIG": "protocol",
    "ERR_WRITE_ERROR": "reset",
    "ERR_ZERO_SIZE_OBJECT": "reset",
}
"""Pages of Squid's that speak of the receiver; every other one is the proxy's."""

_SAID_BY_PROXIES = frozenset({407, 502, 503, 504})

_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
_ERROR = re.compile(rb";\s*error\s*=\s*([a-z_]+)")


def parse_proxy(url: str) -> Target:
    """Read a proxy's URL, such as http://egress.internal:3128. Raises ``ValueError`` with rule and cure."""
    if "@" in url:
        raise ValueError(
            "the proxy's URL holds user-info, and a proxy that wants credentials is not supported: let it "
            "admit this connector by its address"
        )
    if url.partition(":")[0].lower() != "http":
        raise ValueError(f"{url!r} is not a proxy's URL: write http://host:port (https goes through it)")
    try:
        target = parse_target(url, allow_http=True, guard=_EVERYWHERE)
    except ForbiddenTarget as error:
        raise ValueError(f"the proxy: {error}") from None
    if target.path != "/":
        raise ValueError(f"the proxy's URL has the path {target.path}, which means nothing: remove it")
    return target


def connect_request(host: str, port: int) -> bytes:
    """The request for a tunnel; ``host`` in brackets when it is an IPv6 address."""
    lines = (
        f"CONNECT {host}:{port} HTTP/1.1",
        f"Host: {host}:{port}",
        f"User-Agent: webhook-connector/{__version__}",
        "\r\n",
    )
    return "\r\n".join(lines).encode("ascii")


def tunnel_failure(status: int, headers: Mapping[bytes, bytes], *, proxy: str, where: str) -> Failure | None:
    """What a proxy's answer to CONNECT means; ``None`` when the tunnel is open. ``headers`` have names in
    lower case."""
    if 200 <= status <= 299:
        return None
    kind = _marked(status, headers) or ("forbidden" if status == 403 else "proxy")
    return Failure(
        kind,
        f"the proxy {proxy} opens no tunnel to {where}: it answers {_said(status, headers)}",
        is_doubtful=kind == "proxy" and status != 407,
    )


def forwarded_failure(
    reply: Reply, headers: Mapping[bytes, bytes], *, proxy: str, where: str
) -> Failure | None:
    """The failure behind a reply that a proxy gave itself to a plain http request; ``None`` when the reply
    is, or must be taken for, the receiver's."""
    if reply.status not in _SAID_BY_PROXIES:
        return None
    kind = _marked(reply.status, headers) or ("proxy" if reply.status == 407 else None)
    if kind is None:
        return None
    said = _said(reply.status, headers)
    detail = f"the proxy {proxy} does not reach {where}: it answers {said}"
    return Failure(kind, detail, is_doubtful=kind == "proxy", reply=reply)


def _marked(status: int, headers: Mapping[bytes, bytes]) -> FailureKind | None:
    """What the answer's own mark says, if it has one."""
    error = _status_error(headers)
    if error:
        return _STATUS_ERRORS.get(error, "proxy")
    if (page := headers.get(b"x-squid-error")) is not None:
        return _SQUID_ERRORS.get(page.split(b" ")[0].decode("latin-1"), "proxy")
    if b"x-smokescreen-error" in headers:
        return "forbidden" if status == 407 else "connect"
    return None


def _status_error(headers: Mapping[bytes, bytes]) -> str:
    found = _ERROR.search(_QUOTED.sub(b"", headers.get(b"proxy-status", b"")))
    return found[1].decode("ascii") if found else ""


def _said(status: int, headers: Mapping[bytes, bytes]) -> str:
    names = (b"proxy-status", b"x-squid-error", b"x-smokescreen-error")
    marks = [headers[name].decode("latin-1")[:200] for name in names if name in headers]
    return f"{status} ({marks[0]})" if marks else f"{status}"
