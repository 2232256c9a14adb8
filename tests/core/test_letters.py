"""A letter is the source record untouched under our headers, or a pointer to it."""

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.headers import Decoded, DecodedPoison, decode, decode_dead
from connector.core.letters import (
    Letter,
    dead_letter,
    parked_letter,
    pointer_letter,
    poison_letter,
    retry_letter,
    source_record,
)
from connector.core.record import Record
from connector.core.trail import Origin, Pointer, PoisonTrail, Trail

RECORD = Record(
    topic="post.created",
    partition=3,
    offset=42,
    timestamp_ms=1_700_000_000_000,
    key=b"author-1",
    value=b"\x00\x00\x00\x00\x01payload",
    headers=[("trace", b"\xff"), ("trace", None), ("webhook.v", b"9")],
    topic_id="Zm9v",
)
TRAIL = Trail(
    subscription_id="bellamy",
    event_id="evt_1",
    event_type="post.created",
    origin=Origin.of(RECORD),
    attempt=1,
    hop=1,
)
POISON = PoisonTrail(origin=Origin.of(RECORD), code="bad-frame", detail="Too short.", failed_at_ms=5)


def as_read(letter: Letter) -> Record:
    """The letter as a consumer of our own topic reads it."""
    return Record("webhooks.retry.30s", 0, 7, 1_700_000_009_000, letter.key, letter.value, letter.headers)


@pytest.mark.parametrize("write", [retry_letter, parked_letter])
def test_key_and_value_are_untouched_and_the_source_record_comes_back(
    write: Callable[[Record, Trail], Letter],
) -> None:
    letter = write(RECORD, TRAIL)
    decoded = decode(letter.headers)

    assert (letter.key, letter.value) == (RECORD.key, RECORD.value)
    assert isinstance(decoded, Decoded)
    assert decoded.trail == TRAIL
    assert source_record(as_read(letter), decoded) == RECORD


def test_a_dead_letter_holds_the_source_record_and_its_reason() -> None:
    letter = dead_letter(RECORD, TRAIL.dead("exhausted", reply_body=b"down"))
    decoded = decode_dead(letter.headers)

    assert isinstance(decoded, Decoded)
    assert decoded.trail.reason == "exhausted"
    assert decoded.trail.snippet == "down"
    assert source_record(as_read(letter), decoded) == RECORD


def test_a_poison_letter_holds_the_source_record() -> None:
    letter = poison_letter(RECORD, POISON)
    decoded = decode_dead(letter.headers)

    assert decoded == DecodedPoison(POISON, RECORD.headers)
    assert source_record(as_read(letter), decoded) == RECORD


def test_null_key_and_null_value_stay_null() -> None:
    record = Record("post.created", 3, 42, -1, None, None)

    letter = retry_letter(record, TRAIL)

    assert (letter.key, letter.value) == (None, None)


def test_the_same_letter_again_and_again_does_not_grow() -> None:
    letter = first = retry_letter(RECORD, TRAIL)

    for _ in range(5):
        decoded = decode(letter.headers)
        assert isinstance(decoded, Decoded)
        letter = retry_letter(source_record(as_read(letter), decoded), decoded.trail)

    assert letter == first


def test_what_is_dead_is_not_tried_again_nor_parked() -> None:
    with pytest.raises(AssertionError, match="not tried again"):
        retry_letter(RECORD, TRAIL.dead("gone"))
    with pytest.raises(AssertionError, match="not parked"):
        parked_letter(RECORD, TRAIL.dead("gone"))


def test_a_dead_letter_without_a_reason_is_not_written() -> None:
    with pytest.raises(AssertionError, match="says why"):
        dead_letter(RECORD, TRAIL)


def test_a_pointer_letter_says_what_it_left_out() -> None:
    value = b"0123456789abcdef" * 62_500  # 1,000,000 bytes
    record = Record("post.created", 3, 42, -1, b"k", value, headers=[("h", b"x")] * 10_000)

    letter = pointer_letter(record, TRAIL.dead("oversize", detail="The record is too large."))
    decoded = decode_dead(letter.headers)

    assert isinstance(decoded, Decoded)
    assert decoded.trail.reason == "oversize"
    assert decoded.trail.pointer == Pointer(
        value_sha256=hashlib.sha256(value).hexdigest(),
        value_bytes=1_000_000,
        key_bytes=1,
        header_count=10_000,
    )
    assert decoded.headers == []
    assert letter.key == b"k"
    assert letter.value == value[:65_536]


@pytest.mark.parametrize(("key_bytes", "is_kept"), [(65_536, True), (65_537, False)])
def test_a_pointer_letter_keeps_a_key_whole_or_not_at_all(key_bytes: int, is_kept: bool) -> None:
    record = Record("post.created", 3, 42, -1, b"k" * key_bytes, b"v")

    letter = pointer_letter(record, TRAIL)
    decoded = decode(letter.headers)

    assert (letter.key is not None) is is_kept
    assert isinstance(decoded, Decoded)
    assert decoded.trail.pointer is not None
    assert decoded.trail.pointer.key_bytes == key_bytes


def test_a_pointer_letter_of_a_null_value_stays_null() -> None:
    record = Record("post.created", 3, 42, -1, None, None, headers=[("h", b"x" * 2_000_000)])

    letter = pointer_letter(record, TRAIL)

    assert (letter.key, letter.value) == (None, None)


@pytest.mark.parametrize("trail", [TRAIL, POISON])
def test_a_pointer_letter_is_small_whatever_it_points_to(trail: Trail | PoisonTrail) -> None:
    record = Record(
        "t", 0, 0, -1, b"k" * 65_536, b"v" * 5_000_000, headers=[("h" * 100, b"x" * 100_000)] * 100
    )

    letter = pointer_letter(record, trail)
    headers_bytes = sum(len(name) + len(value or b"") for name, value in letter.headers)

    assert headers_bytes + len(letter.key or b"") + len(letter.value or b"") < 140_000


headers = st.lists(st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=8)), max_size=5)


@given(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=20), headers)
def test_every_record_survives_a_tier(
    key: bytes | None, value: bytes | None, source: list[tuple[str, bytes | None]]
) -> None:
    record = Record("post.created", 3, 42, 5, key, value, headers=source, topic_id="Zm9v")
    trail = Trail(subscription_id="s", event_id="e", event_type="t", origin=Origin.of(record))

    letter = retry_letter(record, trail)
    decoded = decode(letter.headers)

    assert isinstance(decoded, Decoded)
    assert source_record(as_read(letter), decoded) == record
