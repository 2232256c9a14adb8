"""The JSON Schemas of the connector's own records describe the headers that it really writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import schemas
from connector.core import headers
from connector.core.event import PoisonCode
from connector.core.letters import (
    Letter,
    dead_letter,
    parked_letter,
    pointer_letter,
    poison_letter,
    retry_letter,
)
from connector.core.record import Record
from connector.core.trail import Origin, PoisonTrail, Reason, Trail, Try

RETRY = Draft202012Validator(schemas.internal_schema("retry-record"))
DEAD = Draft202012Validator(schemas.internal_schema("dead-letter"))

RECORD = Record(
    topic="post.created",
    partition=3,
    offset=42,
    timestamp_ms=1_700_000_000_000,
    key=b"author-1",
    value=b"{}",
    headers=[("trace", b"\xff"), ("webhook.v", b"9")],
    topic_id="Zm9v",
)
FRESH = Trail(
    subscription_id="bellamy",
    event_id="evt_1",
    event_type="post.created",
    origin=Origin(topic="post.created", partition=0, offset=0),
)
TRIED = replace(
    FRESH,
    origin=Origin.of(RECORD),
    attempt=1,
    hop=1,
    generation=1,
    not_before_ms=1_700_000_009_000,
    first_attempt_ms=1_700_000_001_000,
    failed_at_ms=1_700_000_002_000,
    error_class="http-503",
    status=503,
    detail="The endpoint answered 503.",
    body_sha256="ab" * 32,
    history=(Try(attempt=1, at_ms=1_700_000_001_000, error_class="http-503"),),
)
POISON = PoisonTrail(origin=Origin.of(RECORD), code="bad-frame", detail="Too short.", failed_at_ms=5)

_NUMBERS = st.integers(0, 2**63 - 1)
_TOKENS = st.from_regex(r"[A-Za-z0-9._-]{1,80}", fullmatch=True)
_TEXTS = st.text(max_size=700)
_ORIGINS = st.builds(
    Origin,
    topic=st.from_regex(r"[A-Za-z0-9._-]{1,249}", fullmatch=True),
    partition=_NUMBERS,
    offset=_NUMBERS,
    topic_id=st.from_regex(r"[A-Za-z0-9_-]{0,22}", fullmatch=True),
    timestamp_ms=st.integers(-1, 2**63 - 1),
)
_TRAILS = st.builds(
    Trail,
    subscription_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True),
    event_id=st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True),
    event_type=st.text(min_size=1, max_size=300),
    origin=_ORIGINS,
    attempt=_NUMBERS,
    hop=_NUMBERS,
    generation=_NUMBERS,
    not_before_ms=_NUMBERS,
    first_attempt_ms=_NUMBERS,
    failed_at_ms=_NUMBERS,
    error_class=st.just("") | _TOKENS | _TEXTS,
    status=st.integers(0, 999),
    detail=_TEXTS,
    body_sha256=st.just("") | st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    history=st.lists(st.builds(Try, attempt=_NUMBERS, at_ms=_NUMBERS, error_class=_TEXTS), max_size=40).map(
        tuple
    ),
)
_POISONS = st.builds(
    PoisonTrail,
    origin=_ORIGINS,
    code=st.sampled_from(get_args(PoisonCode)),
    detail=_TEXTS,
    failed_at_ms=_NUMBERS,
)
_REASONS = st.sampled_from([reason for reason in get_args(Reason) if reason != "poison"])


def own(letter: Letter) -> dict[str, str]:
    """The connector's own headers, each once."""
    named = [
        (name, value)
        for name, value in letter.headers
        if name.startswith((headers.OWN_PREFIX, headers.ALIAS_PREFIX))
        and not name.startswith(headers.ORIGINAL_PREFIX)
    ]
    texts = {name: (value or b"").decode() for name, value in named}
    assert len(texts) == len(named)
    return texts


