"""What a delivery has behind it, and where its record came from.

A trail is what must survive when a delivery leaves the process: it travels in the headers of its
letter (:mod:`connector.core.headers`) from tier to tier and into the dead letters. A delivery that
has never failed needs none. Trails are values: each step makes a new one. (They are not frozen only because
that would cost more than all the rest of a letter, and with half of the endpoints dead every second record
becomes one.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import takewhile
from typing import Final, Literal

from connector.core.event import PoisonCode
from connector.core.outcome import Deferred, ErrorClass, Refused
from connector.core.record import Record

DOUBTS_MAX: Final = 10
"""How often in a row an attempt is not counted for a fault of ours that may be the receiver's. At 30
s each an outage of five minutes costs it nothing, and it is not tried for ever without an attempt used up."""

Reason = Literal[
    "poison",           # the record cannot become an event
    "refused",          # the endpoint will never accept this delivery
    "exhausted",        # every try of the ladder failed
    "expired",          # older than its maximum age when it failed
    "blocked-address",  # the endpoint's name led to a forbidden address to the end
    "gone",             # the endpoint answered 410
    "oversize",         # the body, or the record, is too large
    "deleted",          # its subscription was
]
"""Why something is a dead letter: a closed set."""


@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class Origin:
    """The coordinates of the source record: they name it for ever.

    ``topic_id`` is empty where the cluster gives none, ``timestamp_ms`` is -1 when there is none.
    """

    topic: str
    partition: int
    offset: int
    topic_id: str = ""
    timestamp_ms: int = -1

    @classmethod
    def of(cls, record: Record) -> Origin:
        """Where ``record`` was read."""
        return cls(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            topic_id=record.topic_id,
            timestamp_ms=record.timestamp_ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One attempt in a trail's history: its number, when it began, and how it failed."""

    attempt: int
    at_ms: int
    error_class: ErrorClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """Says that a letter holds only the beginning of a record too large to write.

    ``value_sha256`` (hex) and ``value_bytes`` are of the whole value, ``key_bytes`` and
    ``header_count`` of what was left out; the origin says where to find it.
    """

    value_sha256: str
    value_bytes: int
    key_bytes: int
    header_count: int


@dataclass(slots=True, kw_only=True)
class Trail:
    """The past of one delivery.

    ``attempt`` counts the attempts made in this ``generation`` (replays begin a new one), ``hop`` the
    writes to a tier. ``not_before_ms`` is 0, or the earliest time of the next attempt when its tier
    alone does not wait long enough. ``first_attempt_ms`` is when this generation's age began (0: not
    tried yet). ``failed_at_ms``, ``error_class``, ``status`` and ``detail`` are of the last failure;
    ``body_sha256`` (hex) is of the body as first sent; ``history`` is oldest first. ``reason`` is set
    on a dead letter, whose ``snippet`` is the printable beginning of the last reply.
    """

    subscription_id: str
    event_id: str
    event_type: str
    origin: Origin
    attempt: int = 0
    hop: int = 0
    generation: int = 0
    not_before_ms: int = 0
    first_attempt_ms: int = 0
    failed_at_ms: int = 0
    error_class: ErrorClass = ""
    status: int = 0
    detail: str = ""
    body_sha256: str = ""
    history: tuple[Try, ...] = ()
    reason: Reason | None = None
    snippet: str = ""
    pointer: Pointer | None = None

    def without_doubt(self, outcome: Deferred, *, is_given_up: bool = False) -> Deferred:
        """``outcome``, counted if it is doubtful and as many attempts in a row were not counted before, or
        the endpoint ``is_given_up`` for failures that did count."""
        if not outcome.is_doubtful or not (is_given_up or self._uncounted() >= DOUBTS_MAX):
            return outcome
        return replace(outcome, is_counted=True, is_doubtful=False)

    def _uncounted(self) -> int:
        """How many tries at the end of the history bear the number of the attempt that is yet to count."""
        tries = takewhile(lambda one: one.attempt > self.attempt, reversed(self.history))
        return sum(1 for _ in tries)

    def failed(
        self, outcome: Deferred | Refused, *, started_ms: int, ended_ms: int, body_sha256: str
    ) -> Trail:
        """After an attempt that failed. One that is not counted moves neither the attempt nor the age,
        but is part of the history under the number it would have had."""
        is_counted = isinstance(outcome, Refused) or outcome.is_counted
        this = Try(attempt=self.attempt + 1, at_ms=started_ms, error_class=outcome.error_class)
        return replace(
            self,
            attempt=self.attempt + is_counted,
            first_attempt_ms=self.first_attempt_ms or (started_ms if is_counted else 0),
            failed_at_ms=ended_ms,
            error_class=outcome.error_class,
            status=outcome.status,
            detail=outcome.detail,
            body_sha256=self.body_sha256 or body_sha256,
            history=(*self.history, this),
        )

    def to_tier(self, *, not_before_ms: int, standstill_ms: int = 0) -> Trail:
        """As written to a tier. ``standstill_ms`` is how long it will wait there for a fault of our
        own: its age does not grow by that."""
        return Trail(  # every letter comes by here: spelled out, since replace() takes three times as long
            subscription_id=self.subscription_id,
            event_id=self.event_id,
            event_type=self.event_type,
            origin=self.origin,
            attempt=self.attempt,
            hop=self.hop + 1,
            generation=self.generation,
            not_before_ms=not_before_ms,
            first_attempt_ms=self.first_attempt_ms and self.first_attempt_ms + standstill_ms,
            failed_at_ms=self.failed_at_ms,
            error_class=self.error_class,
            status=self.status,
            detail=self.detail,
            body_sha256=self.body_sha256,
            history=self.history,
            reason=self.reason,
            snippet=self.snippet,
            pointer=self.pointer,
        )

    def dead(self, reason: Reason, *, reply_body: bytes = b"", detail: str = "") -> Trail:
        """As written to the dead letters. ``detail`` replaces the last failure's where one is given."""
        return replace(
            self,
            reason=reason,
            not_before_ms=0,
            detail=detail or self.detail,
            snippet=printable(reply_body, SNIPPET_CHARS_MAX),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoisonTrail:
    """The past of a record that never became an event: no subscription, no attempt, the one reason
    ``poison``. ``detail`` never quotes the payload."""

    origin: Origin
    code: PoisonCode
    detail: str
    failed_at_ms: int
    pointer: Pointer | None = None


SNIPPET_CHARS_MAX: Final = 512


def printable(text: bytes, chars_max: int) -> str:
    """``text`` on one line that a terminal can show, cut to ``chars_max`` characters."""
    decoded = text.decode("utf-8", "replace")
    return "".join(char if char.isprintable() else " " for char in decoded)[:chars_max]


def delivery_id(origin: Origin, subscription_id: str) -> str:
    """The id of the delivery of one source record to one subscription: ``dlv_`` and 128 bits in hex.

    SHA-256 over topic, topic id, partition, offset and subscription id with a NUL between: the same
    after every crash, retry and replay, and easy to recompute in any language.
    """
    named = (origin.topic, origin.topic_id, str(origin.partition), str(origin.offset), subscription_id)
    return "dlv_" + sha256("\0".join(named).encode()).hexdigest()[:32]
