"""The names of the connector's own topics, and which topics of the cluster are sources.

Everything the connector writes lies under one prefix: ``<prefix>.retry.<delay>``,
``<prefix>.dead-letters``, ``<prefix>.parked``, ``<prefix>.sources``, ``<prefix>.shared``,
``<prefix>.operator-events``. What lies under the prefix is never read as a source, or the connector would
feed on its own output; the one exception is the last of these, which is written for subscriptions to get,
and added by whoever reads. Nor is what begins with two underscores, which belongs to the cluster. Names are
matched here, never by the client: its refresh takes minutes and its dialect knows no exclusion.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from connector.core.units import format_duration_ms, parse_duration_ms

_LEGAL = re.compile(r"[A-Za-z0-9._-]{1,249}")
_PREFIX_CHARS_MAX = 249 - len(".retry.999999999999ms")


class BadTopicName(ValueError):
    """A configured topic name or pattern that cannot be used; the message names the cure."""


# ── our own topics ──────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=256)  # asked for every letter that is written
def tier_topic(prefix: str, delay_ms: int) -> str:
    return f"{prefix}.retry.{format_duration_ms(delay_ms)}"


@lru_cache(maxsize=256)  # asked for every letter that is read
def tier_delay_ms(prefix: str, topic: str) -> int | None:
    """The delay of a retry tier; ``None`` when ``topic`` is not one of this prefix's tiers."""
    start = f"{prefix}.retry."
    if not topic.startswith(start):
        return None
    try:
        return parse_duration_ms(topic[len(start) :]) or None
    except ValueError:
        return None


def dead_letters_topic(prefix: str) -> str:
    return f"{prefix}.dead-letters"


def parked_topic(prefix: str) -> str:
    return f"{prefix}.parked"


def sources_topic(prefix: str) -> str:
    return f"{prefix}.sources"


def shared_topic(prefix: str) -> str:
    return f"{prefix}.shared"


def operator_events_topic(prefix: str) -> str:
    return f"{prefix}.operator-events"


def check_prefix(prefix: str) -> None:
    """Raises :class:`BadTopicName` for a prefix that cannot begin a topic's name."""
    is_legal = _LEGAL.fullmatch(prefix) and len(prefix) <= _PREFIX_CHARS_MAX
    if not is_legal or prefix.startswith("__"):
        raise BadTopicName(
            f"prefix {prefix!r} cannot begin a topic name: use letters, digits, '.', '_' and '-', "
            f"at most {_PREFIX_CHARS_MAX} of them, and not two underscores at the start"
        )


# ── sources ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class SourceTopics:
    """Which topics are read: explicit names, and patterns less exclusions.

    Patterns are Python regular expressions that must match a whole name. Made by
    :func:`source_topics`, which checks them.
    """

    names: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...]
    exclusions: tuple[re.Pattern[str], ...]
    prefix: str


def source_topics(
    *, names: Sequence[str], patterns: Sequence[str], exclusions: Sequence[str], prefix: str
) -> SourceTopics:
    """Check a configured choice of topics.

    Raises :class:`BadTopicName` for an illegal name, an explicit name under the prefix or of the
    cluster's own, a pattern that does not compile, and a choice that chooses nothing.
    """
    check_prefix(prefix)
    for name in names:
        if not _LEGAL.fullmatch(name) or name in (".", ".."):
            raise BadTopicName(
                f"{name!r} is not a topic name (letters, digits, '.', '_' and '-', at most 249); "
                "write a regular expression as a pattern"
            )
        if _is_ours(name, prefix):
            raise BadTopicName(
                f"topic {name} lies under the connector's own prefix {prefix!r} and cannot be a source: "
                "choose another prefix or leave the topic out"
            )
        if name.startswith("__"):
            raise BadTopicName(f"topic {name} belongs to the cluster and cannot be a source: leave it out")
    if not names and not patterns:
        raise BadTopicName("no source topic is named: give at least one name or pattern")
    return SourceTopics(tuple(names), _compiled(patterns), _compiled(exclusions), prefix)


def matched(chosen: SourceTopics, existing: Iterable[str]) -> list[str]:
    """The topics to read, sorted: every explicit name, existing or not, and what the patterns match."""
    topics = set(chosen.names)
    for name in existing:
        if name.startswith("__") or _is_ours(name, chosen.prefix):
            continue
        if any(p.fullmatch(name) for p in chosen.patterns) and not any(
            p.fullmatch(name) for p in chosen.exclusions
        ):
            topics.add(name)
    return sorted(topics)


def _is_ours(name: str, prefix: str) -> bool:
    return name.startswith(f"{prefix}.")


def _compiled(patterns: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    compiled = []
    for pattern in patterns:
        try:
            compiled.append(re.compile(pattern))
        except re.error as error:
            raise BadTopicName(f"pattern {pattern!r} is not a regular expression: {error}") from error
    return tuple(compiled)
