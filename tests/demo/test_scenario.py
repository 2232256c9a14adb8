from __future__ import annotations

from collections import Counter

from connector.core.matching import Matcher
from connector.demo.behaviours import Down, Flaky, Hanging
from connector.demo.records import Recorder
from connector.demo.scenario import SMALL_BODY_BYTES_MAX, full_scenario, partners
from schemas import event_types


def test_each_guide_has_a_partner() -> None:
    assert {partner.guide for partner in partners()} >= {
        "networked", "webhooks-v1", "notify", "bellamy", "netasampark"
    }  # fmt: skip


def test_the_patterns_of_a_subscription_mean_the_types_its_partner_wants() -> None:
    everyone = partners()
    matcher = Matcher((partner.events, partner.id) for partner in everyone)

    for event_type in event_types():
        wanted = {partner.id for partner in everyone if event_type.name in partner.wants}
        assert set(matcher.match(event_type.name)) == wanted


def test_one_is_flaky_one_is_down_one_hangs_and_one_is_paused() -> None:
    everyone = partners()

    assert Counter(type(partner.behaviour) for partner in everyone if not partner.is_paused) >= Counter(
        (Flaky, Down, Hanging)
    )
    assert [partner.manner for partner in everyone if partner.is_paused] == ["paused"]


def test_every_type_occurs_and_nobody_wants_one_of_them() -> None:
    occurring = {event_type for event_type, _ in full_scenario().records()}
    wanted = frozenset().union(*(partner.wants for partner in partners()))

    assert occurring == {event_type.name for event_type in event_types()}
    assert occurring - wanted == {"subscription.created"}


def test_there_are_broken_records_tombstones_and_large_events_among_them() -> None:
    kinds = Counter(kind for _, kind in full_scenario().records())

    assert kinds == {"event": 913, "corrupt": 2, "tombstone": 2, "large": 2, "no-frame": 1}


def test_a_large_event_is_above_the_limit_of_the_partner_who_gets_it() -> None:
    recorder = Recorder({"file.uploaded": 1}, run="demo-1")

    record = recorder.record("file.uploaded", "large", 1)

    assert record.value is not None
    assert len(record.value) > SMALL_BODY_BYTES_MAX
    assert [partner.body_bytes_max for partner in partners() if "file.uploaded" in partner.wants] == [4_096]


def test_records_have_ids_of_their_own_and_keys_that_return() -> None:
    recorder = Recorder({"post.created": 7}, run="demo-1")

    first, later = recorder.record("post.created", "event", 1), recorder.record("post.created", "event", 401)

    assert (first.event_id, later.event_id) == ("evt_demo_1_00001", "evt_demo_1_00401")
    assert first.key == later.key == b"post_101"
    assert first.value is not None
    assert first.value[:5] == b"\x00\x00\x00\x00\x07"
    assert first.value != later.value


def test_a_tombstone_has_no_value() -> None:
    assert Recorder({"user.deleted": 1}, run="r").record("user.deleted", "tombstone", 1).value is None


def test_what_hangs_is_over_in_time_although_it_is_tried_one_at_a_time() -> None:
    scenario = full_scenario()
    occurring = Counter(event_type for event_type, kind in scenario.records() if kind == "event")

    for partner in scenario.partners:
        if isinstance(partner.behaviour, Hanging):
            deliveries = sum(occurring[event_type] for event_type in partner.wants)
            attempts = deliveries * (len(scenario.ladder_ms) + 1)
            attempts_ms = attempts * (partner.timeout_ms or scenario.timeout_ms)
            assert attempts_ms + sum(scenario.ladder_ms) < scenario.end_within_s * 1_000 * 0.7
