"""Why a signature does not verify: for receivers' engineers, who see a mismatch and nothing else.

An HMAC that does not match says nothing about its cause, but the usual causes can be tried: a body that
was parsed and written again, a key that was or was not decoded, a timestamp left out of what is signed.
Only what the dialect itself prescribes verifies. No verdict quotes a secret or a body.
"""

from __future__ import annotations

import re
from binascii import hexlify
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from itertools import product
from typing import Literal

from connector.core.dialect import Dialect, DialectError, HmacSignature, JsonEnvelope, StandardSignature
from connector.core.event import Poison
from connector.core.jsonjs import render
from connector.core.jsonread import parse
from connector.core.presented import (
    Unfit,
    fresh_timestamp,
    from_base64,
    header,
    hmac_value,
    listed_values,
    timestamp_or_none,
)
from connector.core.signing import base64, compile_template, hmac_sha256, standard_key, text_key

Cause = Literal[
    "verified",
    "bad-secret",      # the secret is none that this dialect can use
    "missing-header",  # a header of the dialect is not there
    "malformed",       # a header or member is there and cannot be what the dialect sends
    "stale",           # the timestamp is outside the tolerance
    "changed-body",    # it verifies once the body is put back as it was sent
    "wrong-content",   # it verifies when something else is signed than this dialect signs
    "wrong-key",       # it verifies with another reading of the secret
    "mismatch",        # none of the above: another secret, or another body
]

VerifyEd25519 = Callable[[bytes, bytes, bytes], bool]
"""Whether the third is a signature of the second under the first, a public key of 32 bytes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``detail`` is for a person: what is wrong, and what would mend it."""

    cause: Cause
    detail: str

    @property
    def is_valid(self) -> bool:
        return self.cause == "verified"


def verify(
    dialect: Dialect,
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    now_s: int,
    tolerance_s: int = 300,
    *,
    verify_ed25519: VerifyEd25519 | None = None,
) -> Verdict:
    """Judge a request as its receiver would, with a reason for every failure.

    ``headers`` are the request's, in any case; ``body`` its bytes; ``now_s`` the receiver's clock in UNIX
    seconds. For ``v1a`` signatures ``secret`` is the public ``whpk_`` key, or a ``whsk_`` of 64 bytes.
    """
    request = _Request(
        dialect=dialect,
        headers={name.lower(): value.strip() for name, value in headers.items()},
        body=body,
        now_s=now_s,
        tolerance_s=tolerance_s,
    )
    try:
        match dialect.signature:
            case HmacSignature() as signature:
                return _verify_hmac(request, signature, secret)
            case StandardSignature():
                return _verify_standard(request, secret, verify_ed25519)
    except Unfit as unfit:
        return Verdict(unfit.cause, unfit.detail)
    except DialectError as error:
        return Verdict("bad-secret", f"The secret cannot be used: {error}.")


# ── the two families ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    dialect: Dialect
    headers: Mapping[str, str]
    body: bytes
    now_s: int
    tolerance_s: int

    def header(self, name: str) -> str:
        return header(self.dialect, self.headers, name)

    def fresh_timestamp(self, name: str) -> int:
        text = self.header(name)
        return fresh_timestamp(name, text, now_s=self.now_s, tolerance_s=self.tolerance_s)


def _verify_hmac(request: _Request, signature: HmacSignature, secret: str) -> Verdict:
    keys = _text_keys(secret)
    given = hmac_value(signature, request.header(signature.header))
    encode = hexlify if signature.encoding == "hex" else base64
    event_id = request.headers.get("webhook-id", "").encode()
    is_timed = signature.timestamp == "signed"
    timestamp_s = (
        request.fresh_timestamp(signature.timestamp_header)
        if is_timed
        else timestamp_or_none(request.headers.get(signature.timestamp_header.lower(), ""))
    )
    with_time = compile_template(signature.template)

    def contents(body: bytes) -> Iterable[_Guess]:
        if timestamp_s is None:
            return [_Guess(body)]
        timed = with_time(event_id, timestamp_s, body)
        if is_timed:
            return [_Guess(timed), _Guess(body, "wrong-content", _ONLY_BODY)]
        return [_Guess(body), _Guess(timed, "wrong-content", _WITH_TIME)]

    def matches(key: bytes, content: bytes) -> bool:
        return compare_digest(encode(hmac_sha256(key)(content)), given)

    verdict = _first_match(request.body, contents, keys, matches)
    envelope = request.dialect.envelope
    if verdict.is_valid and isinstance(envelope, JsonEnvelope) and envelope.is_signed:
        return _verify_member(envelope.members[-1][0], text_key(secret), request.body)
    return verdict


def _verify_member(name: str, key: bytes, body: bytes) -> Verdict:
    """The second signature: the body's own last member, which signs the body as it is without it."""
    match = re.fullmatch(rb'(.*),"%b":"([0-9a-f]{64})"\}' % re.escape(name.encode()), body, re.DOTALL)
    if match is None:
        return Verdict("malformed", f"The header verifies, but the body does not end with a {name!r} member.")
    if not compare_digest(hexlify(hmac_sha256(key)(match[1] + b"}")), match[2]):
        return Verdict("mismatch", f"The header verifies, but the body's member {name!r} does not.")
    return _VERIFIED


