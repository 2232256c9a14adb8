"""Trails as Kafka headers: what the connector writes on tiers, parked and dead letters, and reads back.

A letter's headers are ours, all under ``webhook.``, then the source record's own, untouched and in
their order: nulls, repeated names, bytes that are no text. A source header whose name begins like one
of ours is carried as ``webhook.orig.<name>`` and gets its name back when read, so nothing a producer
sends can be taken for ours.

Ours are made to be read by any language and by people: UTF-8 text, decimal numbers, one value each,
absent rather than empty. Reading is strict. These topics are ours alone, so a header that is repeated,
missing, unknown or not what it should be means that something else wrote there, or a newer version of
us: guessing could send an event twice, early or never. :class:`HeaderFault` says what is wrong, and
the caller holds the record. A new header therefore needs a new version.

Dead letters also carry the ``__connect.errors.`` headers that tools for Kafka Connect show.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, get_args

from connector.core.event import PoisonCode
from connector.core.record import Headers
from connector.core.trail import SNIPPET_CHARS_MAX, Origin, Pointer, PoisonTrail, Reason, Trail, Try

__all__ = [
    "Decoded", "DecodedPoison", "HeaderFault", "Origin", "PoisonTrail", "Trail",
    "decode", "decode_dead", "encode",
]  # fmt: skip

VERSION: Final = "1"
_VERSION_BYTES = VERSION.encode()
OWN_PREFIX: Final = "webhook."
ORIGINAL_PREFIX: Final = "webhook.orig."
ALIAS_PREFIX: Final = "__connect.errors."

# Ids and topic names are bounded where they are made; these come from strangers.
EVENT_TYPE_CHARS_MAX: Final = 256
ERROR_CLASS_CHARS_MAX: Final = 64
DETAIL_CHARS_MAX: Final = 512
HISTORY_BYTES_MAX: Final = 1_024

_NUMBER_MAX = 2**63 - 1
_NUMBER_DIGITS_MAX = 19
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TRY = re.compile(r"([0-9]{1,19});([0-9]{1,19});([A-Za-z0-9._-]{1,64})", re.ASCII)
_NO_TOKEN = re.compile(r"[^A-Za-z0-9._-]")

_NAMES = frozenset(
    {
        "v", "subscription-id", "event-id", "event-type",
        "topic", "topic-id", "partition", "offset", "timestamp-ms",
        "attempt", "hop", "generation", "not-before-ms", "first-attempt-ms",
        "failed-at-ms", "error-class", "status", "detail", "body-sha256", "history",
        "reason", "snippet",
        "pointer.value-sha256", "pointer.value-bytes", "pointer.key-bytes", "pointer.header-count",
    }
)  # fmt: skip
_SHORT: Final = {f"{OWN_PREFIX}{name}": name for name in _NAMES}
_POINTER: Final = frozenset(name for name in _NAMES if name.startswith("pointer."))


@dataclass(frozen=True, slots=True)
class Decoded:
    """A delivery's trail and the source record's own headers."""

    trail: Trail
    headers: Headers


@dataclass(frozen=True, slots=True)
class DecodedPoison:
    """A poison record's trail and its own headers."""

    trail: PoisonTrail
    headers: Headers


@dataclass(frozen=True, slots=True)
class HeaderFault:
    """Not the headers of one of our letters. ``why`` is one sentence for the operator."""

    why: str


# ── writing ─────────────────────────────────────────────────────────────────────────────────────


def encode(trail: Trail | PoisonTrail, source_headers: Headers) -> list[tuple[str, bytes | None]]:
    """The headers of a letter. Texts from strangers are cut to their limits; the history loses its
    oldest entries first; the source's headers are never cut.

    Half of the endpoints may be dead, and then this is run for every second record: what each letter has is
    one list, since a call for each header would cost more than all the rest.
    """
    headers = _of_trail(trail) if isinstance(trail, Trail) else _of_poison(trail)
    if trail.pointer is not None:
        _add_pointer(headers.append, trail.pointer)
    if isinstance(trail, PoisonTrail) or trail.reason:
        headers += [(ALIAS_PREFIX + name, _bytes(value)) for name, value in _aliases(trail)]
    if source_headers:
        headers += [
            (ORIGINAL_PREFIX + name if name.startswith((OWN_PREFIX, ALIAS_PREFIX)) else name, value)
            for name, value in source_headers
        ]
    return headers


