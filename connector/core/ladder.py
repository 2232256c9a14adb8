"""Tiers: where a delivery waits, until when, and whether it may then go.

A tier is a retry topic that holds every record for one fixed time, so a tier's records become due in
the order they were written. A wait that no tier fits exactly is made of several: the letter carries
*not before* and hops.

::

    wait 40 s, tiers 5 s and 30 s

    ├──────────── 30 s ────────────┼─ 5 s ─┼─ 5 s ─┤ not before
      written                     hop     hop     released

A wait is never shorter than asked. How long a partition is really paused, and by which clock, is the
gate's business; which delay a delivery has earned is :mod:`connector.core.routing`'s.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from connector.core.subscription import Subscription

FALLBACK_TIER_MS: Final = 30_000
"""The one tier when no ladder names any: a delivery that cannot be tried now needs a place to wait."""

ROOM_TIERS_MS: Final = (5_000, 30_000, 120_000)
"""These are there too where a ladder reaches beyond them. Without them a backlog of a few minutes would idle,
or be read and written again every few seconds: many a ladder has nothing between 5 s and 5 min, or nothing
below half a minute (:mod:`connector.core.returns`)."""


def tiers_of(subscriptions: Iterable[Subscription]) -> tuple[int, ...]:
    """The tiers these subscriptions need, shortest first: the union of their ladders' delays, and
    :data:`ROOM_TIERS_MS`. Never empty (:data:`FALLBACK_TIER_MS`)."""
    delays_ms = {delay_ms for one in subscriptions for delay_ms in one.ladder_ms} or {FALLBACK_TIER_MS}
    if max(delays_ms) > max(ROOM_TIERS_MS):
        delays_ms.update(ROOM_TIERS_MS)
    return tuple(sorted(delays_ms))


def tolerance_ms(tier_ms: int) -> int:
    """What a tier's release may be late by: 1 s or a twentieth of the tier, the larger.

    A twentieth is also the tick in which a tier is released, so no wait is exacter than this.
    """
    return max(1_000, tier_ms // 20)


def fit(delay_ms: int, tiers: Sequence[int]) -> int:
    """The tier to wait in for ``delay_ms``, of those that exist (sorted, at least one).

    The tier of just that delay if there is one, or one longer by no more than its twentieth (a wait of
    299 s takes the tier of 5 minutes, not sixty hops); else the longest one below, the rest being left
    to *not before* and a hop; else the shortest. So a tier that is missing is covered by shorter ones
    until it is back.
    """
    above = bisect_right(tiers, delay_ms)
    is_exact = above > 0 and tiers[above - 1] == delay_ms
    if not is_exact and above < len(tiers) and tiers[above] - delay_ms <= tiers[above] // 20:
        return tiers[above]
    return tiers[max(above - 1, 0)]


def due_at(*, append_ms: int, tier_ms: int, not_before_ms: int) -> int:
    """When a tier's record is to be looked at again.

    The broker's time of writing plus the tier; a little later when *not before* is so near that
    waiting on holds up those behind it by no more than the tolerance. ``not_before_ms`` is 0 for a
    record without one.
    """
    tier_due_ms = append_ms + tier_ms
    if tier_due_ms < not_before_ms <= tier_due_ms + tolerance_ms(tier_ms):
        return not_before_ms
    return tier_due_ms


@dataclass(frozen=True, slots=True)
class Release:
    """Its time has come: try it."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Too early, but only just: keep holding it until then."""

    until_ms: int


@dataclass(frozen=True, slots=True)
class Hop:
    """Too early by more than that: write it to this tier, with the same *not before*."""

    tier_ms: int


RELEASE: Final = Release()


def release(*, tier_ms: int, not_before_ms: int, now_ms: int, tiers: Sequence[int]) -> Release | Wait | Hop:
    """What to do with a record of ``tier_ms`` whose time in the tier is over (:func:`due_at`)."""
    rest_ms = not_before_ms - now_ms
    if rest_ms <= 0:
        return RELEASE
    if rest_ms <= tolerance_ms(tier_ms):
        return Wait(not_before_ms)
    return Hop(fit(rest_ms, tiers))
