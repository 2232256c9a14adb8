"""The outbox: letters to the connector's own topics, written again until the broker has them.

A letter leaves the outbox only when its write is acknowledged. What a failed write means is decided
here, once:

* a passing fault is tried again, for as long as it takes; what the letter settles waits. One that
  does not pass blocks like a missing topic;
* a record too large for its topic becomes a pointer letter among the dead letters;
* a tier that is missing is replaced by the next longer one, or the longest there is (never early);
* a missing or forbidden topic, or a producer that cannot go on, blocks: the pumps stop reading until
  the letter gets through.

A letter whose partition was taken away is not tried again: the next owner reads its record. Bounded by
what is in hand: every letter belongs to a record or delivery taken in hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import assert_never

from connector.core.accounts import Accounts
from connector.core.ledger import Ledger, Ticket
from connector.core.letters import (
    Letter,
    Reason,
    dead_letter,
    parked_letter,
    pointer_letter,
    poison_letter,
    retry_letter,
)
from connector.core.record import Record
from connector.core.topic_names import dead_letters_topic, parked_topic, tier_topic
from connector.core.trail import PoisonTrail, Trail
from connector.engine.ports import Clock, Log, NotWritten, Writer

RETRY_FIRST_MS = 100
RETRY_MAX_MS = 5_000
TRIES_BEFORE_BLOCK = 8
"""Failed writes of one letter until a passing fault counts as one that does not pass: 16 s of waiting, and
before each try the client's own patience."""


@dataclass(frozen=True, slots=True)
class ToTier:
    tier_ms: int


@dataclass(frozen=True, slots=True)
class ToParked:
    pass


@dataclass(frozen=True, slots=True)
class ToDeadLetters:
    reason: Reason


Destination = ToTier | ToParked | ToDeadLetters


@dataclass(slots=True, eq=False)
class Outgoing:
    """One letter until it is acknowledged. ``done`` is told where it went in the end, ``dropped`` is
    called instead when it is given up. ``again`` is set while it waits for another try."""

    destination: Destination
    record: Record
    trail: Trail | PoisonTrail
    letter: Letter
    ticket: Ticket
    done: Callable[[Destination], None]
    dropped: Callable[[], None]
    tries: int = 0
    is_pointer: bool = False
    again: asyncio.TimerHandle | None = None