_Add = Callable[[tuple[str, bytes | None]], None]


def _of_trail(trail: Trail) -> list[tuple[str, bytes | None]]:
    headers: list[tuple[str, bytes | None]] = [
        ("webhook.v", _VERSION_BYTES),
        ("webhook.subscription-id", trail.subscription_id.encode()),
        ("webhook.event-id", trail.event_id.encode("utf-8", "replace")),
        ("webhook.event-type", trail.event_type[:EVENT_TYPE_CHARS_MAX].encode("utf-8", "replace")),
        *_of_origin(trail.origin),
        ("webhook.attempt", b"%d" % trail.attempt),
        ("webhook.hop", b"%d" % trail.hop),
        ("webhook.generation", b"%d" % trail.generation),
    ]
    add = headers.append
    if trail.not_before_ms:
        add(("webhook.not-before-ms", _bytes(trail.not_before_ms)))
    if trail.first_attempt_ms:
        add(("webhook.first-attempt-ms", _bytes(trail.first_attempt_ms)))
    if trail.failed_at_ms:
        add(("webhook.failed-at-ms", _bytes(trail.failed_at_ms)))
    if trail.error_class:
        add(("webhook.error-class", _bytes(_token(trail.error_class))))
    if trail.status:
        add(("webhook.status", _bytes(trail.status)))
    if trail.detail:
        add(("webhook.detail", _bytes(trail.detail[:DETAIL_CHARS_MAX])))
    if trail.body_sha256:
        add(("webhook.body-sha256", _bytes(trail.body_sha256)))
    if trail.history:
        add(("webhook.history", _bytes(_history_text(trail.history))))
    if trail.reason:
        add(("webhook.reason", _bytes(trail.reason)))
    if trail.snippet:
        add(("webhook.snippet", _bytes(trail.snippet[:SNIPPET_CHARS_MAX])))
    return headers


def _of_poison(trail: PoisonTrail) -> list[tuple[str, bytes | None]]:
    headers: list[tuple[str, bytes | None]] = [
        ("webhook.v", _VERSION_BYTES),
        *_of_origin(trail.origin),
        ("webhook.reason", b"poison"),
        ("webhook.error-class", _bytes(trail.code)),
        ("webhook.failed-at-ms", _bytes(trail.failed_at_ms)),
    ]
    if trail.detail:
        headers.append(("webhook.detail", _bytes(trail.detail[:DETAIL_CHARS_MAX])))
    return headers


def _of_origin(origin: Origin) -> list[tuple[str, bytes | None]]:
    headers: list[tuple[str, bytes | None]] = [
        ("webhook.topic", origin.topic.encode()),
        ("webhook.partition", b"%d" % origin.partition),
        ("webhook.offset", b"%d" % origin.offset),
    ]
    if origin.topic_id:
        headers.append(("webhook.topic-id", origin.topic_id.encode()))
    if origin.timestamp_ms >= 0:
        headers.append(("webhook.timestamp-ms", b"%d" % origin.timestamp_ms))
    return headers


def _add_pointer(add: _Add, pointer: Pointer) -> None:
    add(("webhook.pointer.value-sha256", _bytes(pointer.value_sha256)))
    add(("webhook.pointer.value-bytes", _bytes(pointer.value_bytes)))
    add(("webhook.pointer.key-bytes", _bytes(pointer.key_bytes)))
    add(("webhook.pointer.header-count", _bytes(pointer.header_count)))


