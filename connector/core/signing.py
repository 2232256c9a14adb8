"""Signatures: which bytes are signed with which key, and the header lines that carry the result.

Secrets stay inside the functions made here: nothing that can be printed, compared or logged holds one,
and no error quotes one. Checking a signature is :mod:`connector.core.verify`'s.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from binascii import b2a_base64, hexlify
from collections.abc import Callable
from hashlib import sha256

from connector.core.dialect import Dialect, DialectError, HmacSignature, StandardSignature
from connector.core.subscription import Secrets

Digest = Callable[[bytes], bytes]
"""HMAC-SHA256 of a message under a key it holds: 32 bytes."""

Sign = Callable[[bytes, int, bytes], bytes]
"""Event id, UNIX seconds of the attempt and body to the header lines, each ended by CRLF."""

SignEd25519 = Callable[[bytes, bytes], bytes]
"""Private key (32 bytes of seed, or these and the 32 of the public key) and message to a signature of 64
bytes; raises :class:`ValueError` for a key that is none."""

TEXT_KEY_BYTES_MIN = 8
"""The shortest secret of the five guides: shorter ones can be guessed."""
DECODED_KEY_BYTES = range(24, 64 + 1)
"""What Standard Webhooks asks of a ``whsec_`` secret."""


# ── headers ─────────────────────────────────────────────────────────────────────────────────────


def compile_signer(
    dialect: Dialect, secrets: Secrets | None, *, sign_ed25519: SignEd25519 | None = None
) -> Sign:
    """A function that gives the dialect's headers for one attempt, ``webhook-id`` first.

    Without secrets the same headers go out, except the signature. Raises :class:`DialectError` for a
    secret that the dialect cannot use.
    """
    if secrets is None:
        return _unsigned(dialect.signature)
    match dialect.signature:
        case HmacSignature() as signature:
            return _hmac_signer(signature, secrets)
        case StandardSignature():
            return _standard_signer(secrets, sign_ed25519)


def _hmac_signer(signature: HmacSignature, secrets: Secrets) -> Sign:
    digest = text_digest(secrets)
    encode = hexlify if signature.encoding == "hex" else base64
    signature_line = _header_line(signature.header, signature.prefix)
    lines = _ID_LINE + signature_line
    timed_lines = _ID_LINE + _header_line(signature.timestamp_header) + signature_line
    content = compile_template(signature.template)
    match signature.timestamp:
        case "off":
            return lambda id_, _now_s, body: lines % (id_, encode(digest(body)))
        case "header":
            return lambda id_, now_s, body: timed_lines % (id_, b"%d" % now_s, encode(digest(body)))
        case "signed":
            return lambda id_, now_s, body: timed_lines % (
                id_, b"%d" % now_s, encode(digest(content(id_, now_s, body))),
            )


def _standard_signer(secrets: Secrets, sign_ed25519: SignEd25519 | None) -> Sign:
    value = _standard_value(secrets.current, sign_ed25519)
    if secrets.previous is not None:
        value = _both(value, _standard_value(secrets.previous, sign_ed25519))
    lines = _ID_LINE + b"webhook-timestamp: %d\r\nwebhook-signature: %b\r\n"

    def sign(id_: bytes, now_s: int, body: bytes) -> bytes:
        return lines % (id_, now_s, value(b"%b.%d.%b" % (id_, now_s, body)))

    return sign


def _both(newer: Digest, older: Digest) -> Digest:
    """While a secret rotates: the newer one's item first."""
    return lambda content: b"%b %b" % (newer(content), older(content))


def _unsigned(signature: HmacSignature | StandardSignature) -> Sign:
    """The headers that need no key."""
    match signature:
        case StandardSignature():
            lines = _ID_LINE + _header_line("webhook-timestamp")
        case HmacSignature(timestamp="off"):
            return lambda id_, _now_s, _body: _ID_LINE % id_
        case HmacSignature(timestamp_header=name):
            lines = _ID_LINE + _header_line(name)
    return lambda id_, now_s, _body: lines % (id_, b"%d" % now_s)


_ID_LINE = b"webhook-id: %b\r\n"


def _header_line(name: str, prefix: str = "") -> bytes:
    """A line with a place for the value. Both texts are settings: a percent sign stands for itself."""
    return f"{name}: {prefix}".replace("%", "%%").encode() + b"%b\r\n"


