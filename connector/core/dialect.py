"""Dialects: what receivers of one published guide expect, as data.

A dialect fixes the envelope, the signature, what counts as accepted, and the ladder and timeout a
subscription gets unless it names its own. :data:`DIALECTS` holds the seven built-in ones;
:func:`connector.core.derive.derive` makes a variant or an operator's own from any of them. A dialect
that exists is sound: whatever does not fit together is refused when it is built. Nothing here computes
bytes: :mod:`connector.core.envelope` and :mod:`connector.core.signing` read this and do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from types import MappingProxyType
from typing import Literal

from connector.core.http_names import FORBIDDEN_HEADERS, FORBIDDEN_PREFIXES

SignWith = Literal["old", "new"]
"""Which secret signs where only one signature can be sent while a secret rotates."""

MemberKind = Literal["type", "id", "time", "data", "signature"]
"""What an envelope's member holds. ``signature`` signs the envelope as it is without that member."""

TimeFormat = Literal[
    "string",        # UNIX seconds as a JSON string
    "number",        # UNIX seconds as a JSON number
    "seconds",       # 2026-01-15T12:30:00Z
    "milliseconds",  # 2026-01-15T12:30:00.000Z, always three digits
    "as-given",      # as many fractional digits as the source gave, six at most
]
Mode = Literal["structured", "binary"]
SignedTime = Literal["off", "header", "signed"]
Encoding = Literal["hex", "base64"]
Accepted = Literal["200", "2xx"]


class DialectError(ValueError):
    """A dialect or a secret that cannot be used. The message names the option and what would do; it
    never holds a secret."""


# ── what its texts must look like ──────────────────────────────────────────────────────────────

_DIALECT_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
# Names that are numbers would be moved to the front by JavaScript, and the body would not verify.
_MEMBER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}", re.ASCII)
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")


def _check_header(option: str, name: str) -> None:
    lower = name.lower()
    if not _HEADER_NAME.fullmatch(name):
        raise DialectError(f"{option}: {name!r} is not the name of a header, such as X-Signature")
    is_for_signing = lower.endswith(("-signature", "-timestamp"))  # what a dialect is there to set
    if lower.startswith(FORBIDDEN_PREFIXES) or (lower in FORBIDDEN_HEADERS and not is_for_signing):
        raise DialectError(f"{option}: {name} is set by the connector itself; choose another name")


def _check_template(template: str) -> None:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise DialectError(f"signature.template: {error}") from None
    fields = [field for _, field, _, _ in parts if field is not None]
    if not template.isascii() or any(spec or conversion for _, _, spec, conversion in parts):
        raise DialectError("signature.template: must be ASCII text with plain {id}, {timestamp} and {body}")
    if unknown := set(fields) - {"id", "timestamp", "body"}:
        raise DialectError(f"signature.template: {min(unknown)!r} is none of id, timestamp and body")
    if fields.count("body") != 1 or "timestamp" not in fields:
        raise DialectError("signature.template: must hold {timestamp}, and {body} exactly once")


# ── its parts ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonEnvelope:
    """A JSON object with these members, in this order."""

    members: tuple[tuple[str, MemberKind], ...]
    timestamp: TimeFormat
    content_type: str = "application/json"

    def __post_init__(self) -> None:
        names = [name for name, _ in self.members]
        kinds = [kind for _, kind in self.members]
        for name in names:
            if not _MEMBER_NAME.fullmatch(name):
                rule = "must begin with a letter and go on with letters, digits, _ . or -, 64 at most"
                raise DialectError(f"members: {name!r} {rule}")
        if len(set(names)) < len(names):
            raise DialectError("members: a name stands there twice")
        if kinds.count("data") != 1:
            raise DialectError("members: exactly one member must be 'data'")
        if "signature" in kinds[:-1]:
            raise DialectError("members: 'signature' must be the last member, it signs what stands before it")
        if not _HEADER_VALUE.fullmatch(self.content_type):
            raise DialectError("content_type: must be a media type such as application/json")

    @property
    def is_signed(self) -> bool:
        """Whether the body itself carries a signature."""
        return self.members[-1][1] == "signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEventsEnvelope:
    """CloudEvents 1.0 over HTTP: attributes in the body (structured) or in ``ce-`` headers (binary)."""

    mode: Mode = "structured"

    @property
    def content_type(self) -> str:
        return "application/cloudevents+json" if self.mode == "structured" else "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class HmacSignature:
    """One header with one value: ``prefix`` and the HMAC-SHA256, keyed with the secret's UTF-8 bytes.

    ``timestamp`` says whether the attempt's UNIX seconds are not sent (``off``), sent but not signed
    (``header``), or sent in ``timestamp_header`` and signed with the body through ``template``, in
    which ``{id}``, ``{timestamp}`` and ``{body}`` stand for themselves (``signed``).
    """

    header: str
    prefix: str = ""
    encoding: Encoding = "hex"
    timestamp: SignedTime = "off"
    timestamp_header: str = ""
    template: str = "{timestamp}.{body}"

    def __post_init__(self) -> None:
        _check_header("signature.header", self.header)
        if self.timestamp != "off":
            _check_header("signature.timestamp_header", self.timestamp_header)
            if self.timestamp_header.lower() == self.header.lower():
                raise DialectError("signature.timestamp_header: is the same header as signature.header")
        if self.prefix and not _HEADER_VALUE.fullmatch(self.prefix):
            raise DialectError("signature.prefix: must be printable ASCII without blanks around it")
        _check_template(self.template)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardSignature:
    """The Standard Webhooks headers: ``v1`` for a ``whsec_`` secret, ``v1a`` for a ``whsk_`` key, one
    value of each secret while it rotates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What one guide's receivers expect.

    ``accepted`` says which statuses mean that a delivery is done, ``gone_is_final`` that 410 ends the
    subscription. ``ladder_ms`` are the delays before each further try and ``timeout_ms`` bounds a whole
    request, both where a subscription names none.
    """

    name: str
    envelope: JsonEnvelope | CloudEventsEnvelope
    signature: HmacSignature | StandardSignature
    accepted: Accepted
    ladder_ms: tuple[int, ...]
    timeout_ms: int
    gone_is_final: bool = False

    def __post_init__(self) -> None:
        if not _DIALECT_NAME.fullmatch(self.name):
            raise DialectError(f"name: {self.name!r} must be letters, digits and dashes, 64 at most")
        if any(delay_ms <= 0 for delay_ms in self.ladder_ms):
            raise DialectError("ladder_ms: every delay must be longer than nothing")
        if self.timeout_ms <= 0:
            raise DialectError("timeout_ms: must be longer than nothing")
        match self.envelope, self.signature:
            case JsonEnvelope(is_signed=True), StandardSignature():
                raise DialectError("members: 'signature' needs a dialect that signs with an HMAC in hex")
            case JsonEnvelope(is_signed=True), HmacSignature(encoding="base64"):
                raise DialectError("members: 'signature' is written in hex; set signature.encoding to hex")
            case _:
                pass

    @property
    def content_type(self) -> str:
        return self.envelope.content_type

    @property
    def header_names(self) -> frozenset[str]:
        """Lower-case names of the headers this dialect sends, which nothing else may set."""
        match self.signature:
            case StandardSignature():
                return frozenset({"webhook-id", "webhook-timestamp", "webhook-signature"})
            case HmacSignature(timestamp="off", header=header):
                return frozenset({"webhook-id", header.lower()})
            case HmacSignature(header=header, timestamp_header=timestamp_header):
                return frozenset({"webhook-id", header.lower(), timestamp_header.lower()})