def _bytes(value: str | int) -> bytes:
    if isinstance(value, int):
        assert 0 <= value <= _NUMBER_MAX, "no count or time of ours is negative"
        return b"%d" % value
    # What cannot be written in UTF-8 (a lone surrogate) must not keep a letter from being written.
    return value.encode("utf-8", "replace")


def _token(error_class: str) -> str:
    """The closed vocabulary passes as it is; anything else is made harmless in a list of entries."""
    return _NO_TOKEN.sub("_", error_class)[:ERROR_CLASS_CHARS_MAX]


def _history_text(history: tuple[Try, ...]) -> str:
    """``attempt;at_ms;class`` with a blank between, the newest that fit."""
    text = ""
    for one in reversed(history):
        entry = f"{one.attempt};{one.at_ms};{_token(one.error_class) or '_'}"
        if len(entry) + 1 + len(text) > HISTORY_BYTES_MAX:
            break
        text = f"{entry} {text}" if text else entry
    return text


def _aliases(trail: Trail | PoisonTrail) -> Iterator[tuple[str, str | int]]:
    match trail:
        case Trail(reason=reason, error_class=error_class):
            yield "stage", "TASK_PUT"
            yield "exception.class.name", _token(error_class) or str(reason)
        case PoisonTrail(code=code):
            yield "stage", "VALUE_CONVERTER"
            yield "exception.class.name", code
    yield "exception.message", trail.detail[:DETAIL_CHARS_MAX]
    yield "topic", trail.origin.topic
    yield "partition", trail.origin.partition
    yield "offset", trail.origin.offset
    yield "connector.name", "webhook-connector"


# ── reading ─────────────────────────────────────────────────────────────────────────────────────


def decode(headers: Headers) -> Decoded | HeaderFault:
    """Read the headers of a tier's or a parked letter. Never raises."""
    try:
        own, original = _split(headers)
        return Decoded(_read_trail(own), original)
    except _FaultError as fault:
        return HeaderFault(str(fault))


def decode_dead(headers: Headers) -> Decoded | DecodedPoison | HeaderFault:
    """Read the headers of a dead letter, which may be a delivery's or a poison record's. Never raises."""
    try:
        own, original = _split(headers)
        if "subscription-id" not in own and own.get("reason") == b"poison":
            return DecodedPoison(_read_poison(own), original)
        return Decoded(_read_trail(own), original)
    except _FaultError as fault:
        return HeaderFault(str(fault))


class _FaultError(Exception):
    """Carries the sentence of a :class:`HeaderFault` out of the readers below."""


def _split(headers: Headers) -> tuple[dict[str, bytes], list[tuple[str, bytes | None]]]:
    """Our headers by name without prefix, each once and known, and the source's with their names back."""
    own: dict[str, bytes] = {}
    original: list[tuple[str, bytes | None]] = []
    unknown: list[str] = []
    for name, value in headers:
        short = _SHORT.get(name)
        if short is None:
            if name.startswith(ORIGINAL_PREFIX):
                original.append((name[len(ORIGINAL_PREFIX) :], value))
            elif name.startswith(OWN_PREFIX):
                unknown.append(name)
            elif not name.startswith(ALIAS_PREFIX):
                original.append((name, value))
        else:
            if value is None:
                raise _FaultError(f"The header {name!r} has no value.")
            if short in own:
                raise _FaultError(f"The header {name!r} is there more than once.")
            own[short] = value
    if "v" not in own:
        raise _FaultError("The header 'webhook.v' is missing: this record was not written by the connector.")
    if own["v"] != _VERSION_BYTES:
        found = own["v"][:16]
        raise _FaultError(f"The headers are of version {found!r}; this release reads version {VERSION}.")
    if unknown:
        raise _FaultError(f"The header {min(unknown)!r} is unknown.")
    return own, original


