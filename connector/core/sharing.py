"""What workers tell one another, as records of the compacted topic ``<prefix>.shared``.

Each fact has a key, so that the newest one is what remains: ``endpoint/<subscription id>``,
``worker/<worker id>``, ``parking/<worker id>``, ``backlog/<subscription id>``. Values are JSON with their
version. What cannot be read is a :class:`Fault`, never an exception: another version may be running beside
this one. What a fact means for whoever reads it is decided there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, assert_never

import orjson

from connector.core.breaker import BreakerSnapshot
from connector.core.disabling import Disabled as Disabled  # part of what is told

VERSION: Final = 1
VALUE_BYTES_MAX: Final = 4 << 20
"""More than the longest list of 60,000 subscriptions takes; nothing longer is parsed."""

_KEY_BYTES_MAX = 512
_TEXT_CHARS_MAX = 1_024
_NUMBER_MAX = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointNews:
    """What ``worker`` knows of an endpoint at ``at_ms`` (Unix).

    ``disabled`` is ``None`` while it is enabled. ``failing_since_ms`` and ``failed_attempts`` are the run of
    failures (0: none), ``succeeded_at_ms`` is the last success that it knows of, its own or another's (0:
    none, or of a release that did not tell it). ``reset_at_ms`` is when all this was last forgotten, but for
    a hold-off: by an operator, or since a probe has succeeded (0: never). ``cleared_at_ms`` is when that was
    too, by an operator (0: never; in news of a release that did not tell it, at every reset).
    ``url_digest`` says of which URL all this was learnt (:func:`digest_of`): the subscription may lead to
    another one by now. Empty in news of a release that did not tell it. ``url_since_ms`` is when a worker saw
    it change to this one (0: none did that we heard of, or it was of a release that did not tell it).
    """

    subscription_id: str
    url_digest: str
    url_since_ms: int
    worker: str
    at_ms: int
    breaker: BreakerSnapshot
    disabled: Disabled | None
    failing_since_ms: int
    failed_attempts: int
    succeeded_at_ms: int
    reset_at_ms: int
    cleared_at_ms: int

    def are_of(self, url: str) -> bool:
        """Whether they hold for ``url``, as far as they tell."""
        return self.url_digest in ("", digest_of(url))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerNews:
    """A worker is alive at ``at_ms`` (Unix), or is about to leave. This is told every second, so for whom it
    parks is told apart: by the :class:`ParkingNews` of ``parking_number`` or a later one (0: for nobody)."""

    worker: str
    at_ms: int
    parking_number: int
    is_leaving: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkingNews:
    """The subscriptions that a worker parks for, all of them, told when they change. ``number`` grows with
    every change: who knows only a lower one than the worker speaks of does not know for whom it parks."""

    worker: str
    number: int
    subscription_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogNews:
    """How far a subscription's parked backlog has been replayed: partition → next offset to read.

    ``openings`` counts how often a worker began to park for it; what is told of fewer than one knows is
    out of date (:mod:`connector.core.backlog`). The cursor holds in the topic of ``topic_id`` alone, which is
    empty where the cluster gives none.
    """

    subscription_id: str
    at_ms: int
    openings: int
    topic_id: str
    cursor: Mapping[int, int]
    is_done: bool


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The fact of this key was withdrawn: a record without a value."""

    key: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A record that says nothing to us; ``why`` is one sentence without the value's content."""

    key: str
    why: str


Told = EndpointNews | WorkerNews | ParkingNews | BacklogNews
"""What is written with a value."""

News = Told | Forgotten


def digest_of(url: str) -> str:
    """Short, and enough to tell a subscription's URLs apart; they themselves may be secret."""
    return blake2b(url.encode(), digest_size=8).hexdigest()


# ── writing ─────────────────────────────────────────────────────────────────────────────────────


