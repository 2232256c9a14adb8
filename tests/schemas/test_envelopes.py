"""The envelopes' JSON Schemas describe what the built-in dialects really send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import schemas
from connector.core.composer import compile_composer
from connector.core.dialect import DIALECTS
from connector.core.event import Event
from connector.core.subscription import Secrets

SECRET = Secrets(current="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
every_dialect = pytest.mark.parametrize("name", sorted(DIALECTS))


def body_of(name: str) -> Any:
    event = Event(
        type="post.created",
        id="evt_1",
        time_us=1_667_507_186_344_522,
        time_digits=6,
        data=b'{"id":"post_123"}',
        source="test/post.created",
        subject="post/123",
        attributes=(("traceparent", b'"00-1"'),),
    )
    _, body = compile_composer(DIALECTS[name], SECRET).compose(event, 1_667_507_187)
    return json.loads(body)


@every_dialect
def test_a_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(schemas.envelope_schema(name))


@every_dialect
def test_a_body_fits_the_schema_of_its_dialect(name: str) -> None:
    Draft202012Validator(schemas.envelope_schema(name)).validate(body_of(name))


@every_dialect
def test_no_member_may_be_missing_or_new(name: str) -> None:
    schema = Draft202012Validator(schemas.envelope_schema(name))
    body = body_of(name)
    required = schemas.envelope_schema(name)["required"]

    without_one = [{key: body[key] for key in body if key != missing} for missing in required]

    assert not any(schema.is_valid(each) for each in without_one)
    assert not schema.is_valid({**body, "Not-A-Member": 1})


@every_dialect
def test_the_members_stand_in_the_order_of_the_dialect(name: str) -> None:
    described = list(schemas.envelope_schema(name)["properties"])

    sent = [member for member in body_of(name) if member in described]

    assert sent == [member for member in described if member in sent]


def test_only_built_in_dialects_have_one() -> None:
    with pytest.raises(FileNotFoundError):
        schemas.envelope_schema("carrier-pigeon")