def _verify_standard(request: _Request, secret: str, verify_ed25519: VerifyEd25519 | None) -> Verdict:
    is_public = secret.startswith(("whpk_", "whsk_"))
    keys = [_Guess(_public_key(secret))] if is_public else _standard_keys(secret)
    event_id = request.header("webhook-id").encode()
    timestamp_s = request.fresh_timestamp("webhook-timestamp")
    values = listed_values(request.header("webhook-signature"), "v1a" if is_public else "v1")
    matches = _ed25519_matcher(values, verify_ed25519) if is_public else _hmac_matcher(values)

    def contents(body: bytes) -> Iterable[_Guess]:
        return [
            _Guess(b"%b.%d.%b" % (event_id, timestamp_s, body)),
            _Guess(b"%d.%b" % (timestamp_s, body), "wrong-content", _WITHOUT_ID),
            _Guess(body, "wrong-content", _ONLY_BODY),
        ]

    return _first_match(request.body, contents, keys, matches)


def _hmac_matcher(values: list[bytes]) -> Matches:
    def matches(key: bytes, content: bytes) -> bool:
        digest = hmac_sha256(key)(content)
        return any(compare_digest(digest, value) for value in values)

    return matches


def _ed25519_matcher(values: list[bytes], verify_ed25519: VerifyEd25519 | None) -> Matches:
    if verify_ed25519 is None:
        raise DialectError("ed25519 is not available here; use a whsec_ secret")
    is_signature = verify_ed25519

    return lambda key, content: any(is_signature(key, content, value) for value in values)


# ── guesses ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Guess:
    """Bytes to try, and what it means if they match; the dialect's own are ``verified``."""

    raw: bytes
    cause: Cause = "verified"
    meaning: str = ""


Matches = Callable[[bytes, bytes], bool]
"""Whether a key and a content make one of the signatures presented."""


def _first_match(
    body: bytes, contents: Callable[[bytes], Iterable[_Guess]], keys: list[_Guess], matches: Matches
) -> Verdict:
    """The dialect's own rule stands first in every list, so what verifies is found at once."""
    for sent in _bodies(body):
        for content, key in product(contents(sent.raw), keys):
            if matches(key.raw, content.raw):
                wrong = [guess for guess in (sent, content, key) if guess.cause != "verified"]
                if not wrong:
                    return _VERIFIED
                return Verdict(wrong[0].cause, " ".join(guess.meaning for guess in wrong))
    return Verdict("mismatch", _NO_MATCH if body else _EMPTY_BODY)


def _bodies(body: bytes) -> list[_Guess]:
    guesses = [_Guess(body)]
    bare = body.removeprefix(b"\xef\xbb\xbf").strip()
    if bare != body:
        guesses.append(_Guess(bare, "changed-body", _PADDED))
    value = parse(body)
    rendered = value if isinstance(value, Poison) else render(value)
    if not isinstance(rendered, Poison) and rendered not in (body, bare):
        guesses.append(_Guess(rendered, "changed-body", _WRITTEN_AGAIN))
    return guesses


def _text_keys(secret: str) -> list[_Guess]:
    guesses = [_Guess(text_key(secret))]
    trimmed = secret.strip()
    if trimmed != secret:
        guesses.append(_Guess(trimmed.encode(), "wrong-key", _BLANKS))
    bare = trimmed.removeprefix("whsec_")
    if bare != trimmed:
        guesses.append(_Guess(bare.encode(), "wrong-key", _PREFIX_CUT))
    if decoded := from_base64(bare):
        guesses.append(_Guess(decoded, "wrong-key", _DECODED))
    return guesses


def _standard_keys(secret: str) -> list[_Guess]:
    return [
        _Guess(standard_key(secret)),
        _Guess(secret.encode(), "wrong-key", _NOT_DECODED),
        _Guess(secret.removeprefix("whsec_").encode(), "wrong-key", _NOT_DECODED),
    ]


def _public_key(secret: str) -> bytes:
    if secret.startswith("whsk_"):
        private = standard_key(secret)
        if len(private) != 64:
            raise DialectError("this whsk_ key does not hold its public half; use the whpk_ key")
        return private[32:]
    key = from_base64(secret.removeprefix("whpk_"))
    if key is None or len(key) != 32:
        raise DialectError("the whpk_ key must be 32 bytes in base64")
    return key


_VERIFIED = Verdict("verified", "The signature verifies.")
_NO_MATCH = (
    "It was signed with another secret, or the body is not the one that was sent; use the raw bytes as "
    "received, before any parser."
)
_EMPTY_BODY = "The body is empty: something has read it before; keep the raw bytes."
_PADDED = "A line end, blank or byte order mark was added around the body; use the raw bytes as received."
_WRITTEN_AGAIN = "The body was parsed and written again in another layout; use the raw bytes as received."
_ONLY_BODY = "Only the body was signed; this dialect signs it together with the timestamp."
_WITH_TIME = "The timestamp was signed with the body; here the body alone is (see signature.timestamp)."
_WITHOUT_ID = "The webhook-id was left out of what is signed."
_BLANKS = "The secret given has a blank or line end around it."
_PREFIX_CUT = "The key was the secret without whsec_; in this dialect the prefix belongs to the key."
_DECODED = "The key was decoded from base64; in this dialect the secret's text is the key."
_NOT_DECODED = "The key was the secret's text; in this dialect it is decoded from base64."
