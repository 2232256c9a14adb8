"""What usually lies behind a reply or failure that is not what was hoped for, for whoever has to mend it."""

from __future__ import annotations

from connector.core.outcome import Failure, FailureKind, Reply

_FAILURES: dict[FailureKind, str] = {
    "dns": "The name in the URL does not resolve here: check its spelling, and this machine's name servers.",
    "forbidden": "The address guard refused the address before anything was sent.",
    "connect": "Nothing listens there, or a firewall or network policy is in between.",
    "tls": "The certificate must be valid, for this name, and of an authority this system trusts; its chain "
    "must be sent whole.",
    "timeout": "The receiver should answer at once and do its work afterwards.",
    "reset": "The receiver, or a proxy before it, closed the connection instead of answering.",
    "protocol": "Something answers there that does not speak HTTP/1.1, or answers without end.",
    "resources": "This process is out of file descriptors, ports or buffers: raise its limits (ulimit -n).",
    "proxy": "The egress proxy is down, refuses this connector, or fails; the receiver was not reached.",
}

_STATUSES: dict[int, str] = {
    400: "Often a parser that expects another body: is this the dialect the receiver was written for?",
    401: "Most often the signature: check that both sides have the same secret and dialect, and that the "
    "receiver hashes the raw bytes of the body (webhook-connector verify says more). Or the receiver wants a "
    "static header.",
    403: "A firewall, a proxy, or the signature: see what the receiver's own log says.",
    404: "The path in the URL is not one the receiver knows.",
    405: "The path is there and takes no POST.",
    410: "The endpoint says that it is gone for good.",
    413: "The receiver takes smaller bodies only; Express for example stops at 100 kB unless told otherwise.",
    415: "The receiver expects another Content-Type than this dialect sends.",
    429: "The receiver is asked too often; the wait it asks for is kept.",
    502: "A proxy answered: the receiver behind it is down.",
    503: "The receiver, or a proxy before it, is not ready.",
    504: "A proxy answered: the receiver behind it is too slow.",
}


def hint(answer: Reply | Failure) -> str:
    """One or two sentences; empty when there is nothing to add to what happened."""
    if isinstance(answer, Failure):
        if answer.is_doubtful:
            return "This is the egress proxy's fault or the receiver's: see what the proxy's own log says."
        return _FAILURES[answer.kind]
    if 300 <= answer.status <= 399:
        return (
            "A redirect is never followed: a signed body goes only where somebody registered it. Register "
            "the final URL."
        )
    if 201 <= answer.status <= 299:
        return "This dialect's guide knows one answer that accepts, and that is 200."
    return _STATUSES.get(answer.status, "")
