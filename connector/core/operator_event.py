"""Operator events: what the connector itself has to say to its operator, as events like any other.

They are JSON records of ``<prefix>.operator-events``, read back by the source group once a subscription
asks for them. Their types begin with :data:`OPERATOR_PREFIX`, which no pattern meets that does not
name it (:mod:`connector.core.matching`): a partner who wants everything gets none of them. Their ids are
derived, so that two workers that decide the same thing at once tell it under one id.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, Literal

import orjson

from connector.core.disabling import NEVER_MS, Disabled
from connector.core.subscription import Subscription
from connector.core.times import iso_time

OPERATOR_PREFIX: Final = "connector."
DISABLED: Final = "connector.subscription.disabled"
ENABLED: Final = "connector.subscription.enabled"
OPERATOR_EVENT_TYPES: Final = (DISABLED, ENABLED)

OperatorEventType = Literal["connector.subscription.disabled", "connector.subscription.enabled"]


def reserved_fault(event_type: str) -> str:
    """What is wrong with an event type that somebody else's events are to have, as a sentence with the cure;
    empty when it is free."""
    if not event_type.startswith(OPERATOR_PREFIX):
        return ""
    return (
        f"The event's type {event_type!r} begins with {OPERATOR_PREFIX!r}, which is kept for what the "
        "connector itself tells: map it to another."
    )


def wants_operator_events(subscription: Subscription) -> bool:
    """Whether one of its patterns names them."""
    return any(pattern.startswith(OPERATOR_PREFIX) for pattern in subscription.events)


def disabled_event(subscription_id: str, disabled: Disabled) -> bytes:
    """The record's value that tells that a subscription was disabled by itself."""
    is_probed = disabled.probes_at_ms < NEVER_MS
    more = {"why": disabled.why, "next_probe_at": _time(disabled.probes_at_ms) if is_probed else None}
    return _event(DISABLED, subscription_id, disabled, time_ms=disabled.since_ms, more=more)


def enabled_event(subscription_id: str, was: Disabled, *, now_ms: int) -> bytes:
    """The record's value that tells that one which ``was`` disabled has accepted a delivery again."""
    return _event(ENABLED, subscription_id, was, time_ms=now_ms, more={})


def _event(
    event_type: OperatorEventType, subscription_id: str, disabled: Disabled, *, time_ms: int,
    more: dict[str, str | None],
) -> bytes:  # fmt: skip
    named = "\0".join((event_type, subscription_id, str(disabled.since_ms)))
    return orjson.dumps(
        {
            "id": "evt_" + sha256(named.encode()).hexdigest()[:32],
            "type": event_type,
            "time": _time(time_ms),
            "data": {
                "subscription_id": subscription_id,
                "disabled_since": _time(disabled.since_ms),
                **more,
            },
        }
    )


def _time(time_ms: int) -> str:
    return iso_time(time_ms * 1_000, 3).decode()