# ── the built-in ones ───────────────────────────────────────────────────────────────────────────

_S, _M, _H = 1_000, 60_000, 3_600_000

DEFAULT_LADDER_MS = (5 * _S, 5 * _M, 30 * _M, 2 * _H, 5 * _H, 10 * _H, 14 * _H, 20 * _H, 24 * _H)
"""The schedule Standard Webhooks prints; also where a guide is silent."""

NETWORKED = Dialect(
    name="networked",
    envelope=JsonEnvelope(
        members=(("event", "type"), ("timestamp", "time"), ("data", "data")),
        timestamp="string",
    ),
    signature=HmacSignature(
        header="x-webhook-signature", timestamp="header", timestamp_header="x-webhook-timestamp"
    ),
    accepted="200",
    ladder_ms=DEFAULT_LADDER_MS,
    timeout_ms=30 * _S,
)
WEBHOOKS_V1 = Dialect(
    name="webhooks-v1",
    envelope=JsonEnvelope(
        members=(("id", "id"), ("type", "type"), ("created_at", "time"), ("data", "data")),
        timestamp="seconds",
    ),
    signature=HmacSignature(header="X-Webhook-Signature"),
    accepted="200",
    ladder_ms=(30 * _S, 5 * _M, 30 * _M, 2 * _H),
    timeout_ms=30 * _S,
)
NOTIFY = Dialect(
    name="notify",
    envelope=JsonEnvelope(
        members=(("event_id", "id"), ("event", "type"), ("timestamp", "time"), ("data", "data")),
        timestamp="milliseconds",
    ),
    signature=HmacSignature(header="x-notify-signature"),
    accepted="200",
    ladder_ms=(5 * _M, 30 * _M, 2 * _H, 5 * _H, 10 * _H),
    timeout_ms=30 * _S,
)
BELLAMY = Dialect(
    name="bellamy",
    envelope=JsonEnvelope(
        members=(("event", "type"), ("timestamp", "time"), ("data", "data"), ("signature", "signature")),
        timestamp="seconds",
    ),
    signature=HmacSignature(header="X-Webhook-Signature"),
    accepted="2xx",
    ladder_ms=DEFAULT_LADDER_MS,
    timeout_ms=30 * _S,
)
NETASAMPARK = Dialect(
    name="netasampark",
    envelope=JsonEnvelope(
        members=(("event", "type"), ("timestamp", "time"), ("data", "data")),
        timestamp="seconds",
    ),
    signature=HmacSignature(header="X-Netasampark-Signature", prefix="sha256="),
    accepted="2xx",
    ladder_ms=(1 * _M, 5 * _M, 15 * _M, 1 * _H),
    timeout_ms=30 * _S,
)
STANDARD_WEBHOOKS = Dialect(
    name="standard-webhooks",
    envelope=JsonEnvelope(
        members=(("type", "type"), ("timestamp", "time"), ("data", "data")),
        timestamp="as-given",
    ),
    signature=StandardSignature(),
    accepted="2xx",
    ladder_ms=DEFAULT_LADDER_MS,
    timeout_ms=20 * _S,
    gone_is_final=True,
)
CLOUDEVENTS = Dialect(
    name="cloudevents",
    envelope=CloudEventsEnvelope(),
    signature=StandardSignature(),
    accepted="2xx",
    ladder_ms=DEFAULT_LADDER_MS,
    timeout_ms=20 * _S,
    gone_is_final=True,
)

DEFAULT_DIALECT = STANDARD_WEBHOOKS
"""What a subscription speaks that names no dialect."""

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        each.name: each
        for each in (
            NETWORKED, WEBHOOKS_V1, NOTIFY, BELLAMY, NETASAMPARK, STANDARD_WEBHOOKS, CLOUDEVENTS,
        )
    }
)
