from __future__ import annotations

import pytest

from connector.core.derive import derive
from connector.core.dialect import (
    BELLAMY,
    CLOUDEVENTS,
    NETASAMPARK,
    NETWORKED,
    STANDARD_WEBHOOKS,
    CloudEventsEnvelope,
    Dialect,
    DialectError,
    HmacSignature,
    JsonEnvelope,
)


def test_no_options_give_the_base() -> None:
    assert derive(NETWORKED) == NETWORKED


def test_networked_sends_its_timestamp_as_a_number_on_request() -> None:
    derived = derive(NETWORKED, timestamp="number")

    assert derived.name == "networked"
    assert isinstance(derived.envelope, JsonEnvelope)
    assert derived.envelope.timestamp == "number"


def test_networked_signs_its_timestamp_on_request() -> None:
    derived = derive(NETWORKED, signature={"timestamp": "signed", "template": "{timestamp}:{body}"})

    assert isinstance(derived.signature, HmacSignature)
    assert derived.signature.timestamp == "signed"
    assert derived.signature.template == "{timestamp}:{body}"
    assert derived.signature.header == "x-webhook-signature"


def test_yaml_s_bare_off_and_200_mean_what_they_say() -> None:
    derived = derive(BELLAMY, accepted=200, signature={"timestamp": False})

    assert derived.accepted == "200"
    assert isinstance(derived.signature, HmacSignature)
    assert derived.signature.timestamp == "off"


def test_cloudevents_are_sent_in_binary_mode_on_request() -> None:
    derived = derive(CLOUDEVENTS, mode="binary")

    assert derived.envelope == CloudEventsEnvelope(mode="binary")


def test_an_operator_s_own_dialect_keeps_what_it_does_not_name() -> None:
    derived = derive(
        NETASAMPARK,
        name="acme",
        members={"kind": "type", "payload": "data"},
        content_type="application/vnd.acme+json",
        signature={"header": "X-Acme-Signature"},
        ladder_ms=[1_000, 2_000],
        timeout_ms=5_000,
        gone_is_final=True,
    )

    assert derived == Dialect(
        name="acme",
        envelope=JsonEnvelope(
            members=(("kind", "type"), ("payload", "data")),
            timestamp="seconds",
            content_type="application/vnd.acme+json",
        ),
        signature=HmacSignature(header="X-Acme-Signature", prefix="sha256="),
        accepted="2xx",
        ladder_ms=(1_000, 2_000),
        timeout_ms=5_000,
        gone_is_final=True,
    )


@pytest.mark.parametrize(
    ("base", "options", "message"),
    [
        (NETWORKED, {"timestap": "number"}, r"^timestap: no such option; there are accepted,"),
        (NETWORKED, {"timestamp": "iso"}, r"^timestamp: must be one of string, number, .*, not 'iso'$"),
        (NETWORKED, {"timestamp": ["number"]}, r"^timestamp: must be one of"),
        (NETWORKED, {"mode": "binary"}, r"^mode: does not belong to a dialect based on networked$"),
        (CLOUDEVENTS, {"members": {"a": "data"}}, r"^members: does not belong to .* cloudevents$"),
        (STANDARD_WEBHOOKS, {"signature": {"prefix": "x"}}, r"^signature: is fixed in .* standard-webhooks$"),
        (NETWORKED, {"signature": "signed"}, r"^signature: must hold options"),
        (NETWORKED, {"signature": {"timestmp": "off"}}, r"^signature\.timestmp: no such option; there"),
        (NETWORKED, {"signature": {"timestamp": "yes"}}, r"^signature\.timestamp: must be one of off, "),
        (NETWORKED, {"signature": {"header": 7}}, r"^signature\.header: must be text, not 7$"),
        (BELLAMY, {"signature": {"timestamp": "header"}}, r"^signature\.timestamp_header: '' is not"),
        (NETWORKED, {"members": ["type", "data"]}, r"^members: must name each member"),
        (NETWORKED, {"members": {}}, r"^members: must name each member"),
        (NETWORKED, {"members": {"event": "typ"}}, r"^members\.event: must be one of type, id,"),
        (NETWORKED, {"members": {1: "data"}}, r"^members: must be text, not 1$"),
        (NETWORKED, {"ladder_ms": "30s"}, r"^ladder_ms: must be a list of milliseconds"),
        (NETWORKED, {"ladder_ms": [1.5]}, r"^ladder_ms: must be a whole number of milliseconds, not 1\.5$"),
        (NETWORKED, {"timeout_ms": True}, r"^timeout_ms: must be a whole number of milliseconds, not True$"),
        (NETWORKED, {"gone_is_final": "yes"}, r"^gone_is_final: must be true or false, not 'yes'$"),
        (NETWORKED, {"accepted": "3xx"}, r"^accepted: must be one of 200, 2xx, not '3xx'$"),
        (NETWORKED, {"name": 5}, r"^name: must be text, not 5$"),
    ],
)
def test_an_option_that_will_not_do_is_named_with_what_would(
    base: Dialect, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DialectError, match=message):
        derive(base, **options)
