"""Patterns pick events; the answers are complete, ordered, and cheap the second time."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core import matching
from connector.core.matching import Matcher, check_pattern


def wants(pattern: str, event_type: str) -> bool:
    return Matcher([([pattern], "it")]).match(event_type) == ("it",)


@pytest.mark.parametrize("event_type", ["post", "post.created", "friend.request.sent", "", "a..b", "."])
def test_a_star_alone_wants_every_event(event_type: str) -> None:
    assert wants("*", event_type)


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        ("post.created", True),
        ("post", False),
        ("post.created.eu", False),
        ("posts.created", False),
        ("a.post.created", False),
        ("Post.created", False),
    ],
)
def test_a_star_at_the_end_stands_for_exactly_one_segment(event_type: str, expected: bool) -> None:
    assert wants("post.*", event_type) is expected


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        ("friend.request", True),
        ("friend.request.sent", True),
        ("friend.a.b.c.d.e", True),
        ("friend", False),
        ("friends.request", False),
        ("a.friend.request", False),
    ],
)
def test_two_stars_stand_for_one_or_more_segments(event_type: str, expected: bool) -> None:
    assert wants("friend.**", event_type) is expected


@pytest.mark.parametrize(
    ("pattern", "event_type", "expected"),
    [
        ("friend.request.*", "friend.request.sent", True),
        ("friend.request.*", "friend.request", False),
        ("friend.request.**", "friend.request.sent.again", True),
        ("friend.request.**", "friend.requests.sent", False),
    ],
)
def test_a_prefix_may_have_several_segments(pattern: str, event_type: str, expected: bool) -> None:
    assert wants(pattern, event_type) is expected


def test_a_name_wants_itself_alone() -> None:
    assert wants("post.created", "post.created")
    assert not wants("post.created", "post.created.eu")
    assert not wants("post.created", "post")


def test_each_thing_is_found_once_and_in_the_order_given() -> None:
    matcher = Matcher(
        [
            (["post.*", "*", "post.created"], "a"),
            (["user.*"], "b"),
            (["post.**"], "c"),
            (["post.created"], "d"),
        ]
    )

    assert matcher.match("post.created") == ("a", "c", "d")
    assert matcher.match("user.joined") == ("a", "b")
    assert matcher.match("file.uploaded") == ("a",)


def test_a_thing_without_patterns_is_never_found() -> None:
    assert Matcher([([], "a")]).match("post.created") == ()


def test_nothing_matches_without_things() -> None:
    assert Matcher[str](()).match("post.created") == ()


def test_things_need_not_be_hashable_nor_different() -> None:
    things: list[list[int]] = [[1], [1]]
    matcher = Matcher([(["*"], things[0]), (["*"], things[1])])

    first, second = matcher.match("post.created")

    assert first is things[0]
    assert second is things[1]


def test_an_unsound_pattern_is_refused_with_its_cure() -> None:
    with pytest.raises(ValueError, match="write \\* for every event"):
        Matcher([(["**"], "a")])


@pytest.mark.parametrize(
    "pattern",
    ["*", "post", "post.created", "post.*", "friend.**", "a.b.c.*", "com.github.pull_request/opened", "a-b"],
)
def test_sound_patterns_have_no_problem(pattern: str) -> None:
    assert check_pattern(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("", "The pattern is empty; write * for every event."),
        ("**", "The pattern '**' stands alone; write * for every event."),
        ("x" * 256, "The pattern has 256 characters; 255 are the most."),
        ("a b", "The pattern 'a b' holds a blank or a control character; an event type has none."),
        ("a\n", "The pattern 'a\\n' holds a blank or a control character; an event type has none."),
        ("post.", "The pattern 'post.' has an empty segment; put one full stop between two names."),
        (".post", "The pattern '.post' has an empty segment; put one full stop between two names."),
        ("a..b", "The pattern 'a..b' has an empty segment; put one full stop between two names."),
        (".*", "The pattern '.*' has an empty segment; put one full stop between two names."),
    ],
)
def test_unsound_patterns_say_what_is_wrong(pattern: str, problem: str) -> None:
    assert check_pattern(pattern) == problem


@pytest.mark.parametrize(
    "pattern", ["*.created", "a.**.b", "post*", "post.***", "*post", "p*.created", "*.*", "**.a"]
)
def test_a_star_elsewhere_is_explained(pattern: str) -> None:
    assert check_pattern(pattern) == (
        f"In the pattern {pattern!r} a star may only be the whole last segment, as in post.* or friend.**"
    )


def test_the_longest_pattern_is_taken() -> None:
    assert check_pattern("x" * 255) is None


def test_a_known_type_is_answered_without_looking_again() -> None:
    matcher = Matcher([(["post.*"], number) for number in range(10_000)])

    assert matcher.match("post.created") is matcher.match("post.created")


def test_kept_answers_are_bounded_however_many_types_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "CACHE_WORDS_MAX", 100)
    matcher = Matcher([(["*"], "a")])

    for number in range(1_000):
        assert matcher.match(f"type.{number}") == ("a",)

    assert len(matcher._cache) <= 100 // 20
    assert matcher._cache_words <= 100


def test_an_answer_larger_than_the_bound_is_given_but_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "CACHE_WORDS_MAX", 100)
    matcher = Matcher([(["*"], number) for number in range(101)])

    assert len(matcher.match("post.created")) == 101
    assert matcher._cache == {}


def test_a_type_of_a_million_full_stops_costs_little() -> None:
    matcher = Matcher([(["friend.request.**"], "a"), (["*"], "b")])
    began = time.perf_counter()

    assert matcher.match("." * 1_000_000) == ("b",)

    assert time.perf_counter() - began < 1.0


@pytest.mark.parametrize("pattern", ["*", "post.*", "connectors.**", "subscription.*"])
def test_a_partners_patterns_never_meet_the_connectors_own_events(pattern: str) -> None:
    assert Matcher([([pattern], "partner")]).match("connector.subscription.disabled") == ()


@pytest.mark.parametrize(
    "patterns",
    [
        ["connector.**"],
        ["connector.subscription.*"],
        ["connector.subscription.disabled"],
        ["*", "connector.**"],
    ],
)
def test_the_connectors_own_events_meet_a_pattern_that_names_them(patterns: list[str]) -> None:
    assert Matcher([(patterns, "operator")]).match("connector.subscription.disabled") == ("operator",)


@pytest.mark.parametrize("event_type", ["connector", "connectors.moved", "my.connector.moved"])
def test_types_that_only_look_like_the_connectors_own_are_everybodys(event_type: str) -> None:
    assert Matcher([(["*"], "partner")]).match(event_type) == ("partner",)


def expression(pattern: str) -> re.Pattern[str]:
    """The same rules, said another way."""
    if pattern == "*":
        return re.compile(r".*", re.DOTALL)
    if pattern.endswith(".**"):
        return re.compile(re.escape(pattern[:-3]) + r"\..*", re.DOTALL)
    if pattern.endswith(".*"):
        return re.compile(re.escape(pattern[:-2]) + r"\.[^.]*", re.DOTALL)
    return re.compile(re.escape(pattern))


segments = st.sampled_from(["a", "b", "c"])
types = st.lists(segments, min_size=1, max_size=5).map(".".join)
patterns = (
    st.just("*") | types | types.map(lambda prefix: prefix + ".*") | types.map(lambda prefix: prefix + ".**")
)


@given(st.lists(st.lists(patterns, max_size=4), max_size=8), types)
def test_matching_agrees_with_regular_expressions(many: list[list[str]], event_type: str) -> None:
    expected = tuple(
        number
        for number, some in enumerate(many)
        if any(expression(pattern).fullmatch(event_type) for pattern in some)
    )

    assert Matcher((some, number) for number, some in enumerate(many)).match(event_type) == expected


@given(st.text(max_size=20))
def test_every_text_is_either_sound_or_explained(text: str) -> None:
    problem = check_pattern(text)

    assert problem is None or len(problem) > 20