def encode(news: Told) -> tuple[bytes, bytes]:
    """Key and value of the record that tells ``news``."""
    match news:
        case EndpointNews():
            content = {
                "url_digest": news.url_digest,
                "url_since_ms": news.url_since_ms,
                "worker": news.worker,
                "at_ms": news.at_ms,
                "breaker": _breaker_content(news.breaker),
                "disabled": news.disabled and _disabled_content(news.disabled),
                "failing_since_ms": news.failing_since_ms,
                "failed_attempts": news.failed_attempts,
                "succeeded_at_ms": news.succeeded_at_ms,
                "reset_at_ms": news.reset_at_ms,
                "cleared_at_ms": news.cleared_at_ms,
            }
        case WorkerNews():
            content = {
                "at_ms": news.at_ms,
                "parking_number": news.parking_number,
                "is_leaving": news.is_leaving,
            }
        case ParkingNews():
            content = {"number": news.number, "subscription_ids": news.subscription_ids}
        case BacklogNews():
            cursor = {str(partition): offset for partition, offset in sorted(news.cursor.items())}
            content = {
                "at_ms": news.at_ms,
                "openings": news.openings,
                "topic_id": news.topic_id,
                "cursor": cursor,
                "is_done": news.is_done,
            }
        case _:
            assert_never(news)
    return key_of(news), orjson.dumps({"v": VERSION, **content})


def key_of(news: Told) -> bytes:
    """The key of ``news``; a record of it without a value withdraws them."""
    match news:
        case EndpointNews():
            return f"endpoint/{news.subscription_id}".encode()
        case WorkerNews():
            return f"worker/{news.worker}".encode()
        case ParkingNews():
            return f"parking/{news.worker}".encode()
        case BacklogNews():
            return f"backlog/{news.subscription_id}".encode()
        case _:
            assert_never(news)


def _breaker_content(breaker: BreakerSnapshot) -> dict[str, Any]:
    return {
        "state": breaker.state,
        "until_ms": breaker.until_ms,
        "cool_down_ms": breaker.cool_down_ms,
        "failures": breaker.failures,
        "why": breaker.why,
        "opened_ms": breaker.opened_ms,
    }


def _disabled_content(disabled: Disabled) -> dict[str, Any]:
    why = disabled.why[:_TEXT_CHARS_MAX]
    return {"since_ms": disabled.since_ms, "why": why, "probes_at_ms": disabled.probes_at_ms}


# ── reading ─────────────────────────────────────────────────────────────────────────────────────


def decode(key: bytes | None, value: bytes | None) -> News | Fault:
    """What a record says. Never raises, whatever its bytes."""
    name = (key or b"")[:_KEY_BYTES_MAX].decode("utf-8", "backslashreplace")
    try:
        return _read(key, value)
    except _Unreadable as unreadable:
        return Fault(name, str(unreadable))


class _Unreadable(ValueError):
    """Told as a :class:`Fault`."""


def _read(key: bytes | None, value: bytes | None) -> News:
    kind, id_ = _read_key(key)
    if not value:
        return Forgotten(f"{kind}/{id_}")
    members = _read_value(value)
    match kind:
        case "endpoint":
            return EndpointNews(
                subscription_id=id_,
                url_digest=members.text("url_digest") if members.has("url_digest") else "",
                url_since_ms=members.number("url_since_ms") if members.has("url_since_ms") else 0,
                worker=members.text("worker"),
                at_ms=members.number("at_ms"),
                breaker=_read_breaker(members.members("breaker")),
                disabled=_read_disabled(members.members("disabled")) if members.has("disabled") else None,
                failing_since_ms=members.number("failing_since_ms"),
                failed_attempts=members.number("failed_attempts"),
                succeeded_at_ms=members.number("succeeded_at_ms") if members.has("succeeded_at_ms") else 0,
                reset_at_ms=members.number("reset_at_ms"),
                cleared_at_ms=members.number(
                    "cleared_at_ms" if members.has("cleared_at_ms") else "reset_at_ms"
                ),
            )
        case "worker":
            return WorkerNews(
                worker=id_,
                at_ms=members.number("at_ms"),
                parking_number=members.number("parking_number"),
                is_leaving=members.truth("is_leaving"),
            )
        case "parking":
            return ParkingNews(
                worker=id_,
                number=members.number("number"),
                subscription_ids=members.texts("subscription_ids"),
            )
        case "backlog":
            return BacklogNews(
                subscription_id=id_,
                at_ms=members.number("at_ms"),
                openings=members.number("openings"),
                topic_id=members.text("topic_id") if members.has("topic_id") else "",
                cursor=members.offsets("cursor"),
                is_done=members.truth("is_done"),
            )
    raise _Unreadable("its key begins with no kind of news known here")


