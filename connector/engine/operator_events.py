"""Tells the operator that a subscription was disabled or enabled by itself: a record per event.

A record is written again until the broker has it. What is told of a disabling waits a moment first: two
workers may decide it at once, and by then they have agreed on when it was, which its id is made of. A kill
within that moment loses the event, not the decision: that stands on the board and in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from connector.core.disabling import Disabled
from connector.core.operator_event import disabled_event, enabled_event
from connector.core.topic_names import operator_events_topic
from connector.engine.lane import Lane
from connector.engine.ports import Clock, Log, NotWritten, Writer

AGREED_MS: Final = 2_000
"""By then two workers have heard of each other's decision: news takes a second at most."""
AGAIN_MS: Final = 2_000
PENDING_MAX: Final = 1_000
"""Events that wait for the broker; more are told in the log alone."""


class OperatorEvents:
    """Used on the loop."""

    def __init__(self, writer: Writer, *, prefix: str, clock: Clock, log: Log) -> None:
        self._writer = writer
        self._topic = operator_events_topic(prefix)
        self._clock = clock
        self._log = log
        self._pending = 0
        self._trouble = ""
        self._agreeing: dict[asyncio.TimerHandle, Callable[[], None]] = {}
        self._is_closing = False

    def disabled(self, lane: Lane) -> None:
        """It was disabled by itself just now."""
        assert lane.disabled is not None, "only what is disabled is told"
        tell = partial(self._tell_disabled, lane, lane.disabled)

        def agreed() -> None:
            del self._agreeing[handle]
            tell()

        handle = asyncio.get_running_loop().call_later(AGREED_MS / 1_000, agreed)
        self._agreeing[handle] = tell

    def enabled(self, subscription_id: str, was: Disabled) -> None:
        """It has accepted a probe, and is enabled again."""
        self._begin(subscription_id, enabled_event(subscription_id, was, now_ms=self._clock.now_ms()))

    def close(self) -> None:
        """Write at once what still waits; before the writer closes. What fails then is given up."""
        self._is_closing = True
        for handle, tell in self._agreeing.items():
            handle.cancel()
            tell()
        self._agreeing.clear()

    def _tell_disabled(self, lane: Lane, decided: Disabled) -> None:
        id_ = lane.subscription.id
        self._begin(id_, disabled_event(id_, lane.disabled or decided))

    def _begin(self, subscription_id: str, value: bytes) -> None:
        if self._pending >= PENDING_MAX:
            self._log.error("an operator event is lost: too many wait", subscription=subscription_id)
            return
        self._pending += 1
        self._write(subscription_id.encode(), value)

    def _write(self, key: bytes, value: bytes) -> None:
        self._writer.write(
            self._topic, key=key, value=value, headers=(), done=partial(self._written, key, value)
        )

    def _written(self, key: bytes, value: bytes, failure: NotWritten | None) -> None:
        if failure is None:
            self._trouble = ""
        elif failure.detail != self._trouble:
            self._trouble = failure.detail
            self._log.error("operator events cannot be written; trying again", why=failure.detail)
        if failure is None or self._is_closing:
            self._pending -= 1
            return
        asyncio.get_running_loop().call_later(AGAIN_MS / 1_000, self._write, key, value)
