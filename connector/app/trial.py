"""One test event to one subscription: composed, signed, sent and judged as a delivery would be.

Nothing is read from Kafka or written to it, and nothing is tried again: what the connector would do with
the outcome is said instead.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from connector.app.adapters import composer_of, sender_of
from connector.core.event import Event, Poison
from connector.core.jsonjs import render
from connector.core.jsonread import parse
from connector.core.judging import judge
from connector.core.ladder import tiers_of
from connector.core.matching import Matcher
from connector.core.outcome import Deferred, Failure, Outcome, Reply
from connector.core.routing import DeadLetter, Retry, Route, Settle, route
from connector.core.subscription import Subscription
from connector.core.topic_names import dead_letters_topic
from connector.core.trail import DOUBTS_MAX
from connector.core.units import format_duration_ms
from connector.settings import Settings
from schemas import event_types, sample

GENERIC_TYPE = "webhook.test"
"""The type of a test event when neither the command nor the subscription names one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What was sent, what came back after ``took_ms``, what it means and what would follow."""

    event: Event
    headers: dict[str, str]
    body: bytes
    answer: Reply | Failure
    took_ms: int
    outcome: Outcome
    next_step: str


def chosen_type(subscription: Subscription) -> str:
    """An event type that this subscription gets, from the catalogue where it can be."""
    matcher = Matcher([(subscription.events, subscription.id)])
    found = next((each.name for each in event_types() if matcher.match(each.name)), None)
    plain = next((pattern for pattern in subscription.events if "*" not in pattern), GENERIC_TYPE)
    return found or plain


def is_wanted(subscription: Subscription, event_type: str) -> bool:
    """Whether the subscription would get such an event."""
    return bool(Matcher([(subscription.events, subscription.id)]).match(event_type))


def sample_event(event_type: str, *, now_ms: int) -> Event:
    """An event of this type that happened now: the catalogue's sample, or one that says what it is. Its
    id is new every time, so that no receiver takes it for one it has had."""
    try:
        data = dict(sample(event_type).data)
    except KeyError:
        data = {"message": "This is a test event."}
    rendered = render(parse(json.dumps(data).encode()))
    assert not isinstance(rendered, Poison), "the catalogue's samples can be sent"
    return Event(
        type=event_type,
        id=f"test_{secrets.token_hex(8)}",
        time_us=now_ms * 1_000,
        time_digits=3,
        data=rendered,
        source="webhook-connector/test",
    )


async def try_out(
    settings: Settings, subscription: Subscription, event: Event, *, all_subscriptions: Sequence[Subscription]
) -> Trial:
    """Send ``event`` once; returns when the reply is there, or the subscription's timeout is over.

    ``all_subscriptions`` name the tiers that a failed delivery could wait in.
    """
    composer = composer_of(subscription)
    headers, body = composer.compose(event, int(time.time()))
    sender = sender_of(settings)
    done: asyncio.Future[Reply | Failure] = asyncio.get_running_loop().create_future()
    try:
        endpoint = sender.endpoint(
            subscription.url,
            headers=subscription.headers,
            content_type=composer.content_type,
            tls=subscription.tls,
            egress=subscription.egress,
        )
        sent_at = time.monotonic_ns()
        sender.post(endpoint, headers, body, subscription.timeout_ms, done, asyncio.Future.set_result)
        answer = await done
        took_ms = (time.monotonic_ns() - sent_at) // 1_000_000
    finally:
        await sender.close()
    now_ms = time.time_ns() // 1_000_000
    dialect = subscription.dialect
    outcome = judge(
        answer,
        accepted=dialect.accepted,
        gone_is_final=dialect.gone_is_final,
        now_ms=now_ms,
        final_statuses=subscription.final_statuses,
    )
    where = route(
        outcome,
        attempt=1,
        ladder_ms=subscription.ladder_ms,
        first_attempt_ms=now_ms,
        max_age_ms=subscription.max_age_ms,
        tiers=tiers_of(all_subscriptions),
        now_ms=now_ms,
    )
    lines = headers.decode("latin-1").splitlines()
    return Trial(
        event=event,
        headers=dict(line.split(": ", 1) for line in lines),
        body=body,
        answer=answer,
        took_ms=took_ms,
        outcome=outcome,
        next_step=_next_step(where, outcome, subscription, settings.prefix),
    )


def _next_step(where: Route, outcome: Outcome, subscription: Subscription, prefix: str) -> str:
    match where:
        case Settle():
            return "settle it: nothing more is owed"
        case DeadLetter(reason):
            return f"write it to {dead_letters_topic(prefix)} ({reason}): it is not tried again by itself"
        case Retry():
            assert isinstance(outcome, Deferred)
            if outcome.is_doubtful:
                return (
                    "try it again soon, without counting this attempt: the fault may be the proxy's or the "
                    f"receiver's (after {DOUBTS_MAX} such tries in a row the next one counts)"
                )
            if not outcome.is_counted:
                return "try it again soon, without counting this attempt: the fault is on this side"
            asked_ms, step_ms = outcome.retry_after_ms, subscription.ladder_ms[0]
            why = ", as Retry-After asks" if asked_ms > step_ms else ""
            delay, attempts = format_duration_ms(max(asked_ms, step_ms)), len(subscription.ladder_ms) + 1
            return f"try it again in {delay}{why} (attempt 2 of {attempts})"
