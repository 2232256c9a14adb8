"""What a request presents as its signature, read as strictly as a receiver must.

Each function gives the value asked for or raises :class:`Unfit`, with the one sentence that an engineer
on the receiving side needs. Whether the value is the right one is :mod:`connector.core.verify`'s to judge.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Literal

from connector.core.dialect import DIALECTS, Dialect, HmacSignature

_TIMESTAMP = re.compile(r"[0-9]{1,15}", re.ASCII)
_MILLISECONDS_MIN = 100_000_000_000  # in seconds that is the year 5138


class Unfit(Exception):
    """A header is missing, malformed or stale; ``detail`` says which and why."""

    def __init__(self, cause: Literal["missing-header", "malformed", "stale"], detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail


def header(dialect: Dialect, headers: Mapping[str, str], name: str) -> str:
    """A header that must be there. ``headers`` have lower-case names."""
    if value := headers.get(name.lower()):
        return value
    for other in DIALECTS.values():
        theirs = other.header_names - dialect.header_names
        if theirs and theirs <= headers.keys():
            detail = f"The header {name} is missing; this request is signed as in {other.name}."
            raise Unfit("missing-header", detail)
    raise Unfit("missing-header", f"The header {name} is missing or empty; a proxy may have dropped it.")


def fresh_timestamp(name: str, text: str, *, now_s: int, tolerance_s: int) -> int:
    """UNIX seconds no further than ``tolerance_s`` from the receiver's clock, on either side."""
    if not _TIMESTAMP.fullmatch(text):
        raise Unfit("malformed", f"The header {name} must be UNIX seconds, digits alone.")
    timestamp_s = int(text)
    if timestamp_s >= _MILLISECONDS_MIN:
        raise Unfit("malformed", f"The header {name} must be UNIX seconds; this looks like milliseconds.")
    age_s = now_s - timestamp_s
    if abs(age_s) > tolerance_s:
        side = f"{age_s} s old" if age_s > 0 else f"{-age_s} s in the future"
        raise Unfit(
            "stale",
            f"The header {name} is {side}, and {tolerance_s} s are tolerated: the request was replayed or "
            "waited too long, or a clock is wrong.",
        )
    return timestamp_s


def timestamp_or_none(text: str) -> int | None:
    """UNIX seconds of any age, where nothing depends on them."""
    return int(text) if _TIMESTAMP.fullmatch(text) else None


def hmac_value(signature: HmacSignature, value: str) -> bytes:
    """The one HMAC of a guide's header, encoded, without its prefix."""
    name, text = signature.header, value.removeprefix(signature.prefix)
    if not value.startswith(signature.prefix):
        raise Unfit("malformed", f"The header {name} must begin with {signature.prefix!r}.")
    if "," in text:
        raise Unfit("malformed", f"The header {name} holds several values; exactly one is sent.")
    length = 64 if signature.encoding == "hex" else 44
    if len(text) != length:
        expected = f"an HMAC-SHA256 in {signature.encoding} has {length}"
        raise Unfit("malformed", f"The header {name} has a value of {len(text)} characters; {expected}.")
    if signature.encoding == "hex" and not re.fullmatch(r"[0-9a-f]+", text):
        raise Unfit("malformed", f"The header {name} must hold lower-case hex digits.")
    return text.encode()


def listed_values(listed: str, version: Literal["v1", "v1a"]) -> list[bytes]:
    """The decoded signatures of one version in a ``webhook-signature`` list, at least one."""
    items = [item.partition(",") for item in listed.split(" ")]
    versions = sorted({found for found, comma, _ in items if comma})
    if not versions:
        raise Unfit("malformed", "The header webhook-signature must list items such as v1,BASE64.")
    if version not in versions:
        other, key = ("v1a", "the public whpk_ key") if version == "v1" else ("v1", "the whsec_ secret")
        cure = f"; verify with {key}" if other in versions else ""
        raise Unfit("malformed", f"There is no {version} signature, only {', '.join(versions)}{cure}.")
    values = [decoded for found, _, text in items if found == version and (decoded := from_base64(text))]
    if not values:
        raise Unfit("malformed", f"The {version} signature is not base64.")
    return values


def from_base64(text: str) -> bytes | None:
    """The bytes of base64 in its standard alphabet, padded or not; ``None`` for anything else."""
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (Base64Error, ValueError):
        return None
