"""One partner's endpoint in the demo: verifies, behaves, counts. HTTP is left to the server around it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import KeysView, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from connector.demo.behaviours import Behaviour, Down, Flaky, Hanging, Sound
from connector.demo.guides import CHECKS

IDS_MAX = 100_000
"""Accepted ids each receiver remembers: more than any demo sends, a few megabytes at most."""


@dataclass(slots=True)
class Counters:
    """What one receiver saw. ``received`` is the sum of ``accepted``, ``rejected``, ``failed`` and ``hung``;
    ``duplicates`` is the part of ``accepted`` whose ``webhook-id`` had been accepted before."""

    received: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    failed: int = 0
    hung: int = 0
    last_fault: str = ""


@dataclass(slots=True, kw_only=True)
class Receiver:
    """One partner's endpoint. ``guide`` is a name in :data:`~connector.demo.guides.CHECKS`."""

    guide: str
    secret: str = field(repr=False)
    behaviour: Behaviour = field(default_factory=Sound)
    counters: Counters = field(default_factory=Counters)
    _accepted_ids: OrderedDict[str, None] = field(default_factory=OrderedDict, repr=False)

    @property
    def accepted_ids(self) -> KeysView[str]:
        """The event ids accepted so far, the latest :data:`IDS_MAX`."""
        return self._accepted_ids.keys()

    def verify(self, headers: Mapping[str, str], body: bytes, now_s: float) -> str:
        """The fault of a request, or an empty text; counted either way."""
        self.counters.received += 1
        fault = CHECKS[self.guide](headers, body, self.secret, now_s)
        if fault:
            self.counters.rejected += 1
            self.counters.last_fault = fault
        return fault

    def answer(self, event_id: str) -> int | None:
        """The status for a verified request by this receiver's behaviour; ``None`` for no answer."""
        match self.behaviour:
            case Sound():
                return self._accept(event_id)
            case Flaky() as flaky:
                return self._fail(503) if flaky.fails(self.counters.received) else self._accept(event_id)
            case Down():
                return self._fail(500)
            case Hanging():
                self.counters.hung += 1
                return None
            case _ as never:
                assert_never(never)

    def _accept(self, event_id: str) -> int:
        self.counters.accepted += 1
        self.counters.duplicates += event_id in self._accepted_ids
        self._accepted_ids[event_id] = None
        if len(self._accepted_ids) > IDS_MAX:
            self._accepted_ids.popitem(last=False)
        return 200

    def _fail(self, status: int) -> int:
        self.counters.failed += 1
        return status
