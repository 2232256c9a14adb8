"""The subscriptions: sound, signable, and, when asked, their endpoints within reach."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from connector.app.adapters import composer_of, sender_of
from connector.app.doctor.finding import Finding
from connector.core.dialect import DialectError
from connector.core.outcome import Failure
from connector.core.subscription import Subscription, TlsIdentity
from connector.core.view import Doubted, next_view
from connector.engine.ports import Endpoint
from connector.settings import Settings
from connector.settings.subscription_rules import known_types, subscription_rules
from connector.subscriptions.file import Loaded, Unusable, load_subscriptions
from connector.webhook.router import SenderRouter

REACH_TIMEOUT_MS = 5_000
REACHED_AT_ONCE_MAX = 64
REACH_BUDGET_S = 15.0
"""For all endpoints together; below the doctor's own budget, so that what was found is told."""

SHOWN_MAX = 20
"""Findings of one kind told one by one: a broken template or network breaks all alike."""

_SUBJECT = "subscriptions"
_Party = tuple[str, TlsIdentity | None]
"""A host, and as whom it was reached."""


async def subscriptions(settings: Settings) -> tuple[list[Finding], tuple[Subscription, ...]]:
    """What the file says, and the subscriptions in it; none when it is not sound."""
    rules = subscription_rules(settings, known_types=known_types(settings))
    result = await asyncio.to_thread(load_subscriptions, settings.subscriptions_file, rules)
    if isinstance(result, Unusable):
        return _capped([Finding(_SUBJECT, "problem", str(each)) for each in result.mistakes.problems]), ()
    first = next_view(None, result.subscriptions, may_shrink=False)
    if isinstance(first, Doubted):
        return [Finding(_SUBJECT, "problem", f"{settings.subscriptions_file}: {first.why}")], ()
    warnings = [Finding(_SUBJECT, "warning", str(each)) for each in result.warnings]
    unsignable = [finding for each in result.subscriptions for finding in _signing(each)]
    return [_summary(settings, result), *warnings, *unsignable], result.subscriptions


async def endpoints(settings: Settings, wanted: Sequence[Subscription]) -> list[Finding]:
    """Whether a connection can be opened to each host, TLS included. Nothing is sent."""
    if not wanted:
        return [Finding("endpoints", "unknown", "not checked: the subscriptions say which there are")]
    sender = sender_of(settings)
    tasks: dict[asyncio.Task[Failure | None], _Party] = {}
    turn = asyncio.Semaphore(REACHED_AT_ONCE_MAX)
    users: dict[_Party, list[str]] = {}
    try:
        for each in wanted:
            endpoint = sender.endpoint(
                each.url, headers=(), content_type="application/json", tls=each.tls, egress=each.egress
            )
            party = str(endpoint.origin), each.tls
            if party not in users:
                tasks[asyncio.create_task(_reach(sender, endpoint, turn))] = party
            users.setdefault(party, []).append(each.id)
        done, late = await asyncio.wait(tasks, timeout=REACH_BUDGET_S)
        failures = {tasks[task]: failure for task in done if (failure := task.result()) is not None}
        for task in late:
            task.cancel()
    finally:
        await sender.close()
    found = [
        Finding("endpoints", "problem", f"{party[0]} ({_some(users[party])}): {failure.detail}")
        for party, failure in sorted(failures.items(), key=lambda each: each[0][0])
    ]
    found = _capped(found)
    if late:
        found.append(Finding("endpoints", "unknown", f"{len(late)} hosts were not tried in time"))
    reached = len(done) - len(failures)
    return [Finding("endpoints", "ok", f"{reached} of {len(tasks)} hosts take connections"), *found]


async def _reach(sender: SenderRouter, endpoint: Endpoint, turn: asyncio.Semaphore) -> Failure | None:
    async with turn:
        return await sender.reach(endpoint, REACH_TIMEOUT_MS)


def _summary(settings: Settings, loaded: Loaded) -> Finding:
    paused = sum(each.paused for each in loaded.subscriptions)
    rest = f", {paused} of them paused" if paused else ""
    return Finding(_SUBJECT, "ok", f"{len(loaded.subscriptions)} in {settings.subscriptions_file}{rest}")


def _signing(subscription: Subscription) -> list[Finding]:
    try:
        composer_of(subscription)
    except DialectError as error:
        return [Finding(_SUBJECT, "problem", f"{subscription.id} cannot be signed: {error}")]
    return []


def _capped(found: list[Finding]) -> list[Finding]:
    more = len(found) - SHOWN_MAX
    if more <= 0:
        return found
    subject, verdict = found[0].subject, found[0].verdict
    return [*found[:SHOWN_MAX], Finding(subject, verdict, f"and {more} more like these")]


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