def _read_trail(own: dict[str, bytes]) -> Trail:
    return Trail(
        subscription_id=_text(own, "subscription-id"),
        event_id=_text(own, "event-id"),
        event_type=_text(own, "event-type"),
        origin=_read_origin(own),
        attempt=_number(own, "attempt"),
        hop=_number(own, "hop"),
        generation=_number(own, "generation"),
        not_before_ms=_number(own, "not-before-ms", 0),
        first_attempt_ms=_number(own, "first-attempt-ms", 0),
        failed_at_ms=_number(own, "failed-at-ms", 0),
        error_class=_text(own, "error-class", ""),
        status=_number(own, "status", 0),
        detail=_text(own, "detail", ""),
        body_sha256=_sha256(own, "body-sha256") if "body-sha256" in own else "",
        history=_read_history(own),
        reason=_read_reason(own),
        snippet=_text(own, "snippet", ""),
        pointer=_read_pointer(own),
    )


def _read_poison(own: dict[str, bytes]) -> PoisonTrail:
    code = _text(own, "error-class")
    for known in get_args(PoisonCode):
        if code == known:
            return PoisonTrail(
                origin=_read_origin(own),
                code=known,
                detail=_text(own, "detail", ""),
                failed_at_ms=_number(own, "failed-at-ms"),
                pointer=_read_pointer(own),
            )
    raise _FaultError(f"The header 'webhook.error-class' names no known kind of poison: {code[:64]!r}.")


def _read_origin(own: dict[str, bytes]) -> Origin:
    return Origin(
        topic=_text(own, "topic"),
        partition=_number(own, "partition"),
        offset=_number(own, "offset"),
        topic_id=_text(own, "topic-id", ""),
        timestamp_ms=_number(own, "timestamp-ms", -1),
    )


def _read_pointer(own: dict[str, bytes]) -> Pointer | None:
    if _POINTER.isdisjoint(own):
        return None
    return Pointer(
        value_sha256=_sha256(own, "pointer.value-sha256"),
        value_bytes=_number(own, "pointer.value-bytes"),
        key_bytes=_number(own, "pointer.key-bytes"),
        header_count=_number(own, "pointer.header-count"),
    )


def _read_reason(own: dict[str, bytes]) -> Reason | None:
    if "reason" not in own:
        return None
    reason = _text(own, "reason")
    for known in get_args(Reason):
        if reason == known:
            return known  # type: ignore[no-any-return]  # get_args does not keep the literal's type
    raise _FaultError(f"The header 'webhook.reason' is none of the reasons we write: {reason[:64]!r}.")


def _read_history(own: dict[str, bytes]) -> tuple[Try, ...]:
    history: list[Try] = []
    for entry in _text(own, "history", "").split():
        parts = _TRY.fullmatch(entry)
        if parts is None:
            raise _FaultError(f"The header 'webhook.history' has an entry we did not write: {entry[:64]!r}.")
        history.append(Try(attempt=int(parts[1]), at_ms=int(parts[2]), error_class=parts[3]))
    return tuple(history)


def _text(own: dict[str, bytes], name: str, default: str | None = None) -> str:
    value = own.get(name)
    if value is None:
        if default is None:
            raise _FaultError(f"The header {OWN_PREFIX + name!r} is missing.")
        return default
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _FaultError(f"The header {OWN_PREFIX + name!r} is not UTF-8 text.") from None


def _number(own: dict[str, bytes], name: str, default: int | None = None) -> int:
    value = own.get(name)
    if value is None:
        if default is None:
            raise _FaultError(f"The header {OWN_PREFIX + name!r} is missing.")
        return default
    # isdigit() of bytes knows ASCII alone; int() would also take signs, blanks and underscores.
    if value.isdigit() and len(value) <= _NUMBER_DIGITS_MAX and (number := int(value)) <= _NUMBER_MAX:
        return number
    raise _FaultError(f"The header {OWN_PREFIX + name!r} is not a decimal number of 64 bits.")


def _sha256(own: dict[str, bytes], name: str) -> str:
    text = _text(own, name)
    if not _SHA256.fullmatch(text):
        raise _FaultError(f"The header {OWN_PREFIX + name!r} is not a SHA-256 in hex.")
    return text
