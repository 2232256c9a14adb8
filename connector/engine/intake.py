"""What an intake is asked, and the three things it may answer: taken, not due, held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from connector.core.record import Record
from connector.engine.flow import Flow


@dataclass(frozen=True, slots=True)
class Taken:
    """The record is admitted, or was done before: go on with the next."""


@dataclass(frozen=True, slots=True)
class NotDue:
    """Come back at ``wake_ms`` (monotonic); the record stays at the head."""

    wake_ms: int


@dataclass(frozen=True, slots=True)
class Held:
    """This record must not be passed until an operator has looked; it stays at the head."""

    why: str


TAKEN = Taken()


class Intake(Protocol):
    """What becomes of a record."""

    def take(self, flow: Flow, record: Record) -> Taken | NotDue | Held:
        """Admit the head of ``flow``'s carry, or say why not now."""
