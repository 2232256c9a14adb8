"""Names of our own topics, and which topics of the cluster are sources."""

from __future__ import annotations

import pytest

from connector.core.topic_names import (
    BadTopicName,
    check_prefix,
    dead_letters_topic,
    matched,
    operator_events_topic,
    parked_topic,
    shared_topic,
    source_topics,
    sources_topic,
    tier_delay_ms,
    tier_topic,
)


@pytest.mark.parametrize(
    ("delay_ms", "topic"),
    [
        (500, "hooks.retry.500ms"),
        (30_000, "hooks.retry.30s"),
        (300_000, "hooks.retry.5m"),
        (86_400_000, "hooks.retry.24h"),
    ],
)
def test_a_tier_is_named_after_its_delay_and_read_back(delay_ms: int, topic: str) -> None:
    assert tier_topic("hooks", delay_ms) == topic
    assert tier_delay_ms("hooks", topic) == delay_ms


@pytest.mark.parametrize(
    "topic",
    ["hooks.retry.", "hooks.retry.soon", "hooks.retry.0s", "other.retry.30s", "hooks.parked", "hooks"],
)
def test_what_is_not_a_tier_has_no_delay(topic: str) -> None:
    assert tier_delay_ms("hooks", topic) is None


def test_our_other_topics_lie_under_the_prefix() -> None:
    assert dead_letters_topic("hooks") == "hooks.dead-letters"
    assert parked_topic("hooks") == "hooks.parked"
    assert sources_topic("hooks") == "hooks.sources"
    assert shared_topic("hooks") == "hooks.shared"
    assert operator_events_topic("hooks") == "hooks.operator-events"


@pytest.mark.parametrize("prefix", ["", "__hooks", "a b", "hooks/eu", "x" * 229])
def test_a_prefix_that_cannot_begin_a_topic_name_is_refused(prefix: str) -> None:
    with pytest.raises(BadTopicName, match="cannot begin a topic name"):
        check_prefix(prefix)


def test_the_longest_prefix_leaves_room_for_the_longest_tier() -> None:
    check_prefix("x" * 228)

    assert len(tier_topic("x" * 228, 999_999_999_999)) <= 249


def test_explicit_names_are_read_whether_they_exist_or_not() -> None:
    chosen = source_topics(names=["post.created", "post.deleted"], patterns=[], exclusions=[], prefix="hooks")

    assert matched(chosen, ["post.created", "other"]) == ["post.created", "post.deleted"]


def test_a_pattern_matches_whole_names_only_and_exclusions_take_away() -> None:
    chosen = source_topics(
        names=[], patterns=[r"post\..*", "user"], exclusions=[r".*\.internal"], prefix="hooks"
    )

    existing = ["post.created", "post.internal", "my.post.created", "user", "user.registered"]

    assert matched(chosen, existing) == ["post.created", "user"]


def test_an_explicit_name_stands_above_an_exclusion() -> None:
    chosen = source_topics(names=["a"], patterns=[".*"], exclusions=["a"], prefix="hooks")

    assert matched(chosen, ["a", "b"]) == ["a", "b"]


def test_a_pattern_never_matches_our_own_topics_nor_the_clusters() -> None:
    chosen = source_topics(names=[], patterns=[".*"], exclusions=[], prefix="hooks")

    existing = ["hooks.retry.30s", "hooks.sources", "__consumer_offsets", "hooks-of-others", "hooks"]

    assert matched(chosen, existing) == ["hooks", "hooks-of-others"]


@pytest.mark.parametrize(
    ("names", "patterns", "message"),
    [
        (["hooks.retry.30s"], [], "under the connector's own prefix"),
        (["__consumer_offsets"], [], "belongs to the cluster"),
        (["post.*"], [], "write a regular expression as a pattern"),
        ([".."], [], "is not a topic name"),
        (["x" * 250], [], "is not a topic name"),
        ([], ["post.("], "is not a regular expression"),
        ([], [], "no source topic is named"),
    ],
)
def test_a_choice_that_cannot_work_is_refused_with_its_cure(
    names: list[str], patterns: list[str], message: str
) -> None:
    with pytest.raises(BadTopicName, match=message):
        source_topics(names=names, patterns=patterns, exclusions=[], prefix="hooks")
