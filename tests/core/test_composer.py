from __future__ import annotations

import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.composer import compile_composer
from connector.core.derive import derive
from connector.core.dialect import (
    BELLAMY,
    CLOUDEVENTS,
    DIALECTS,
    NETASAMPARK,
    NETWORKED,
    NOTIFY,
    STANDARD_WEBHOOKS,
    WEBHOOKS_V1,
    Dialect,
    DialectError,
    StandardSignature,
)
from connector.core.event import Event
from connector.core.subscription import Secrets

TEXT = Secrets(current="whsec_abc123")
STANDARD = Secrets(current="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
BINARY = derive(CLOUDEVENTS, mode="binary")


def post_created(**changes: object) -> Event:
    fields = {
        "type": "post.created",
        "id": "evt_1",
        "time_us": 1_768_480_200_123_456,
        "time_digits": 6,
        "data": b'{"id":"post_1"}',
        "source": "urn:kafka:social",
    }
    return Event(**(fields | changes))  # type: ignore[arg-type]


def secrets_of(dialect: Dialect) -> Secrets:
    return STANDARD if isinstance(dialect.signature, StandardSignature) else TEXT


def body_of(dialect: Dialect, event: Event) -> bytes:
    _, body = compile_composer(dialect, secrets_of(dialect)).compose(event, 1_768_480_201)
    return body


def headers_of(dialect: Dialect, event: Event) -> list[bytes]:
    headers, _ = compile_composer(dialect, secrets_of(dialect)).compose(event, 1_768_480_201)
    return headers.split(b"\r\n")


# ── every dialect ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dialect", [*DIALECTS.values(), BINARY], ids=lambda dialect: dialect.content_type)
def test_the_body_of_a_late_attempt_is_the_body_of_the_first(dialect: Dialect) -> None:
    composer = compile_composer(dialect, secrets_of(dialect))
    _, first = composer.compose(post_created(), 1_768_480_201)

    _, fifth = composer.compose(post_created(), 1_768_580_201)

    assert fifth == first


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_every_dialect_sends_the_event_s_id_first(dialect: Dialect) -> None:
    lines = headers_of(dialect, post_created())

    assert lines[0] == b"webhook-id: evt_1"
    assert lines[-1] == b""


def test_what_two_subscriptions_of_one_envelope_share_is_rendered_once() -> None:
    event = post_created()
    first = body_of(NETASAMPARK, event)

    second = body_of(derive(NETASAMPARK, name="acme", signature={"header": "X-Acme-Signature"}), event)

    assert second is first
    assert len(event.bodies) == 1


def test_variants_of_one_dialect_do_not_share_a_body() -> None:
    event = post_created()

    assert body_of(NETWORKED, event) == (
        b'{"event":"post.created","timestamp":"1768480200","data":{"id":"post_1"}}'
    )
    assert body_of(derive(NETWORKED, timestamp="number"), event) == (
        b'{"event":"post.created","timestamp":1768480200,"data":{"id":"post_1"}}'
    )


def test_the_content_type_is_the_envelope_s() -> None:
    assert compile_composer(CLOUDEVENTS, STANDARD).content_type == "application/cloudevents+json"
    assert compile_composer(BINARY, STANDARD).content_type == "application/json"
    assert compile_composer(NOTIFY, TEXT).content_type == "application/json"


def test_a_type_is_escaped_as_javascript_escapes_it() -> None:
    event = post_created(type='a"\\/\x00\x1f\n\u2028é😀')

    assert body_of(NETASAMPARK, event).startswith(
        '{"event":"a\\"\\\\/\\u0000\\u001f\\n\u2028é😀","timestamp"'.encode()
    )


def test_a_composer_shows_no_secret() -> None:
    composer = compile_composer(BELLAMY, TEXT)

    assert "abc123" not in repr(composer)
    assert "abc123" not in repr(TEXT)


def test_a_secret_that_cannot_sign_is_refused_when_the_composer_is_made() -> None:
    with pytest.raises(DialectError, match="too short"):
        compile_composer(BELLAMY, Secrets(current="short"))


# ── times ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (NETWORKED, b'"timestamp":"1768480200"'),
        (WEBHOOKS_V1, b'"created_at":"2026-01-15T12:30:00Z"'),
        (NOTIFY, b'"timestamp":"2026-01-15T12:30:00.999Z"'),
        (BELLAMY, b'"timestamp":"2026-01-15T12:30:00Z"'),
        (NETASAMPARK, b'"timestamp":"2026-01-15T12:30:00Z"'),
        (STANDARD_WEBHOOKS, b'"timestamp":"2026-01-15T12:30:00.99Z"'),
        (CLOUDEVENTS, b'"time":"2026-01-15T12:30:00.99Z"'),
    ],
    ids=lambda value: value.name if isinstance(value, Dialect) else "",
)
def test_each_dialect_cuts_the_event_s_time_as_its_guide_shows(dialect: Dialect, expected: bytes) -> None:
    event = post_created(time_us=1_768_480_200_999_999, time_digits=2)

    assert expected in body_of(dialect, event)