class Outbox:
    """Writes letters. ``tiers`` are the delays whose topics exist, shortest first; the composition
    root keeps them up to date."""

    def __init__(self, writer: Writer, *, prefix: str, accounts: Accounts, clock: Clock, log: Log) -> None:
        self._writer = writer
        self._clock = clock
        self._prefix = prefix
        self._accounts = accounts
        self._log = log
        self.outgoing: set[Outgoing] = set()
        """Letters under way; others only count them."""
        self._blocking: dict[Outgoing, str] = {}
        self.tiers: tuple[int, ...] = ()

    @property
    def is_blocked(self) -> bool:
        """Whether the connector's own topics cannot be written. Asked for every record."""
        return bool(self._blocking)

    @property
    def blocked(self) -> str:
        """Why the connector's own topics cannot be written, while they cannot; empty otherwise."""
        return next(iter(self._blocking.values()), "")

    @property
    def tickets(self) -> list[Ticket]:
        """Whose letters are under way, one entry per letter."""
        return [one.ticket for one in self.outgoing]

    @property
    def parking(self) -> set[str]:
        """The subscriptions whose letters are on their way to the parked topic."""
        return {
            one.trail.subscription_id
            for one in self.outgoing
            if isinstance(one.destination, ToParked) and isinstance(one.trail, Trail)
        }

    def send(
        self, destination: Destination, record: Record, trail: Trail | PoisonTrail, ticket: Ticket,
        done: Callable[[Destination], None], dropped: Callable[[], None],
    ) -> None:  # fmt: skip
        """Write the letter that ``destination`` asks for. ``done`` is called once, when it is durable,
        with where it went: a record too large ends among the dead letters whatever was asked; or
        ``dropped`` is, when its partition was taken away before a write succeeded."""
        letter = _letter(destination, record, trail)
        outgoing = Outgoing(destination, record, trail, letter, ticket, done, dropped)
        self.outgoing.add(outgoing)
        self._write(outgoing)

    def withdraw(self, ledgers: Collection[Ledger]) -> None:
        """Drop what waits for another try and belongs to these, which are closed. What is being written
        goes on."""
        for outgoing in [one for one in self.outgoing if one.again and one.ticket.ledger in ledgers]:
            self._drop(outgoing)

    def _write(self, outgoing: Outgoing) -> None:
        outgoing.again = None
        self._writer.write(
            self._topic(outgoing.destination),
            key=outgoing.letter.key,
            value=outgoing.letter.value,
            headers=outgoing.letter.headers,
            done=lambda failure: self._written(outgoing, failure),
        )

    def _written(self, outgoing: Outgoing, failure: NotWritten | None) -> None:
        if failure is None:
            self._forget(outgoing)
            outgoing.done(outgoing.destination)
            return
        self._accounts.writes_failed[failure.fault] += 1
        if not outgoing.ticket.ledger.is_live:
            self._drop(outgoing)
            return
        match failure.fault:
            case "too-large" if self._shrink(outgoing):
                self._write(outgoing)
            case "missing-topic" if self._reroute(outgoing):
                self._write(outgoing)
            case "passing" if outgoing.tries < TRIES_BEFORE_BLOCK:
                self._again(outgoing)
            case "too-large" | "missing-topic" | "forbidden" | "passing" | "fatal":
                self._block(outgoing, failure.detail)
                self._again(outgoing)
            case _:
                assert_never(failure.fault)

    def _shrink(self, outgoing: Outgoing) -> bool:
        """The whole record is too large for its topic: keep its coordinates, hash and beginning. False
        when it is that already."""
        trail = outgoing.trail
        if outgoing.is_pointer:
            return False
        if isinstance(trail, Trail):
            detail = f"The record is too large for {self._topic(outgoing.destination)}."
            trail = trail.dead("oversize", detail=detail) if trail.reason is None else trail
            outgoing.destination = ToDeadLetters(trail.reason or "oversize")
        outgoing.trail = trail
        outgoing.letter = pointer_letter(outgoing.record, trail)
        outgoing.is_pointer = True
        return True

    def _reroute(self, outgoing: Outgoing) -> bool:
        """Instead of a tier whose topic is missing: the next longer one; or the longest there is, and
        then *not before* still says what was promised. False when there is no other."""
        destination, trail = outgoing.destination, outgoing.trail
        if not isinstance(destination, ToTier) or isinstance(trail, PoisonTrail):
            return False
        missing_ms = destination.tier_ms
        others = tuple(tier_ms for tier_ms in self.tiers if tier_ms != missing_ms)
        if not others:
            return False
        self.tiers = others
        instead_ms = min((tier_ms for tier_ms in others if tier_ms > missing_ms), default=others[-1])
        if instead_ms < missing_ms:
            not_before_ms = max(trail.not_before_ms, self._clock.now_ms() + missing_ms)
            outgoing.trail = replace(trail, not_before_ms=not_before_ms)
            outgoing.letter = retry_letter(outgoing.record, outgoing.trail)
        outgoing.destination = ToTier(instead_ms)
        return True

    def _again(self, outgoing: Outgoing) -> None:
        delay_ms = min(RETRY_FIRST_MS << min(outgoing.tries, 10), RETRY_MAX_MS)
        outgoing.tries += 1
        outgoing.again = asyncio.get_running_loop().call_later(delay_ms / 1_000, self._write, outgoing)

    def _block(self, outgoing: Outgoing, detail: str) -> None:
        why = f"{self._topic(outgoing.destination)}: {detail}"
        if not self._blocking:
            self._log.error("cannot write to our own topic; reading stops until it can be written", why=why)
        self._blocking[outgoing] = why

    def _drop(self, outgoing: Outgoing) -> None:
        if outgoing.again is not None:
            outgoing.again.cancel()
        self._forget(outgoing)
        outgoing.dropped()

    def _forget(self, outgoing: Outgoing) -> None:
        self.outgoing.discard(outgoing)
        self._blocking.pop(outgoing, None)

    def _topic(self, destination: Destination) -> str:
        match destination:
            case ToTier(tier_ms):
                return tier_topic(self._prefix, tier_ms)
            case ToParked():
                return parked_topic(self._prefix)
            case ToDeadLetters():
                return dead_letters_topic(self._prefix)
            case _:
                assert_never(destination)


def _letter(destination: Destination, record: Record, trail: Trail | PoisonTrail) -> Letter:
    if isinstance(trail, PoisonTrail):
        return poison_letter(record, trail)
    match destination:
        case ToTier():
            return retry_letter(record, trail)
        case ToParked():
            return parked_letter(record, trail)
        case ToDeadLetters():
            return dead_letter(record, trail)
        case _:
            assert_never(destination)
