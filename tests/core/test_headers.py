"""What is written in headers comes back exactly, and what we did not write is never taken for ours."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.event import PoisonCode
from connector.core.headers import Decoded, DecodedPoison, HeaderFault, decode, decode_dead, encode
from connector.core.record import Headers
from connector.core.trail import Origin, Pointer, PoisonTrail, Reason, Trail, Try

ORIGIN = Origin(topic="post.created", partition=3, offset=42, topic_id="Zm9v", timestamp_ms=1_700_000_000_000)
FRESH = Trail(
    subscription_id="bellamy",
    event_id="evt_1",
    event_type="post.created",
    origin=Origin(topic="post.created", partition=0, offset=0),
)
TRIED = Trail(
    subscription_id="bellamy",
    event_id="evt_1",
    event_type="post.created",
    origin=ORIGIN,
    attempt=2,
    hop=3,
    generation=1,
    not_before_ms=1_700_000_009_000,
    first_attempt_ms=1_700_000_001_000,
    failed_at_ms=1_700_000_002_000,
    error_class="http-503",
    status=503,
    detail="The endpoint answered 503.",
    body_sha256="ab" * 32,
    history=(
        Try(attempt=1, at_ms=1_700_000_001_000, error_class="timeout"),
        Try(attempt=2, at_ms=1_700_000_002_000, error_class="http-503"),
    ),
)
POISON = PoisonTrail(
    origin=ORIGIN, code="bad-frame", detail="The first byte is 7.", failed_at_ms=1_700_000_000_500
)


def why(headers: Headers) -> str:
    fault = decode(headers)
    assert isinstance(fault, HeaderFault)
    assert decode_dead(headers) == fault
    return fault.why


def changed(name: str, value: bytes | None) -> Headers:
    """The headers of a sound letter, one of them changed or added."""
    return [*((one, old) for one, old in encode(TRIED, ()) if one != name), (name, value)]


# ── what is written ─────────────────────────────────────────────────────────────────────────────


def test_a_trail_is_written_as_readable_text() -> None:
    assert encode(TRIED, [("trace", b"\x00\xff")]) == [
        ("webhook.v", b"1"),
        ("webhook.subscription-id", b"bellamy"),
        ("webhook.event-id", b"evt_1"),
        ("webhook.event-type", b"post.created"),
        ("webhook.topic", b"post.created"),
        ("webhook.partition", b"3"),
        ("webhook.offset", b"42"),
        ("webhook.topic-id", b"Zm9v"),
        ("webhook.timestamp-ms", b"1700000000000"),
        ("webhook.attempt", b"2"),
        ("webhook.hop", b"3"),
        ("webhook.generation", b"1"),
        ("webhook.not-before-ms", b"1700000009000"),
        ("webhook.first-attempt-ms", b"1700000001000"),
        ("webhook.failed-at-ms", b"1700000002000"),
        ("webhook.error-class", b"http-503"),
        ("webhook.status", b"503"),
        ("webhook.detail", b"The endpoint answered 503."),
        ("webhook.body-sha256", b"ab" * 32),
        ("webhook.history", b"1;1700000001000;timeout 2;1700000002000;http-503"),
        ("trace", b"\x00\xff"),
    ]


def test_what_is_not_known_is_not_written() -> None:
    assert encode(FRESH, ()) == [
        ("webhook.v", b"1"),
        ("webhook.subscription-id", b"bellamy"),
        ("webhook.event-id", b"evt_1"),
        ("webhook.event-type", b"post.created"),
        ("webhook.topic", b"post.created"),
        ("webhook.partition", b"0"),
        ("webhook.offset", b"0"),
        ("webhook.attempt", b"0"),
        ("webhook.hop", b"0"),
        ("webhook.generation", b"0"),
    ]


def test_a_dead_letter_also_speaks_to_tools_for_kafka_connect() -> None:
    headers = dict(encode(TRIED.dead("exhausted", reply_body=b"down"), ()))

    assert headers["webhook.reason"] == b"exhausted"
    assert headers["webhook.snippet"] == b"down"
    assert {name: value for name, value in headers.items() if name.startswith("__connect.")} == {
        "__connect.errors.stage": b"TASK_PUT",
        "__connect.errors.exception.class.name": b"http-503",
        "__connect.errors.exception.message": b"The endpoint answered 503.",
        "__connect.errors.topic": b"post.created",
        "__connect.errors.partition": b"3",
        "__connect.errors.offset": b"42",
        "__connect.errors.connector.name": b"webhook-connector",
    }


def test_a_dead_letter_that_never_failed_names_its_reason_to_such_tools() -> None:
    headers = dict(encode(FRESH.dead("deleted", detail="Its subscription was deleted."), ()))

    assert headers["__connect.errors.exception.class.name"] == b"deleted"


def test_a_poison_letter_names_the_record_and_what_is_wrong_with_it() -> None:
    assert encode(POISON, [("k", None)]) == [
        ("webhook.v", b"1"),
        ("webhook.topic", b"post.created"),
        ("webhook.partition", b"3"),
        ("webhook.offset", b"42"),
        ("webhook.topic-id", b"Zm9v"),
        ("webhook.timestamp-ms", b"1700000000000"),
        ("webhook.reason", b"poison"),
        ("webhook.error-class", b"bad-frame"),
        ("webhook.failed-at-ms", b"1700000000500"),
        ("webhook.detail", b"The first byte is 7."),
        ("__connect.errors.stage", b"VALUE_CONVERTER"),
        ("__connect.errors.exception.class.name", b"bad-frame"),
        ("__connect.errors.exception.message", b"The first byte is 7."),
        ("__connect.errors.topic", b"post.created"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"42"),
        ("__connect.errors.connector.name", b"webhook-connector"),
        ("k", None),
    ]


def test_texts_from_strangers_are_cut() -> None:
    trail = Trail(
        subscription_id="s",
        event_id="e",
        event_type="t" * 10_000,
        origin=ORIGIN,
        error_class="c" * 10_000,
        detail="d" * 10_000,
        reason="refused",
        snippet="s" * 10_000,
    )

    headers = dict(encode(trail, ()))

    assert headers["webhook.event-type"] == b"t" * 256
    assert headers["webhook.error-class"] == b"c" * 64
    assert headers["webhook.detail"] == b"d" * 512
    assert headers["webhook.snippet"] == b"s" * 512


def test_a_long_history_loses_its_oldest_entries() -> None:
    tries = tuple(
        Try(attempt=number, at_ms=1_700_000_000_000 + number, error_class="http-503")
        for number in range(1, 101)
    )
    trail = Trail(subscription_id="s", event_id="e", event_type="t", origin=ORIGIN, history=tries)

    decoded = decode(encode(trail, ()))

    assert isinstance(decoded, Decoded)
    assert len(dict(encode(trail, ()))["webhook.history"] or b"") <= 1_024
    assert decoded.trail.history == tries[-39:]


def test_a_class_we_never_heard_of_cannot_break_the_history() -> None:
    trail = Trail(
        subscription_id="s",
        event_id="e",
        event_type="t",
        origin=ORIGIN,
        history=(Try(attempt=1, at_ms=5, error_class="a b;c\n"), Try(attempt=2, at_ms=6, error_class="")),
    )

    decoded = decode(encode(trail, ()))

    assert isinstance(decoded, Decoded)
    assert [one.error_class for one in decoded.trail.history] == ["a_b_c_", "_"]


def test_a_lone_surrogate_does_not_keep_a_letter_from_being_written() -> None:
    trail = Trail(subscription_id="s", event_id="e", event_type="a\ud800", origin=ORIGIN)

    assert dict(encode(trail, ()))["webhook.event-type"] == b"a?"


# ── what is read ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("trail", [FRESH, TRIED])
def test_a_trail_comes_back(trail: Trail) -> None:
    assert decode(encode(trail, [("trace", b"1")])) == Decoded(trail, [("trace", b"1")])


@pytest.mark.parametrize("reason", get_args(Reason))
def test_a_dead_trail_comes_back_for_every_reason(reason: Reason) -> None:
    dead = TRIED.dead(reason, reply_body=b"down")

    assert decode_dead(encode(dead, [("trace", b"1")])) == Decoded(dead, [("trace", b"1")])


@pytest.mark.parametrize("code", get_args(PoisonCode))
def test_a_poison_trail_comes_back_for_every_code(code: PoisonCode) -> None:
    poison = PoisonTrail(origin=ORIGIN, code=code, detail="", failed_at_ms=0)

    assert decode_dead(encode(poison, [("trace", None)])) == DecodedPoison(poison, [("trace", None)])


def test_a_poison_letter_has_no_place_on_a_tier() -> None:
    assert decode(encode(POISON, ())) == HeaderFault("The header 'webhook.subscription-id' is missing.")


def test_a_pointer_comes_back() -> None:
    pointer = Pointer(value_sha256="cd" * 32, value_bytes=5_000_000, key_bytes=3, header_count=10_000)
    trail = Trail(subscription_id="s", event_id="e", event_type="t", origin=ORIGIN, pointer=pointer)

    headers = encode(trail, ())

    assert dict(headers)["webhook.pointer.value-bytes"] == b"5000000"
    assert decode(headers) == Decoded(trail, [])


def test_headers_of_the_source_come_back_whatever_they_are() -> None:
    source: Headers = [
        ("null", None),
        ("twice", b"1"),
        ("twice", b"2"),
        ("twice", b"1"),
        ("bytes", b"\xff\xfe\x00"),
        ("", b""),
        ("webhook", b"no full stop"),
        ("Webhook.V", b"2"),
    ]

    assert decode(encode(TRIED, source)) == Decoded(TRIED, source)


def test_forged_headers_of_ours_are_carried_and_never_believed() -> None:
    forged: Headers = [
        ("webhook.attempt", b"99"),
        ("webhook.v", None),
        ("webhook.orig.webhook.v", b"x"),
        ("webhook.orig.", b"y"),
        ("webhook.", b"z"),
        ("__connect.errors.topic", b"elsewhere"),
        ("webhook.attempt", b"98"),
    ]

    headers = encode(TRIED, forged)

    assert ("webhook.orig.webhook.attempt", b"99") in headers
    assert decode(headers) == Decoded(TRIED, forged)
    assert decode_dead(encode(TRIED.dead("gone"), forged)) == Decoded(TRIED.dead("gone"), forged)


def test_a_record_with_ten_thousand_headers_comes_back() -> None:
    source: Headers = [(f"webhook.{number}", b"x" * 100) for number in range(10_000)]

    assert decode(encode(TRIED, source)) == Decoded(TRIED, source)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((), "The header 'webhook.v' is missing: this record was not written by the connector."),
        (
            [("trace", b"1")],
            "The header 'webhook.v' is missing: this record was not written by the connector.",
        ),
        (changed("webhook.v", b"2"), "The headers are of version b'2'; this release reads version 1."),
        (changed("webhook.v", b"1 "), "The headers are of version b'1 '; this release reads version 1."),
        (changed("webhook.v", None), "The header 'webhook.v' has no value."),
        (changed("webhook.hop", None), "The header 'webhook.hop' has no value."),
        ([*encode(TRIED, ()), ("webhook.v", b"1")], "The header 'webhook.v' is there more than once."),
        ([*encode(TRIED, ()), ("webhook.hop", b"3")], "The header 'webhook.hop' is there more than once."),
        (changed("webhook.mood", b"good"), "The header 'webhook.mood' is unknown."),
        (changed("webhook.", b""), "The header 'webhook.' is unknown."),
        (
            [("webhook.v", b"2"), ("webhook.mood", b"good")],
            "The headers are of version b'2'; this release reads version 1.",
        ),
        (changed("webhook.event-type", b"\xff"), "The header 'webhook.event-type' is not UTF-8 text."),
        (
            changed("webhook.body-sha256", b"AB" * 32),
            "The header 'webhook.body-sha256' is not a SHA-256 in hex.",
        ),
        (changed("webhook.body-sha256", b"ab"), "The header 'webhook.body-sha256' is not a SHA-256 in hex."),
        (
            changed("webhook.reason", b"boredom"),
            "The header 'webhook.reason' is none of the reasons we write: 'boredom'.",
        ),
        (
            changed("webhook.history", b"1;2"),
            "The header 'webhook.history' has an entry we did not write: '1;2'.",
        ),
        (
            changed("webhook.history", b"1;2;x;y"),
            "The header 'webhook.history' has an entry we did not write: '1;2;x;y'.",
        ),
        (
            changed("webhook.pointer.value-bytes", b"5"),
            "The header 'webhook.pointer.value-sha256' is missing.",
        ),
    ],
)
def test_what_we_did_not_write_is_a_fault_that_says_why(headers: Headers, expected: str) -> None:
    assert why(headers) == expected


@pytest.mark.parametrize(
    "name",
    [
        "subscription-id",
        "event-id",
        "event-type",
        "topic",
        "partition",
        "offset",
        "attempt",
        "hop",
        "generation",
    ],
)
def test_what_a_trail_must_have_may_not_be_missing(name: str) -> None:
    headers = [(one, value) for one, value in encode(TRIED, ()) if one != f"webhook.{name}"]

    assert why(headers) == f"The header 'webhook.{name}' is missing."


@pytest.mark.parametrize(
    "name",
    [
        "partition",
        "offset",
        "timestamp-ms",
        "attempt",
        "hop",
        "generation",
        "not-before-ms",
        "first-attempt-ms",
        "failed-at-ms",
        "status",
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"-1",
        b"+1",
        b" 1",
        b"1\n",
        b"1_0",
        b"0x1",
        b"1.0",
        b"9223372036854775808",
        b"9" * 5_000,
        b"\xd9\xa3",
    ],
)
def test_a_number_is_decimal_and_of_64_bits(name: str, value: bytes) -> None:
    problem = why(changed(f"webhook.{name}", value))

    assert problem == f"The header 'webhook.{name}' is not a decimal number of 64 bits."


def test_the_largest_number_is_read() -> None:
    decoded = decode(changed("webhook.offset", b"9223372036854775807"))

    assert isinstance(decoded, Decoded)
    assert decoded.trail.origin.offset == 9_223_372_036_854_775_807


def test_an_unknown_kind_of_poison_is_a_fault() -> None:
    headers = [
        (name, b"mood" if name == "webhook.error-class" else value) for name, value in encode(POISON, ())
    ]

    assert decode_dead(headers) == HeaderFault(
        "The header 'webhook.error-class' names no known kind of poison: 'mood'."
    )


# ── anything at all ─────────────────────────────────────────────────────────────────────────────

counts = st.integers(0, 2**63 - 1)
words = st.text(alphabet=st.characters(codec="utf-8"), max_size=64)
tokens = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=32)
hashes = st.text(alphabet="0123456789abcdef", min_size=64, max_size=64)
names = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["webhook.v", "webhook.attempt", "webhook.orig.x", "webhook.orig.webhook.orig.x", "webhook."]
    ),
    st.sampled_from(["__connect.errors.topic", "__connect.errors."]),
)
source_headers = st.lists(st.tuples(names, st.none() | st.binary(max_size=20)), max_size=12)
origins = st.builds(
    Origin, topic=words, partition=counts, offset=counts, topic_id=words, timestamp_ms=st.just(-1) | counts
)
pointers = st.builds(Pointer, value_sha256=hashes, value_bytes=counts, key_bytes=counts, header_count=counts)
trails = st.builds(
    Trail,
    subscription_id=words,
    event_id=words,
    event_type=words,
    origin=origins,
    attempt=counts,
    hop=counts,
    generation=counts,
    not_before_ms=counts,
    first_attempt_ms=counts,
    failed_at_ms=counts,
    error_class=st.just("") | tokens,
    status=counts,
    detail=words,
    body_sha256=st.just("") | hashes,
    history=st.lists(st.builds(Try, attempt=counts, at_ms=counts, error_class=tokens), max_size=8).map(tuple),
    reason=st.none() | st.sampled_from(get_args(Reason)),
    snippet=words,
    pointer=st.none() | pointers,
)
poisons = st.builds(
    PoisonTrail,
    origin=origins,
    code=st.sampled_from(get_args(PoisonCode)),
    detail=words,
    failed_at_ms=counts,
    pointer=st.none() | pointers,
)


@given(trails, source_headers)
def test_every_trail_and_every_header_come_back(trail: Trail, source: Headers) -> None:
    headers = encode(trail, source)

    assert decode(headers) == Decoded(trail, source)
    assert decode_dead(headers) == Decoded(trail, source)


@given(poisons, source_headers)
def test_every_poison_trail_and_every_header_come_back(trail: PoisonTrail, source: Headers) -> None:
    assert decode_dead(encode(trail, source)) == DecodedPoison(trail, source)


@given(source_headers)
def test_no_headers_whatever_break_the_reading(headers: Headers) -> None:
    assert isinstance(decode(headers), Decoded | HeaderFault)
    assert isinstance(decode_dead(headers), Decoded | DecodedPoison | HeaderFault)


@given(st.sampled_from([name for name, _ in encode(TRIED, ())]), st.binary(max_size=30))
def test_no_value_whatever_breaks_the_reading(name: str, value: bytes) -> None:
    assert isinstance(decode(changed(name, value)), Decoded | HeaderFault)