def test_a_time_before_1970_is_cut_towards_the_past_everywhere() -> None:
    event = post_created(time_us=-1)

    assert b'"timestamp":"-1"' in body_of(NETWORKED, event)
    assert b'"timestamp":"1969-12-31T23:59:59Z"' in body_of(NETASAMPARK, event)


@given(time_us=st.integers(-(2**63) * 1000, 2**63 * 1000), digits=st.integers(0, 6))
def test_no_time_however_wrong_keeps_an_event_from_being_composed(time_us: int, digits: int) -> None:
    for dialect in DIALECTS.values():
        event = post_created(time_us=time_us, time_digits=digits)

        assert json.loads(body_of(dialect, event))


# ── the signature inside a body ─────────────────────────────────────────────────────────────────


def test_a_bellamy_body_carries_the_signature_of_the_envelope_without_it() -> None:
    plain = b'{"event":"post.created","timestamp":"2026-01-15T12:30:00Z","data":{"id":"post_1"}}'
    signature = hmac.new(b"whsec_abc123", plain, "sha256").hexdigest().encode()

    headers, body = compile_composer(BELLAMY, TEXT).compose(post_created(), 1_768_480_201)

    assert body == plain[:-1] + b',"signature":"%b"}' % signature
    whole = hmac.new(b"whsec_abc123", body, "sha256").hexdigest().encode()
    assert headers == b"webhook-id: evt_1\r\nX-Webhook-Signature: %b\r\n" % whole


def test_a_signed_body_is_not_shared_between_subscriptions() -> None:
    event = post_created()
    mine = compile_composer(BELLAMY, TEXT)
    yours = compile_composer(BELLAMY, Secrets(current="another-secret"))

    _, my_body = mine.compose(event, 1_768_480_201)
    _, your_body = yours.compose(event, 1_768_480_201)

    assert my_body != your_body
    assert mine.compose(event, 1_768_480_201)[1] == my_body


def test_without_secrets_a_bellamy_body_has_no_signature() -> None:
    headers, body = compile_composer(BELLAMY, None).compose(post_created(), 1_768_480_201)

    assert headers == b"webhook-id: evt_1\r\n"
    assert body == b'{"event":"post.created","timestamp":"2026-01-15T12:30:00Z","data":{"id":"post_1"}}'


# ── CloudEvents ─────────────────────────────────────────────────────────────────────────────────


def test_structured_members_stand_in_the_published_order() -> None:
    event = post_created(
        subject="posts/1",
        attributes=(("zeta", b'"z"'), ("dataschema", b'"urn:schema"'), ("alpha", b"1")),
    )

    assert body_of(CLOUDEVENTS, event) == (
        b'{"specversion":"1.0","id":"evt_1","source":"urn:kafka:social","type":"post.created",'
        b'"time":"2026-01-15T12:30:00.123456Z","subject":"posts/1","dataschema":"urn:schema",'
        b'"datacontenttype":"application/json","zeta":"z","alpha":1,"data":{"id":"post_1"}}'
    )


