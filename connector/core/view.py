"""Which subscriptions are in force after a load: the new ones, or still the old ones.

An event matched against too few subscriptions is a lost event, so a set that is empty or that has lost
more than half of its subscriptions at once is *doubtful*: an editor truncates before it writes, a template
renders nothing. A doubtful set is kept out until an operator confirms it. Reading files is left to others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connector.core.subscription import Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What a new view changes, as ids in the order of the files they stand in."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def __str__(self) -> str:
        return f"{len(self.added)} added, {len(self.changed)} changed, {len(self.removed)} removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """The loaded subscriptions are in force from now on."""

    subscriptions: tuple[Subscription, ...]
    diff: Diff


@dataclass(frozen=True, slots=True)
class Doubted:
    """The loaded subscriptions are not taken; what was in force stays. ``why`` names the cure."""

    why: str


def next_view(
    current: Sequence[Subscription] | None, loaded: Sequence[Subscription], *, may_shrink: bool
) -> Adopted | Doubted:
    """Judge a load that parsed. ``current`` is ``None`` at the first start, where there is nothing to fall
    back on: an empty set is then doubted whatever ``may_shrink`` says."""
    diff = _diff(current or (), loaded)
    if current is None and not loaded:
        return Doubted("there are no subscriptions, so every event would be passed over; add one")
    if current is not None and not may_shrink and 2 * len(diff.removed) > len(current):
        return Doubted(
            f"{len(diff.removed)} of {len(current)} subscriptions would be removed; "
            "put them back, or confirm by restarting with --allow-shrink"
        )
    return Adopted(subscriptions=tuple(loaded), diff=diff)


def _diff(current: Sequence[Subscription], loaded: Sequence[Subscription]) -> Diff:
    before = {each.id: each for each in current}
    after = {each.id for each in loaded}
    return Diff(
        added=tuple(each.id for each in loaded if each.id not in before),
        changed=tuple(each.id for each in loaded if each.id in before and before[each.id] != each),
        removed=tuple(id_ for id_ in before if id_ not in after),
    )
