"""The JSON Schema of operator events describes the records that are really written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import schemas
from connector.core.disabling import NEVER_MS, Disabled
from connector.core.operator_event import OPERATOR_EVENT_TYPES, disabled_event, enabled_event

DOCUMENT = schemas.internal_schema("operator-event")
EVENTS = Draft202012Validator(DOCUMENT)
WAS = Disabled(since_ms=1_700_000_000_000, why="Gone.", probes_at_ms=1_700_003_600_000)

_TIMES = st.integers(0, 253_402_300_799_999)  # the end of the year 9999
_TEXTS = st.text(st.characters(codec="utf-8"))
_DISABLED = st.builds(Disabled, since_ms=_TIMES, why=_TEXTS, probes_at_ms=_TIMES | st.just(NEVER_MS))
_IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True)


def disabled() -> dict[str, Any]:
    event: dict[str, Any] = orjson.loads(disabled_event("acme", WAS))
    return event


def enabled() -> dict[str, Any]:
    event: dict[str, Any] = orjson.loads(enabled_event("acme", WAS, now_ms=1_700_003_600_123))
    return event


every_event = pytest.mark.parametrize("event", [disabled, enabled])


def test_it_is_a_schema_and_knows_every_type() -> None:
    Draft202012Validator.check_schema(DOCUMENT)

    assert set(DOCUMENT["properties"]["type"]["enum"]) == set(OPERATOR_EVENT_TYPES)


@given(id_=_IDS, was=_DISABLED, now_ms=_TIMES)
def test_whatever_is_told_fits(id_: str, was: Disabled, now_ms: int) -> None:
    EVENTS.validate(orjson.loads(disabled_event(id_, was)))
    EVENTS.validate(orjson.loads(enabled_event(id_, was, now_ms=now_ms)))


@every_event
def test_no_member_may_be_missing_and_none_may_be_new(event: Callable[[], dict[str, Any]]) -> None:
    told = event()
    data = told["data"]
    without = [{name: told[name] for name in told if name != missing} for missing in told]
    without += [
        told | {"data": {name: data[name] for name in data if name != missing}} for missing in data
    ]

    assert not any(EVENTS.is_valid(one) for one in without)
    assert not EVENTS.is_valid(told | {"new": "1"})
    assert not EVENTS.is_valid(told | {"data": data | {"new": "1"}})


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "evt_1"}, {"id": 1}, {"type": "connector.subscription.enabled"}, {"type": "post.created"},
        {"time": "2023-11-14T22:13:20Z"}, {"time": 1_700_000_000_000}, {"data": None},
    ],
)  # fmt: skip
def test_a_value_we_would_not_write_does_not_fit(changed: dict[str, object]) -> None:
    assert not EVENTS.is_valid(disabled() | changed)
