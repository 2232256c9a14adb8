"""Setbacks: deliveries whose attempt was not accepted, and what becomes of them.

The past that a delivery carries grows by the attempt, the core says where it goes with that, and one line in
the log says what happened. What the lane learns of it is no matter of this.
"""

from __future__ import annotations

from hashlib import sha256
from typing import assert_never

from connector.core.accounts import Accounts
from connector.core.outcome import Deferred, Failure, Refused, Reply
from connector.core.routing import DeadLetter, Retry, Settle, route
from connector.core.trail import Trail
from connector.engine.delivery import Delivery
from connector.engine.departures import Departures, trail_of
from connector.engine.outbox import Outbox
from connector.engine.ports import Log


class Setbacks:
    """Sends each to a tier or to the dead letters."""

    def __init__(self, *, outbox: Outbox, departures: Departures, accounts: Accounts, log: Log) -> None:
        self._outbox = outbox
        self._leave = departures
        self._accounts = accounts
        self._log = log

    def take(
        self,
        delivery: Delivery,
        answer: Reply | Failure,
        outcome: Deferred | Refused,
        *,
        took_ms: int,
        now_ms: int,
    ) -> None:
        """Its attempt took so long and ended at ``now_ms`` (Unix) with ``answer``, which was judged as
        ``outcome``."""
        self._accounts.attempts[outcome.error_class] += 1
        if not delivery.ticket.ledger.is_live:
            self._accounts.late_answers += 1
            self._leave.release()
            return  # the next owner of its partition reads the record again
        before = trail_of(delivery)
        body_sha256 = sha256(delivery.body).hexdigest()
        if before.body_sha256 and before.body_sha256 != body_sha256:
            self._accounts.bodies_changed += 1
        trail = before.failed(
            outcome, started_ms=delivery.started_ms, ended_ms=now_ms, body_sha256=body_sha256
        )
        subscription = delivery.lane.subscription
        where = route(
            outcome,
            attempt=before.attempt + 1,
            ladder_ms=subscription.ladder_ms,
            first_attempt_ms=trail.first_attempt_ms or delivery.started_ms,
            max_age_ms=subscription.max_age_ms,
            tiers=self._outbox.tiers,
            now_ms=now_ms,
        )
        self._say(delivery, trail, where, took_ms)
        match where:
            case Retry():
                is_counted = isinstance(outcome, Refused) or outcome.is_counted
                self._leave.retry(delivery, trail, where, is_counted=is_counted)
            case DeadLetter(reason):
                reply_body = answer.body if isinstance(answer, Reply) else b""
                self._leave.bury(delivery, trail, reason, reply_body=reply_body)
            case Settle():
                raise AssertionError("what failed is not settled")
            case _:
                assert_never(where)

    def _say(
        self, delivery: Delivery, trail: Trail, where: Retry | DeadLetter | Settle, took_ms: int
    ) -> None:
        self._log.info(
            "attempt failed",
            subscription=trail.subscription_id,
            event_id=trail.event_id,
            event_type=trail.event_type,
            record=str(delivery.record),
            attempt=trail.attempt,
            error_class=trail.error_class,
            why=trail.detail,
            took_ms=took_ms,
            retry_in_ms=where.tier_ms if isinstance(where, Retry) else None,
            dead_letter=where.reason if isinstance(where, DeadLetter) else None,
        )