def test_an_event_without_attributes_takes_the_fast_way_to_the_same_body() -> None:
    merged = post_created(attributes=(("unset", b"null"),))

    assert body_of(CLOUDEVENTS, post_created()) == body_of(CLOUDEVENTS, merged)


def test_received_attributes_win_over_the_event_s_own() -> None:
    event = post_created(
        subject="mapped",
        attributes=(
            ("id", b'"A/1"'),
            ("time", b'"2026-01-15T13:30:00+01:00"'),
            ("subject", b'"received"'),
            ("datacontenttype", b'"application/vnd.post+json"'),
        ),
    )

    assert body_of(CLOUDEVENTS, event) == (
        b'{"specversion":"1.0","id":"A/1","source":"urn:kafka:social","type":"post.created",'
        b'"time":"2026-01-15T13:30:00+01:00","subject":"received",'
        b'"datacontenttype":"application/vnd.post+json","data":{"id":"post_1"}}'
    )
    assert headers_of(CLOUDEVENTS, event)[0] == b"webhook-id: evt_1"


def test_an_attribute_can_neither_be_nor_repeat_the_data() -> None:
    event = post_created(attributes=(("data", b'"forged"'), ("data_base64", b'"AA=="')))

    assert body_of(CLOUDEVENTS, event).count(b'"data') == 2  # datacontenttype and data
    assert json.loads(body_of(CLOUDEVENTS, event))["data"] == {"id": "post_1"}


def test_attributes_named_by_a_number_come_first_as_javascript_puts_them() -> None:
    event = post_created(attributes=(("10", b'"b"'), ("007", b'"c"'), ("9", b'"a"')))

    assert body_of(CLOUDEVENTS, event).startswith(b'{"9":"a","10":"b","specversion":"1.0"')
    assert b'"007":"c","data":' in body_of(CLOUDEVENTS, event)


def test_binary_mode_sends_the_data_alone_and_the_attributes_as_headers() -> None:
    event = post_created(subject="posts/1", attributes=(("sequence", b"7"), ("sampled", b"true")))

    headers, body = compile_composer(BINARY, STANDARD).compose(event, 1_768_480_201)

    assert body == b'{"id":"post_1"}'
    assert headers.split(b"\r\n")[3:] == [
        b"ce-specversion: 1.0",
        b"ce-id: evt_1",
        b"ce-source: urn:kafka:social",
        b"ce-type: post.created",
        b"ce-time: 2026-01-15T12:30:00.123456Z",
        b"ce-subject: posts/1",
        b"ce-sequence: 7",
        b"ce-sampled: true",
        b"",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Euro € 😀", b"Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ('say "hi"', b"say%20%22hi%22"),
        ("100%", b"100%25"),
        ("back\\slash", b"back\\slash"),
        ("line\r\nHost: evil", b"line%0D%0AHost:%20evil"),
        ("\x7f\x80", b"%7F%C2%80"),
        ("", b""),
    ],
)
def test_a_header_value_is_percent_encoded_as_the_http_binding_asks(text: str, expected: bytes) -> None:
    value = json.dumps(text, ensure_ascii=False).encode()
    event = post_created(attributes=(("subject", value),))

    assert b"ce-subject: " + expected in headers_of(BINARY, event)


def test_an_attribute_whose_name_cannot_be_a_header_s_is_left_out_of_binary_mode() -> None:
    event = post_created(
        attributes=(("x\r\nhost", b'"evil"'), ("größe", b'"1"'), ("", b'"2"'), ("fine", b'"3"'))
    )

    lines = headers_of(BINARY, event)

    assert lines[8:] == [b"ce-fine: 3", b""]


def test_the_event_s_source_and_type_are_encoded_too() -> None:
    lines = headers_of(BINARY, post_created(type="größe.changed", source="/a b"))

    assert b"ce-type: gr%C3%B6%C3%9Fe.changed" in lines
    assert b"ce-source: /a%20b" in lines
