"""How each guide's receiver checks a request: written from the guides alone.

These functions share nothing with the connector, so that what they accept is proof. Each takes the
request's headers (lower-case names), its raw body, the secret and the receiver's clock, and gives the
fault it finds in one sentence, or an empty text.

The raw body is hashed throughout. Three guides hash ``JSON.stringify(parsed)`` in JavaScript; the bodies
sent are fixed points of that, and Python's ``json`` would lay numbers out differently.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Mapping[str, str], bytes, str, float], str]

_WINDOW_S = 300


def _networked(headers: Mapping[str, str], body: bytes, secret: str, now_s: float) -> str:
    return _window(headers.get("x-webhook-timestamp", ""), now_s) or _hex(
        headers.get("x-webhook-signature", ""), body, secret
    )


def _webhooks_v1(headers: Mapping[str, str], body: bytes, secret: str, _now_s: float) -> str:
    return _hex(headers.get("x-webhook-signature", ""), body, secret)


def _notify(headers: Mapping[str, str], body: bytes, secret: str, _now_s: float) -> str:
    return _hex(headers.get("x-notify-signature", ""), body, secret)


def _bellamy(headers: Mapping[str, str], body: bytes, secret: str, _now_s: float) -> str:
    if fault := _hex(headers.get("x-webhook-signature", ""), body, secret):
        return fault
    envelope, _, rest = body.rpartition(b',"signature":"')
    if fault := _hex(rest.removesuffix(b'"}').decode(errors="replace"), envelope + b"}", secret):
        return f"inside the body: {fault}"
    return ""


def _netasampark(headers: Mapping[str, str], body: bytes, secret: str, _now_s: float) -> str:
    value = headers.get("x-netasampark-signature", "")
    if not value.startswith("sha256="):
        return "the signature does not begin with sha256="
    return _hex(value.removeprefix("sha256="), body, secret)


def _standard_webhooks(headers: Mapping[str, str], body: bytes, secret: str, now_s: float) -> str:
    event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if fault := _window(timestamp, now_s):
        return fault
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    expected = f"v1,{base64.b64encode(digest).decode()}"
    values = headers.get("webhook-signature", "").split(" ")
    if not any(hmac.compare_digest(value.encode(), expected.encode()) for value in values):
        return "no signature of the list matches"
    return ""


def _cloudevents(headers: Mapping[str, str], body: bytes, secret: str, now_s: float) -> str:
    if fault := _standard_webhooks(headers, body, secret, now_s):
        return fault
    attributes: Mapping[str, Any] = {name[3:]: value for name, value in headers.items() if name[:3] == "ce-"}
    if headers.get("content-type", "") == "application/cloudevents+json":
        attributes = json.loads(body)
    if attributes.get("specversion") != "1.0":
        return "it is not a CloudEvent 1.0"
    missing = [name for name in ("id", "source", "type") if not attributes.get(name)]
    return f"the CloudEvent has no {missing[0]}" if missing else ""


def _hex(value: str, body: bytes, secret: str) -> str:
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return "" if hmac.compare_digest(value.encode(), expected.encode()) else "the signature does not match"


def _window(timestamp: str, now_s: float) -> str:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return "the timestamp is missing or is not UNIX seconds"
    return "" if abs(now_s - int(timestamp)) <= _WINDOW_S else "the timestamp is more than 5 minutes off"


CHECKS: Mapping[str, Check] = {
    "networked": _networked,
    "webhooks-v1": _webhooks_v1,
    "notify": _notify,
    "bellamy": _bellamy,
    "netasampark": _netasampark,
    "standard-webhooks": _standard_webhooks,
    "cloudevents": _cloudevents,
}
"""The check of each guide, by its dialect's name."""
