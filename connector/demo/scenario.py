"""Who listens in the demo, what is written for them, and what must become of it.

The story: five partners, one for each guide, and three more. Most are well; one is flaky, one is down,
one hangs, one is paused by its operator, one takes only small bodies. Among the events are some that are
none: two kinds of broken records, tombstones, and events that nobody asked for.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from connector.demo.behaviours import Behaviour, Down, Flaky, Hanging, Sound
from schemas import event_types

Kind = Literal[
    "event",
    "large",      # an event too large for one of the partners
    "corrupt",    # the frame is right, the Avro body is cut short
    "no-frame",   # not in Confluent's framing at all
    "tombstone",  # a null value
]  # fmt: skip

LARGE_BODY_BYTES = 6_000
SMALL_BODY_BYTES_MAX = 4_096
"""The limit of the partner who takes only small bodies; a ``large`` event is above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """One subscription, and the receiver behind it.

    ``events`` is what the subscription says, with wildcards; ``wants`` spells out the types that means.
    The connector is told only the first and the audit asks only the second, so that a mistake in matching
    shows. ``told_secret`` is what the receiver believes the secret to be, the true one by default;
    ``timeout_ms`` is its own, the scenario's by default.
    """

    id: str
    guide: str
    events: tuple[str, ...]
    wants: frozenset[str]
    secret: str
    behaviour: Behaviour = field(default_factory=Sound)
    is_paused: bool = False
    body_bytes_max: int | None = None
    timeout_ms: int | None = None
    told_secret: str = ""

    @property
    def manner(self) -> str:
        """How it behaves, in a few words."""
        if self.is_paused:
            return "paused"
        match self.behaviour:
            case Sound():
                size_bytes = self.body_bytes_max
                return "healthy" if size_bytes is None else f"takes {size_bytes // 1024} KiB"
            case Flaky(every=every):
                return f"flaky: 1 in {every}"
            case Down():
                return "down: 500"
            case Hanging():
                return "hangs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """``rates_per_s`` is how many records are written in each second of the feed; ``oddities`` are spread
    over it. ``end_within_s`` is counted from the connector being ready."""

    partners: Sequence[Partner]
    rates_per_s: Sequence[int]
    oddities: Sequence[Kind]
    ladder_ms: Sequence[int] = (1_000, 2_000, 4_000)
    timeout_ms: int = 1_000
    end_within_s: float = 58

    @property
    def count(self) -> int:
        """Records written in all."""
        return sum(self.rates_per_s)

    def records(self) -> Iterator[tuple[str, Kind]]:
        """Every record in order: its event type and its kind."""
        deck = _deck()
        every = max(1, self.count // (len(self.oddities) + 1))
        for number in range(self.count):
            turn, rest = divmod(number, every)
            is_odd = rest == every - 1 and turn < len(self.oddities)
            kind: Kind = self.oddities[turn] if is_odd else "event"
            yield (_TYPE_OF_ODD.get(kind) or deck[number % len(deck)]), kind


def full_scenario() -> Scenario:
    """What people see: a dozen seconds of events, and as long again until the last retry is over."""
    return Scenario(
        partners=partners(),
        rates_per_s=(30, 50, 70, 90, 120, 150, 120, 90, 70, 60, 40, 30),
        oddities=("corrupt", "tombstone", "large", "no-frame", "tombstone", "corrupt", "large"),
    )


def partners() -> tuple[Partner, ...]:
    """The cast, with secrets nobody has seen before."""
    return (
        Partner(
            id="bellamy",
            guide="bellamy",
            events=("post.*", "comment.created", "reaction.added", "user.registered", "friend.**"),
            wants=_of_guide("bellamy"),
            secret=_text_secret(),
        ),
        Partner(
            id="networked",
            guide="networked",
            events=("user.joined", "post.created", "comment.created", "event.*", "payment.reminder"),
            wants=_of_guide("networked") - {"subscription.created"},  # nobody asked for that one
            secret=_text_secret(),
            behaviour=Flaky(every=3),
        ),
        Partner(
            id="webhooks-v1",
            guide="webhooks-v1",
            events=(
                "user.created", "user.updated", "user.deleted", "project.*", "file.*",
                "payment.succeeded", "payment.failed",
            ),
            wants=_of_guide("webhooks-v1"),
            secret=_text_secret(),
            body_bytes_max=SMALL_BODY_BYTES_MAX,
        ),
        Partner(
            id="notify",
            guide="notify",
            events=("connection.*",),
            wants=_of_guide("notify"),
            secret=_text_secret(),
            behaviour=Hanging(),
            # It is tried one at a time once it has failed, so all its attempts add up.
            timeout_ms=250,
        ),
        Partner(
            id="netasampark",
            guide="netasampark",
            events=(
                "message.*", "grievance.*", "campaign.*",
                "payment.processed", "payment.failed", "payment.refunded",
            ),
            wants=_of_guide("netasampark"),
            secret=_text_secret(),
            behaviour=Down(),
        ),
        Partner(
            id="standard-webhooks",
            guide="standard-webhooks",
            events=("friend.**", "post.*", "project.created"),
            wants=frozenset(
                {
                    "friend.request.sent", "friend.request.accepted",
                    "post.created", "post.updated", "post.deleted", "project.created",
                }
            ),
            secret=_key_secret(),
        ),
        Partner(
            id="cloudevents",
            guide="cloudevents",
            events=("comment.created", "reaction.*", "user.registered", "user.joined"),
            wants=frozenset({"comment.created", "reaction.added", "user.registered", "user.joined"}),
            secret=_key_secret(),
        ),
        Partner(
            id="on-holiday",
            guide="standard-webhooks",
            events=("post.updated", "post.deleted"),
            wants=frozenset({"post.updated", "post.deleted"}),
            secret=_key_secret(),
            is_paused=True,
        ),
    )  # fmt: skip


_TYPE_OF_ODD: dict[Kind, str] = {
    "large": "file.uploaded",
    "corrupt": "post.created",
    "no-frame": "comment.created",
    "tombstone": "user.deleted",
}

_WEIGHTS = {
    "post.created": 8,
    "comment.created": 6,
    "reaction.added": 6,
    "friend.request.sent": 4,
    "friend.request.accepted": 3,
    "user.registered": 3,
    "user.joined": 3,
    "post.updated": 2,
    "payment.succeeded": 2,
}
"""How often types occur that occur more than others: the main job first."""


def _deck() -> list[str]:
    """Every type as often as its weight says, evenly mixed; the same in each run."""
    types = event_types()
    spread = [
        ((turn + position / len(types)) / weight, each.name)
        for position, each in enumerate(types)
        for weight in [_WEIGHTS.get(each.name, 1)]
        for turn in range(weight)
    ]
    return [name for _, name in sorted(spread)]


def _of_guide(guide: str) -> frozenset[str]:
    return frozenset(each.name for each in event_types() if guide in each.guides)


def _text_secret() -> str:
    return f"whsec_{secrets.token_hex(16)}"


def _key_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