def _read_key(key: bytes | None) -> tuple[str, str]:
    if not key:
        raise _Unreadable("it has no key")
    if len(key) > _KEY_BYTES_MAX:
        raise _Unreadable(f"its key is longer than {_KEY_BYTES_MAX} bytes")
    try:
        kind, _, id_ = key.decode().partition("/")
    except UnicodeDecodeError:
        raise _Unreadable("its key is not UTF-8") from None
    if not id_:
        raise _Unreadable("its key names nobody")
    return kind, id_


def _read_value(value: bytes) -> _Members:
    if len(value) > VALUE_BYTES_MAX:
        raise _Unreadable(f"its value is longer than {VALUE_BYTES_MAX} bytes")
    try:
        content = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise _Unreadable("its value is not JSON") from None
    if not isinstance(content, dict):
        raise _Unreadable("its value is not an object")
    if content.get("v") != VERSION:
        raise _Unreadable(f"its value is not of version {VERSION}")
    return _Members(content)


def _read_breaker(members: _Members) -> BreakerSnapshot:
    state = members.text("state")
    if state not in ("open", "closed"):
        raise _Unreadable("state is neither open nor closed")
    return BreakerSnapshot(
        state="open" if state == "open" else "closed",
        until_ms=members.number("until_ms"),
        cool_down_ms=members.number("cool_down_ms"),
        failures=members.number("failures"),
        why=members.text("why"),
        opened_ms=members.number("opened_ms", least=-1),
    )


def _read_disabled(members: _Members) -> Disabled:
    return Disabled(
        since_ms=members.number("since_ms"),
        why=members.text("why"),
        probes_at_ms=members.number("probes_at_ms"),
    )


class _Members:
    """The members of a JSON object, each asked for by its kind; a wrong one is unreadable."""

    __slots__ = ("_content",)

    def __init__(self, content: dict[str, Any]) -> None:  # Any: parsed JSON
        self._content = content

    def has(self, name: str) -> bool:
        return self._content.get(name) is not None

    def number(self, name: str, *, least: int = 0) -> int:
        return _number(self._content.get(name), name, least)

    def text(self, name: str) -> str:
        return _text(self._content.get(name), name)

    def truth(self, name: str) -> bool:
        value = self._content.get(name)
        if not isinstance(value, bool):
            raise _Unreadable(f"{name} is not true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._content.get(name)
        if not isinstance(value, list):
            raise _Unreadable(f"{name} is not a list")
        return tuple(_text(each, name) for each in value)

    def members(self, name: str) -> _Members:
        value = self._content.get(name)
        if not isinstance(value, dict):
            raise _Unreadable(f"{name} is not an object")
        return _Members(value)

    def offsets(self, name: str) -> dict[int, int]:
        offsets = {}
        for partition, offset in self.members(name)._content.items():
            if not (partition.isascii() and partition.isdecimal() and len(partition) <= 10):
                raise _Unreadable(f"{name} has a partition that is no number")
            offsets[int(partition)] = _number(offset, name, 0)
        return offsets


def _number(value: object, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _NUMBER_MAX:
        raise _Unreadable(f"{name} is not a whole number from {least} on")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or len(value) > _TEXT_CHARS_MAX:
        raise _Unreadable(f"{name} is not a text of at most {_TEXT_CHARS_MAX} characters")
    return value
