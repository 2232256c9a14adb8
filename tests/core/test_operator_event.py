"""What the connector tells its operator, byte by byte, under ids that two workers agree on."""

from __future__ import annotations

import re

import orjson

from connector.core.disabling import NEVER_MS, Disabled
from connector.core.operator_event import disabled_event, enabled_event

DISABLED = Disabled(since_ms=1_700_000_000_000, why="Gone.", probes_at_ms=1_700_003_600_000)


def test_a_disabled_subscription() -> None:
    assert orjson.loads(disabled_event("acme", DISABLED)) == {
        "id": "evt_b217c80a9210a9d86a6d820515be47f7",
        "type": "connector.subscription.disabled",
        "time": "2023-11-14T22:13:20.000Z",
        "data": {
            "subscription_id": "acme",
            "disabled_since": "2023-11-14T22:13:20.000Z",
            "why": "Gone.",
            "next_probe_at": "2023-11-14T23:13:20.000Z",
        },
    }


def test_a_disabled_subscription_that_is_never_probed() -> None:
    gone = Disabled(since_ms=1_700_000_000_000, why="Gone.", probes_at_ms=NEVER_MS)

    assert orjson.loads(disabled_event("acme", gone))["data"]["next_probe_at"] is None


def test_an_enabled_subscription() -> None:
    told = orjson.loads(enabled_event("acme", DISABLED, now_ms=1_700_003_600_123))

    assert told | {"id": ""} == {
        "id": "",
        "type": "connector.subscription.enabled",
        "time": "2023-11-14T23:13:20.123Z",
        "data": {"subscription_id": "acme", "disabled_since": "2023-11-14T22:13:20.000Z"},
    }


def test_an_id_depends_on_what_whose_and_since_when_alone() -> None:
    def id_of(value: bytes) -> str:
        id_ = orjson.loads(value)["id"]
        assert re.fullmatch(r"evt_[0-9a-f]{32}", id_)
        return str(id_)

    other = Disabled(since_ms=1_700_000_000_000, why="Failed.", probes_at_ms=0)
    later = Disabled(since_ms=1_700_000_000_001, why="Gone.", probes_at_ms=0)

    assert id_of(disabled_event("acme", DISABLED)) == id_of(disabled_event("acme", other))
    assert id_of(enabled_event("acme", DISABLED, now_ms=1)) == id_of(enabled_event("acme", other, now_ms=2))
    assert len(
        {
            id_of(disabled_event("acme", DISABLED)),
            id_of(disabled_event("acme", later)),
            id_of(disabled_event("other", DISABLED)),
            id_of(enabled_event("acme", DISABLED, now_ms=1)),
        }
    ) == 4
