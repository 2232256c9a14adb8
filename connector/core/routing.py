"""Where a delivery goes after an attempt: settled, to a tier, or to the dead letters.

The rules, in the order in which they are asked:

1. accepted: settle;
2. refused: a dead letter at once;
3. our own fault: a short wait, or ``Retry-After`` if that is longer; neither the attempt nor the age is held
   against the receiver;
4. more attempts made than the ladder has steps: ``exhausted``;
5. older than its maximum age by now: ``expired``. When the next try would be is not asked: a receiver
   that asks for a long wait gets it, and one more try;
6. else a tier, for the ladder's step or ``Retry-After``, whichever is longer.

4 and 5 end as ``blocked-address`` when the last attempt met a forbidden address: until then that walks
the ladder like any failure, since a slip in a name server must not kill deliveries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from connector.core.ladder import fit
from connector.core.outcome import Deferred, Delivered, Outcome, Refused
from connector.core.trail import Reason

OWN_FAULT_DELAY_MS: Final = 30_000
"""How long a delivery waits after a fault of our own (descriptors, ports, buffers, a proxy): such trouble
passes by itself or is mended, and the ladder's long steps are no measure for it."""

SHUT_OUT_DOUBLINGS_MAX: Final = 6
"""How often the wait of a delivery that is turned away again and again doubles."""


@dataclass(frozen=True, slots=True)
class Settle:
    """Nothing more is owed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Write it to the tier of ``tier_ms``. ``not_before_ms`` is 0 when that tier waits long enough."""

    tier_ms: int
    not_before_ms: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Write it to the dead letters."""

    reason: Reason


Route = Settle | Retry | DeadLetter

_SETTLE: Final = Settle()


def route(
    outcome: Outcome,
    *,
    attempt: int,
    ladder_ms: Sequence[int],
    first_attempt_ms: int,
    max_age_ms: int,
    tiers: Sequence[int],
    now_ms: int,
) -> Route:
    """Where the delivery goes whose attempt number ``attempt`` (from 1) ended as ``outcome`` at ``now_ms``.

    ``first_attempt_ms`` is when its age began, for the first attempt its own start. ``tiers`` are those
    that exist (sorted, at least one); when the one named turns out to be missing, ask again without it.
    """
    match outcome:
        case Delivered():
            return _SETTLE
        case Refused(reason=reason):
            return DeadLetter(reason)
        case Deferred(is_counted=False):
            delay_ms = max(OWN_FAULT_DELAY_MS, outcome.retry_after_ms)
            return _retry(delay_ms, tiers=tiers, now_ms=now_ms)
        case Deferred():
            if attempt > len(ladder_ms):
                return DeadLetter("blocked-address" if outcome.error_class == "forbidden" else "exhausted")
            if now_ms - first_attempt_ms > max_age_ms:
                return DeadLetter("blocked-address" if outcome.error_class == "forbidden" else "expired")
            delay_ms = max(ladder_ms[attempt - 1], outcome.retry_after_ms)
            return _retry(delay_ms, tiers=tiers, now_ms=now_ms)
        case _:
            assert_never(outcome)


def shut_out(*, rest_ms: int, turns: int, tiers: Sequence[int]) -> int:
    """The one of ``tiers`` (sorted, at least one) where a delivery waits whose endpoint is not tried at all
    for another ``rest_ms``: none shorter than that, and a longer one the more often (``turns``) it was turned
    away before, so that a backlog does not pass by every few seconds in vain. Of those the shortest that is
    as long as the doubled wait, unless it is more than twice that: then the one below, or it would be missing
    long after the endpoint is back."""
    wanted_ms = rest_ms << min(turns, SHUT_OUT_DOUBLINGS_MAX)
    chosen_ms = 0
    for tier_ms in tiers:
        if tier_ms < rest_ms:
            continue
        if chosen_ms and tier_ms > 2 * wanted_ms:
            break
        chosen_ms = tier_ms
        if tier_ms >= wanted_ms:
            break
    return chosen_ms or tiers[-1]


def _retry(delay_ms: int, *, tiers: Sequence[int], now_ms: int) -> Retry:
    tier_ms = fit(delay_ms, tiers)
    # The broker's clock alone decides where it can: ours may be off.
    return Retry(tier_ms=tier_ms, not_before_ms=0 if tier_ms >= delay_ms else now_ms + delay_ms)
