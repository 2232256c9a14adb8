from __future__ import annotations

import pytest

from connector.core.dialect import (
    BELLAMY,
    CLOUDEVENTS,
    DEFAULT_DIALECT,
    DIALECTS,
    NETASAMPARK,
    NETWORKED,
    NOTIFY,
    STANDARD_WEBHOOKS,
    WEBHOOKS_V1,
    CloudEventsEnvelope,
    Dialect,
    DialectError,
    HmacSignature,
    JsonEnvelope,
    StandardSignature,
)


def test_seven_dialects_are_built_in_and_standard_webhooks_is_the_default() -> None:
    assert list(DIALECTS) == [
        "networked", "webhooks-v1", "notify", "bellamy", "netasampark", "standard-webhooks", "cloudevents",
    ]
    assert DEFAULT_DIALECT is STANDARD_WEBHOOKS


def test_three_guides_accept_200_alone_and_the_others_any_2xx() -> None:
    accepted = {name: dialect.accepted for name, dialect in DIALECTS.items()}

    assert accepted == {
        "networked": "200",
        "webhooks-v1": "200",
        "notify": "200",
        "bellamy": "2xx",
        "netasampark": "2xx",
        "standard-webhooks": "2xx",
        "cloudevents": "2xx",
    }


def test_each_dialect_has_the_ladder_its_guide_prints() -> None:
    default = (
        5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000, 86_400_000,
    )

    assert WEBHOOKS_V1.ladder_ms == (30_000, 300_000, 1_800_000, 7_200_000)
    assert NOTIFY.ladder_ms == (300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000)
    assert NETASAMPARK.ladder_ms == (60_000, 300_000, 900_000, 3_600_000)
    assert STANDARD_WEBHOOKS.ladder_ms == CLOUDEVENTS.ladder_ms == default
    assert NETWORKED.ladder_ms == BELLAMY.ladder_ms == default


def test_the_open_standards_wait_20_s_and_the_guides_30_s() -> None:
    timeouts = {name: dialect.timeout_ms for name, dialect in DIALECTS.items()}

    assert timeouts == {
        "networked": 30_000,
        "webhooks-v1": 30_000,
        "notify": 30_000,
        "bellamy": 30_000,
        "netasampark": 30_000,
        "standard-webhooks": 20_000,
        "cloudevents": 20_000,
    }


def test_410_is_final_in_the_open_standards_alone() -> None:
    assert {name for name, dialect in DIALECTS.items() if dialect.gone_is_final} == {
        "standard-webhooks", "cloudevents",
    }


def test_content_types_carry_no_charset() -> None:
    assert {dialect.content_type for dialect in DIALECTS.values()} == {
        "application/json", "application/cloudevents+json",
    }
    assert CloudEventsEnvelope(mode="binary").content_type == "application/json"


def test_a_dialect_names_the_headers_that_nothing_else_may_set() -> None:
    assert NETWORKED.header_names == {"webhook-id", "x-webhook-signature", "x-webhook-timestamp"}
    assert BELLAMY.header_names == {"webhook-id", "x-webhook-signature"}
    assert CLOUDEVENTS.header_names == {"webhook-id", "webhook-timestamp", "webhook-signature"}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ((("event", "type"),), "exactly one member must be 'data'"),
        ((("a", "data"), ("b", "data")), "exactly one member must be 'data'"),
        ((("a", "type"), ("a", "data")), "stands there twice"),
        ((("1", "type"), ("data", "data")), "'1' must begin with a letter"),
        ((("__proto__", "type"), ("data", "data")), "must begin with a letter"),
        ((('quo"te', "type"), ("data", "data")), "must begin with a letter"),
        ((("a" * 65, "type"), ("data", "data")), "64 at most"),
        ((("signature", "signature"), ("data", "data")), "must be the last member"),
    ],
)
def test_an_envelope_that_cannot_be_verified_or_parsed_is_refused(
    members: tuple[tuple[str, str], ...], message: str
) -> None:
    with pytest.raises(DialectError, match=message):
        JsonEnvelope(members=members, timestamp="seconds")  # type: ignore[arg-type]


def test_a_content_type_cannot_smuggle_a_header() -> None:
    with pytest.raises(DialectError, match="content_type"):
        JsonEnvelope(members=(("data", "data"),), timestamp="seconds", content_type="a/b\r\nHost: evil")


@pytest.mark.parametrize(
    "name",
    ["", "two words", "X:", "X\r\n", "grüße", "Host", "content-length", "Webhook-Id", "ce-id", "x" * 65],
)
def test_a_header_that_is_none_or_belongs_to_the_connector_is_refused(name: str) -> None:
    with pytest.raises(DialectError, match=r"signature\.header"):
        HmacSignature(header=name)


def test_a_prefix_cannot_smuggle_a_header() -> None:
    with pytest.raises(DialectError, match=r"signature\.prefix"):
        HmacSignature(header="X-Signature", prefix="sha256=\r\nHost: evil")


def test_a_timestamp_that_is_sent_needs_a_header_of_its_own() -> None:
    with pytest.raises(DialectError, match=r"signature\.timestamp_header: '' is not the name"):
        HmacSignature(header="X-Signature", timestamp="header")
    with pytest.raises(DialectError, match="is the same header"):
        HmacSignature(header="X-Signature", timestamp="signed", timestamp_header="x-signature")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{body}", "must hold {timestamp}"),
        ("{timestamp}", "exactly once"),
        ("{timestamp}{body}{body}", "exactly once"),
        ("{timestamp}.{body}.{secret}", "'secret' is none of"),
        ("{timestamp}.{body.x}", "'body.x' is none of"),
        ("{timestamp!r}.{body}", "plain"),
        ("{timestamp:d}.{body}", "plain"),
        ("{timestamp}.{body}ü", "ASCII"),
        ("{timestamp}.{body", "signature.template"),
    ],
)
def test_a_template_that_signs_nothing_sensible_is_refused(template: str, message: str) -> None:
    with pytest.raises(DialectError, match=message):
        HmacSignature(header="X-Signature", template=template)


def _dialect(**changes: object) -> Dialect:
    fields = {
        "name": "acme",
        "envelope": JsonEnvelope(members=(("data", "data"),), timestamp="seconds"),
        "signature": HmacSignature(header="X-Acme-Signature"),
        "accepted": "2xx",
        "ladder_ms": (1_000,),
        "timeout_ms": 1_000,
    }
    return Dialect(**(fields | changes))  # type: ignore[arg-type]


def test_a_sound_dialect_is_built() -> None:
    assert _dialect().content_type == "application/json"


@pytest.mark.parametrize("name", ["", "Upper", "two words", "-dash", "dash-", "a" * 65])
def test_a_name_that_cannot_label_a_metric_is_refused(name: str) -> None:
    with pytest.raises(DialectError, match="name"):
        _dialect(name=name)


def test_delays_and_timeouts_are_longer_than_nothing() -> None:
    with pytest.raises(DialectError, match="ladder_ms"):
        _dialect(ladder_ms=(1_000, 0))
    with pytest.raises(DialectError, match="timeout_ms"):
        _dialect(timeout_ms=0)


def test_a_signature_in_the_body_needs_an_hmac_in_hex() -> None:
    envelope = JsonEnvelope(members=(("data", "data"), ("signature", "signature")), timestamp="seconds")

    with pytest.raises(DialectError, match="signs with an HMAC"):
        _dialect(envelope=envelope, signature=StandardSignature())
    with pytest.raises(DialectError, match=r"set signature\.encoding to hex"):
        _dialect(envelope=envelope, signature=HmacSignature(header="X-Signature", encoding="base64"))