def _standard_value(secret: str, sign_ed25519: SignEd25519 | None) -> Digest:
    """One item of the ``webhook-signature`` list for a given content."""
    key = standard_key(secret)
    if not secret.startswith("whsk_"):
        digest = hmac_sha256(key)
        return lambda content: b"v1," + b2a_base64(digest(content), newline=False)
    if sign_ed25519 is None:
        raise DialectError("a whsk_ secret needs ed25519, which is not available here; use a whsec_ secret")
    sign = sign_ed25519
    try:
        sign(key, b"")  # a key that cannot sign is refused now, not at the first event
    except ValueError:
        raise DialectError("the whsk_ secret is no ed25519 key: its halves do not belong together") from None
    return lambda content: b"v1a," + base64(sign(key, content))


# ── what is signed ──────────────────────────────────────────────────────────────────────────────


def compile_template(template: str) -> Sign:
    """The bytes a ``signed`` template stands for, such as ``{timestamp}.{body}``."""
    text = template.replace("%", "%%").format(id="%(id)b", timestamp="%(timestamp)b", body="%(body)b")
    content = text.encode()
    return lambda id_, now_s, body: content % {b"id": id_, b"timestamp": b"%d" % now_s, b"body": body}


def text_digest(secrets: Secrets) -> Digest:
    """The one HMAC of a single-valued dialect: during a rotation, of the secret ``sign_with`` names."""
    current = text_key(secrets.current)
    if secrets.previous is None:
        return hmac_sha256(current)
    previous = text_key(secrets.previous)
    return hmac_sha256(previous if secrets.sign_with == "old" else current)


def hmac_sha256(key: bytes) -> Digest:
    """HMAC-SHA256 under ``key`` (RFC 2104).

    Both padded keys are hashed once, here; each message then copies two states: 1.3 µs for 1 KiB, where
    ``hmac.digest`` takes 2.3.
    """
    block = (sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner_start = sha256(bytes(byte ^ 0x36 for byte in block)).copy
    outer_start = sha256(bytes(byte ^ 0x5C for byte in block)).copy

    def digest(message: bytes) -> bytes:
        inner = inner_start()
        inner.update(message)
        outer = outer_start()
        outer.update(inner.digest())
        return outer.digest()

    return digest


def base64(raw: bytes) -> bytes:
    """Standard alphabet, padded, no line end."""
    return b2a_base64(raw, newline=False)


# ── keys ────────────────────────────────────────────────────────────────────────────────────────


def check_secret(dialect: Dialect, secret: str, *, sign_ed25519: SignEd25519 | None = None) -> None:
    """Raises :class:`DialectError`, with what would do, when ``dialect`` cannot sign with ``secret``."""
    compile_signer(dialect, Secrets(current=secret), sign_ed25519=sign_ed25519)


def text_key(secret: str) -> bytes:
    """The key of the five guides: the secret's UTF-8 bytes as the partner was shown them, prefix and all."""
    # Asked beforehand, because the codec's own error would carry the secret.
    if any("\ud800" <= character <= "\udfff" for character in secret):
        raise DialectError("the secret is not valid Unicode text")
    key = secret.encode()
    if len(key) < TEXT_KEY_BYTES_MIN:
        raise DialectError(f"the secret is too short; this dialect needs at least {TEXT_KEY_BYTES_MIN} bytes")
    return key


def standard_key(secret: str) -> bytes:
    """The key of Standard Webhooks: what stands in base64 after ``whsec_`` or ``whsk_``; padding may lack."""
    prefix, separator, text = secret.partition("_")
    if prefix not in ("whsec", "whsk") or not separator:
        raise DialectError("the secret must begin with whsec_ (HMAC) or whsk_ (ed25519) in this dialect")
    try:
        key = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (Base64Error, ValueError):
        raise DialectError(f"the secret is not base64 after {prefix}_") from None
    if prefix == "whsec" and len(key) not in DECODED_KEY_BYTES:
        raise DialectError(f"the whsec_ secret holds {len(key)} bytes; this dialect asks for 24 to 64")
    if prefix == "whsk" and len(key) not in (32, 64):
        raise DialectError(f"the whsk_ secret holds {len(key)} bytes; ed25519 keys have 32 or 64")
    return key
