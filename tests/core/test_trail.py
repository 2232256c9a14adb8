"""A trail tells what a delivery has behind it, and each step makes a new one."""

import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.outcome import Deferred, Refused
from connector.core.record import Record
from connector.core.trail import DOUBTS_MAX, Origin, Trail, Try, delivery_id, printable

ORIGIN = Origin(topic="post.created", partition=3, offset=42, topic_id="Zm9v", timestamp_ms=1_000)
FRESH = Trail(subscription_id="bellamy", event_id="evt_1", event_type="post.created", origin=ORIGIN)
DOWN = Deferred(error_class="http-503", detail="The endpoint answered 503.", status=503)
OURS = Deferred(error_class="resources", detail="No descriptors left.", is_counted=False)
GONE = Refused(reason="gone", error_class="http-410", detail="It is gone.", status=410)


def test_an_origin_is_where_the_record_was_read() -> None:
    record = Record("post.created", 3, 42, 1_000, b"k", b"v", leader_epoch=7, topic_id="Zm9v")

    assert Origin.of(record) == ORIGIN


def test_a_failed_attempt_is_counted_and_remembered() -> None:
    trail = FRESH.failed(DOWN, started_ms=5_000, ended_ms=5_100, body_sha256="ab")

    assert trail == Trail(
        subscription_id="bellamy",
        event_id="evt_1",
        event_type="post.created",
        origin=ORIGIN,
        attempt=1,
        first_attempt_ms=5_000,
        failed_at_ms=5_100,
        error_class="http-503",
        status=503,
        detail="The endpoint answered 503.",
        body_sha256="ab",
        history=(Try(attempt=1, at_ms=5_000, error_class="http-503"),),
    )


def test_the_second_failure_keeps_when_it_began_and_the_body_as_first_sent() -> None:
    first = FRESH.failed(DOWN, started_ms=5_000, ended_ms=5_100, body_sha256="ab")
    second = first.failed(GONE, started_ms=9_000, ended_ms=9_100, body_sha256="cd")

    assert second.attempt == 2
    assert second.first_attempt_ms == 5_000
    assert second.failed_at_ms == 9_100
    assert second.error_class == "http-410"
    assert second.body_sha256 == "ab"
    assert [(one.attempt, one.at_ms) for one in second.history] == [(1, 5_000), (2, 9_000)]


def test_a_fault_of_our_own_moves_neither_attempt_nor_age_but_is_remembered() -> None:
    trail = FRESH.failed(OURS, started_ms=5_000, ended_ms=5_100, body_sha256="ab")

    assert trail.attempt == 0
    assert trail.first_attempt_ms == 0
    assert trail.history == (Try(attempt=1, at_ms=5_000, error_class="resources"),)


def test_a_doubtful_fault_of_our_own_is_counted_after_ten_in_a_row_and_then_again_after_ten() -> None:
    doubtful = Deferred(error_class="proxy", detail="So it says.", is_counted=False, is_doubtful=True)
    trail = FRESH
    counted = []
    for _ in range(33):
        outcome = trail.without_doubt(doubtful)
        counted.append(outcome.is_counted)
        trail = trail.failed(outcome, started_ms=5_000, ended_ms=5_100, body_sha256="ab")

    assert counted == [*[False] * DOUBTS_MAX, True] * 3
    assert trail.attempt == 3


def test_a_doubtful_fault_is_counted_at_once_where_the_endpoint_is_given_up_already() -> None:
    doubtful = Deferred(error_class="proxy", detail="So it says.", is_counted=False, is_doubtful=True)

    assert FRESH.without_doubt(doubtful, is_given_up=True).is_counted
    assert not FRESH.without_doubt(OURS, is_given_up=True).is_counted


def test_a_fault_that_is_surely_ours_is_never_counted() -> None:
    trail = FRESH
    for _ in range(20):
        trail = trail.failed(trail.without_doubt(OURS), started_ms=5_000, ended_ms=5_100, body_sha256="ab")

    assert trail.attempt == 0