LETTERS = {
    "tier": (RETRY, retry_letter(RECORD, TRIED)),
    "parked": (RETRY, parked_letter(RECORD, FRESH)),
    "dead": (DEAD, dead_letter(RECORD, TRIED.dead("exhausted", reply_body=b"busy"))),
    "deleted": (DEAD, dead_letter(RECORD, FRESH.dead("deleted"))),
    "poison": (DEAD, poison_letter(RECORD, POISON)),
    "pointer": (DEAD, pointer_letter(RECORD, TRIED.dead("oversize"))),
    "poison pointer": (DEAD, pointer_letter(RECORD, POISON)),
}
every_letter = pytest.mark.parametrize(("schema", "letter"), LETTERS.values(), ids=LETTERS)


@pytest.mark.parametrize("name", ["retry-record", "dead-letter"])
def test_a_schema_is_a_schema(name: Literal["retry-record", "dead-letter"]) -> None:
    Draft202012Validator.check_schema(schemas.internal_schema(name))


@every_letter
def test_what_is_written_fits_its_schema_and_no_other(schema: Draft202012Validator, letter: Letter) -> None:
    schema.validate(own(letter))

    assert not (DEAD if schema is RETRY else RETRY).is_valid(own(letter))


@given(trail=_TRAILS)
def test_whatever_a_delivery_has_behind_it_its_retry_record_fits(trail: Trail) -> None:
    RETRY.validate(own(retry_letter(RECORD, trail)))


@given(trail=_TRAILS, reason=_REASONS, reply=st.binary(max_size=700), is_pointer=st.booleans())
def test_whatever_a_delivery_died_of_its_dead_letter_fits(
    trail: Trail, reason: Reason, reply: bytes, is_pointer: bool
) -> None:
    dead = trail.dead(reason, reply_body=reply)

    DEAD.validate(own((pointer_letter if is_pointer else dead_letter)(RECORD, dead)))


@given(trail=_POISONS, is_pointer=st.booleans())
def test_whatever_is_wrong_with_a_poison_record_its_dead_letter_fits(
    trail: PoisonTrail, is_pointer: bool
) -> None:
    DEAD.validate(own((pointer_letter if is_pointer else poison_letter)(RECORD, trail)))


@every_letter
def test_no_header_that_is_required_may_be_missing_and_none_may_be_new(
    schema: Draft202012Validator, letter: Letter
) -> None:
    written = own(letter)
    always = own(parked_letter(RECORD, FRESH)).keys() & written.keys()

    without_one = [{name: written[name] for name in written if name != missing} for missing in always]

    assert not any(schema.is_valid(each) for each in without_one)
    assert not schema.is_valid({**written, "webhook.new": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook.v", "2"), ("webhook.attempt", "-1"), ("webhook.offset", "042"), ("webhook.partition", ""),
        ("webhook.status", "0"), ("webhook.event-id", "a b"), ("webhook.body-sha256", "AB" * 32),
        ("webhook.history", "1;2"), ("webhook.detail", ""), ("webhook.detail", "x" * 513),
    ],
)  # fmt: skip
def test_a_value_we_would_not_write_does_not_fit(name: str, value: str) -> None:
    written = own(retry_letter(RECORD, TRIED))

    assert name in written
    assert not RETRY.is_valid({**written, name: value})


def test_names_reasons_and_kinds_of_poison_are_those_of_the_code() -> None:
    described: dict[str, Any] = {}
    delivery, poison = schemas.internal_schema("dead-letter")["oneOf"]
    for part in (schemas.internal_schema("retry-record"), delivery, poison):
        described |= part["properties"]

    names = {name for name in described if not name.startswith(headers.ALIAS_PREFIX)}
    assert names == {headers.OWN_PREFIX + name for name in headers._NAMES}
    reasons = {*delivery["properties"]["webhook.reason"]["enum"], "poison"}
    assert reasons == set(get_args(Reason))
    assert set(poison["properties"]["webhook.error-class"]["enum"]) == set(get_args(PoisonCode))


def test_what_both_describe_they_describe_alike() -> None:
    retry = schemas.internal_schema("retry-record")["properties"]
    delivery = schemas.internal_schema("dead-letter")["oneOf"][0]["properties"]

    assert {name: retry[name] for name in retry if name in delivery} == {
        name: delivery[name] for name in delivery if name in retry
    }