def test_each_write_to_a_tier_is_a_hop() -> None:
    trail = FRESH.to_tier(not_before_ms=0).to_tier(not_before_ms=7_000)

    assert trail.hop == 2
    assert trail.attempt == 0
    assert trail.not_before_ms == 7_000


def test_its_age_stands_still_while_it_waits_for_a_fault_of_our_own() -> None:
    tried = FRESH.failed(DOWN, started_ms=5_000, ended_ms=5_100, body_sha256="ab")

    assert tried.to_tier(not_before_ms=0, standstill_ms=30_000).first_attempt_ms == 35_000
    assert tried.to_tier(not_before_ms=0).first_attempt_ms == 5_000


def test_what_was_never_tried_has_no_age_to_stand_still() -> None:
    assert FRESH.to_tier(not_before_ms=0, standstill_ms=30_000).first_attempt_ms == 0


def test_a_dead_delivery_says_why_and_what_came_back() -> None:
    tried = FRESH.failed(DOWN, started_ms=5_000, ended_ms=5_100, body_sha256="ab").to_tier(
        not_before_ms=9_000
    )

    dead = tried.dead("exhausted", reply_body=b"down for\r\nmaintenance\x1b[31m")

    assert dead.reason == "exhausted"
    assert dead.not_before_ms == 0
    assert dead.detail == "The endpoint answered 503."
    assert dead.snippet == "down for  maintenance [31m"


def test_a_delivery_that_died_without_a_failure_says_why_in_words() -> None:
    dead = FRESH.dead("deleted", detail="Its subscription was deleted.")

    assert (dead.reason, dead.detail) == ("deleted", "Its subscription was deleted.")


@given(st.binary(max_size=2_000))
def test_a_snippet_is_one_short_line_whatever_came_back(body: bytes) -> None:
    snippet = printable(body, 512)

    assert len(snippet) <= 512
    assert snippet.isprintable()


def test_a_delivery_id_can_be_recomputed_by_anyone() -> None:
    named = b"post.created\x00Zm9v\x003\x0042\x00bellamy"

    assert delivery_id(ORIGIN, "bellamy") == "dlv_" + hashlib.sha256(named).hexdigest()[:32]
    assert delivery_id(ORIGIN, "bellamy") == "dlv_8137d0de73221e9b4957d82622ae88c7"


@pytest.mark.parametrize(
    "other",
    [
        Origin(topic="post.created", partition=3, offset=43, topic_id="Zm9v", timestamp_ms=1_000),
        Origin(topic="post.created", partition=34, offset=2, topic_id="Zm9v", timestamp_ms=1_000),
        Origin(topic="post.created", partition=3, offset=42, topic_id="", timestamp_ms=1_000),
        Origin(topic="post.createdZm9v", partition=3, offset=42, topic_id="", timestamp_ms=1_000),
    ],
)
def test_other_coordinates_have_another_delivery_id(other: Origin) -> None:
    assert delivery_id(other, "bellamy") != delivery_id(ORIGIN, "bellamy")


def test_a_delivery_id_does_not_depend_on_the_timestamp() -> None:
    other = Origin(topic="post.created", partition=3, offset=42, topic_id="Zm9v")

    assert delivery_id(other, "bellamy") == delivery_id(ORIGIN, "bellamy")


ids = st.text(alphabet=string.ascii_letters + string.digits + "-_", min_size=1, max_size=8)
origins = st.builds(
    Origin, topic=ids, partition=st.integers(0, 20), offset=st.integers(0, 200), topic_id=st.just("") | ids
)


@given(st.lists(st.tuples(origins, ids), min_size=2, max_size=10, unique=True))
def test_no_two_deliveries_share_an_id(deliveries: list[tuple[Origin, str]]) -> None:
    assert len({delivery_id(origin, one) for origin, one in deliveries}) == len(deliveries)
