from __future__ import annotations

import hmac
import json
from base64 import b64encode

import pytest

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
    StandardSignature,
)
from connector.core.event import Event
from connector.core.subscription import Secrets
from connector.core.verify import Verdict, verify
from connector.webhook import ed25519

NOW_S = 1_768_480_201
TEXT = "whsec_abc123"
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRIVATE = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
SIGNED_TIME = derive(NETWORKED, signature={"timestamp": "signed"})


def secret_of(dialect: Dialect) -> str:
    return STANDARD if isinstance(dialect.signature, StandardSignature) else TEXT


def sent(dialect: Dialect, secret: str) -> tuple[dict[str, str], bytes]:
    event = Event("post.created", "evt_1", 1_768_480_200_000_000, 0, '{"n":1e-7,"text":"Grüße"}'.encode())
    composer = compile_composer(dialect, Secrets(current=secret), sign_ed25519=ed25519.sign)
    lines, body = composer.compose(event, NOW_S)
    pairs = (line.split(": ") for line in lines.decode().split("\r\n") if line)
    return dict(pairs), body


def hex_hmac(key: bytes, content: bytes) -> str:
    return hmac.new(key, content, "sha256").hexdigest()


# ── what verifies ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dialect", [*DIALECTS.values(), SIGNED_TIME], ids=lambda dialect: dialect.name)
def test_what_the_connector_sends_verifies(dialect: Dialect) -> None:
    headers, body = sent(dialect, secret_of(dialect))

    verdict = verify(dialect, secret_of(dialect), headers, body, NOW_S)

    assert verdict == Verdict("verified", "The signature verifies.")
    assert verdict.is_valid


@pytest.mark.parametrize("key", [PUBLIC, PRIVATE])
def test_ed25519_verifies_with_the_public_key_or_the_private_one_that_holds_it(key: str) -> None:
    headers, body = sent(STANDARD_WEBHOOKS, PRIVATE)

    assert verify(STANDARD_WEBHOOKS, key, headers, body, NOW_S, verify_ed25519=ed25519.verify).is_valid


def test_one_of_several_signatures_is_enough() -> None:
    headers, body = sent(STANDARD_WEBHOOKS, STANDARD)
    headers["webhook-signature"] = "v1,AAAA nonsense v2,x " + headers["webhook-signature"]

    assert verify(STANDARD_WEBHOOKS, STANDARD, headers, body, NOW_S).is_valid


def test_header_names_may_come_in_any_case() -> None:
    headers, body = sent(BELLAMY, TEXT)
    shouted = {name.upper(): value for name, value in headers.items()}

    assert verify(BELLAMY, TEXT, shouted, body, NOW_S).is_valid


def test_a_timestamp_that_is_not_signed_may_be_missing_or_old() -> None:
    headers, body = sent(NETWORKED, TEXT)
    del headers["x-webhook-timestamp"]

    assert verify(NETWORKED, TEXT, headers, body, NOW_S + 9_999).is_valid


@pytest.mark.parametrize("age_s", [-300, 300])
def test_a_timestamp_at_the_edge_of_the_tolerance_verifies(age_s: int) -> None:
    headers, body = sent(STANDARD_WEBHOOKS, STANDARD)

    assert verify(STANDARD_WEBHOOKS, STANDARD, headers, body, NOW_S + age_s).is_valid


# ── headers ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(name: str) -> None:
    headers, body = sent(STANDARD_WEBHOOKS, STANDARD)
    del headers[name]

    verdict = verify(STANDARD_WEBHOOKS, STANDARD, headers, body, NOW_S)

    assert verdict.cause == "missing-header"
    assert verdict.detail == f"The header {name} is missing or empty; a proxy may have dropped it."


def test_a_request_of_another_dialect_is_recognised() -> None:
    headers, body = sent(NETASAMPARK, TEXT)

    verdict = verify(NOTIFY, TEXT, headers, body, NOW_S)

    assert verdict.cause == "missing-header"
    assert verdict.detail == (
        "The header x-notify-signature is missing; this request is signed as in netasampark."
    )


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ("abc", "has a value of 3 characters; an HMAC-SHA256 in hex has 64."),
        ("A" * 64, "must hold lower-case hex digits."),
        ("g" * 64, "must hold lower-case hex digits."),
        ("a" * 64 + ", " + "b" * 64, "holds several values; exactly one is sent."),
        ("sha256=" + "a" * 64, "has a value of 71 characters; an HMAC-SHA256 in hex has 64."),
    ],
)
def test_a_value_that_cannot_be_a_guide_s_hmac_is_described(value: str, detail: str) -> None:
    _, body = sent(WEBHOOKS_V1, TEXT)

    verdict = verify(WEBHOOKS_V1, TEXT, {"X-Webhook-Signature": value}, body, NOW_S)

    assert verdict == Verdict("malformed", f"The header X-Webhook-Signature {detail}")


def test_a_missing_prefix_is_described() -> None:
    verdict = verify(NETASAMPARK, TEXT, {"x-netasampark-signature": "a" * 64}, b"{}", NOW_S)

    assert verdict == Verdict("malformed", "The header X-Netasampark-Signature must begin with 'sha256='.")


@pytest.mark.parametrize(
    ("listed", "detail"),
    [
        ("g0hM9SsE", "must list items such as v1,BASE64."),
        ("v2,AAAA", "There is no v1 signature, only v2."),
        ("v1a,AAAA", "There is no v1 signature, only v1a; verify with the public whpk_ key."),
        ("v1,not!base64", "The v1 signature is not base64."),
        ("v1,", "The v1 signature is not base64."),
    ],
)
def test_a_list_without_a_usable_signature_is_described(listed: str, detail: str) -> None:
    headers, body = sent(STANDARD_WEBHOOKS, STANDARD)
    headers["webhook-signature"] = listed

    verdict = verify(STANDARD_WEBHOOKS, STANDARD, headers, body, NOW_S)

    assert verdict.cause == "malformed"
    assert verdict.detail.endswith(detail)


@pytest.mark.parametrize(
    ("age_s", "detail"),
    [
        (301, "is 301 s old, and 300 s are tolerated"),
        (-400, "is 400 s in the future, and 300 s are tolerated"),
    ],
)
def test_a_stale_timestamp_says_by_how_much(age_s: int, detail: str) -> None:
    headers, body = sent(SIGNED_TIME, TEXT)

    verdict = verify(SIGNED_TIME, TEXT, headers, body, NOW_S + age_s)

    assert verdict.cause == "stale"
    assert f"The header x-webhook-timestamp {detail}" in verdict.detail


@pytest.mark.parametrize(
    ("timestamp", "detail"),
    [
        ("1768480201000", "this looks like milliseconds"),
        ("2026-01-15T12:30:01Z", "digits alone"),
        ("-5", "digits alone"),
        ("9" * 5000, "digits alone"),
        ("١٢٣", "digits alone"),
    ],
)
def test_a_timestamp_that_is_none_is_described(timestamp: str, detail: str) -> None:
    headers, body = sent(STANDARD_WEBHOOKS, STANDARD)
    headers["webhook-timestamp"] = timestamp

    verdict = verify(STANDARD_WEBHOOKS, STANDARD, headers, body, NOW_S)

    assert verdict.cause == "malformed"
    assert detail in verdict.detail


# ── secrets ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("dialect", "secret", "detail"),
    [
        (BELLAMY, "short", "needs at least 8 bytes"),
        (CLOUDEVENTS, "your-webhook-secret", "must begin with whsec_"),
        (CLOUDEVENTS, "whpk_AAAA", "the whpk_ key must be 32 bytes in base64"),
        (CLOUDEVENTS, "whpk_not base64", "the whpk_ key must be 32 bytes in base64"),
        (CLOUDEVENTS, "whsk_" + "A" * 43 + "=", "use the whpk_ key"),
    ],
)
def test_a_secret_that_the_dialect_cannot_use_is_described(
    dialect: Dialect, secret: str, detail: str
) -> None:
    headers, body = sent(dialect, secret_of(dialect))

    verdict = verify(dialect, secret, headers, body, NOW_S, verify_ed25519=ed25519.verify)

    assert verdict.cause == "bad-secret"
    assert detail in verdict.detail


def test_a_public_key_without_the_port_is_described() -> None:
    headers, body = sent(STANDARD_WEBHOOKS, PRIVATE)

    verdict = verify(STANDARD_WEBHOOKS, PUBLIC, headers, body, NOW_S)

    assert verdict == Verdict(
        "bad-secret", "The secret cannot be used: ed25519 is not available here; use a whsec_ secret."
    )


@pytest.mark.parametrize(
    ("key", "secret", "meaning"),
    [
        (
            b"whsec_abc123",
            "whsec_abc123\n",
            "The secret given has a blank or line end around it.",
        ),
        (
            b"abc123",
            "whsec_abc123",
            "The key was the secret without whsec_; in this dialect the prefix belongs to the key.",
        ),
        (
            b"\x00" * 24,
            "whsec_" + "A" * 32,
            "The key was decoded from base64; in this dialect the secret's text is the key.",
        ),
    ],
)
def test_another_reading_of_a_guide_s_secret_is_recognised(key: bytes, secret: str, meaning: str) -> None:
    headers = {"x-notify-signature": hex_hmac(key, b"{}")}

    assert verify(NOTIFY, secret, headers, b"{}", NOW_S) == Verdict("wrong-key", meaning)


@pytest.mark.parametrize("key", [STANDARD.encode(), STANDARD.removeprefix("whsec_").encode()])
def test_a_standard_secret_that_was_not_decoded_is_recognised(key: bytes) -> None:
    value = b64encode(hmac.digest(key, b"evt_1.%d.{}" % NOW_S, "sha256")).decode()
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(NOW_S), "webhook-signature": "v1," + value}

    assert verify(STANDARD_WEBHOOKS, STANDARD, headers, b"{}", NOW_S) == Verdict(
        "wrong-key", "The key was the secret's text; in this dialect it is decoded from base64."
    )


# ── bodies and contents ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "dialect", [WEBHOOKS_V1, SIGNED_TIME, STANDARD_WEBHOOKS], ids=lambda dialect: dialect.name
)
def test_a_body_that_was_parsed_and_written_again_is_recognised(dialect: Dialect) -> None:
    headers, body = sent(dialect, secret_of(dialect))
    rewritten = json.dumps(json.loads(body), indent=2).encode()

    verdict = verify(dialect, secret_of(dialect), headers, rewritten, NOW_S)

    assert verdict == Verdict(
        "changed-body",
        "The body was parsed and written again in another layout; use the raw bytes as received.",
    )


@pytest.mark.parametrize(("before", "after"), [(b"", b"\n"), (b"\xef\xbb\xbf", b""), (b" ", b"\r\n")])
def test_bytes_added_around_a_body_are_recognised(before: bytes, after: bytes) -> None:
    headers, body = sent(NOTIFY, TEXT)

    verdict = verify(NOTIFY, TEXT, headers, before + body + after, NOW_S)

    assert verdict.cause == "changed-body"
    assert verdict.detail.startswith("A line end, blank or byte order mark was added")


def test_an_empty_body_is_recognised() -> None:
    headers, _ = sent(NOTIFY, TEXT)

    verdict = verify(NOTIFY, TEXT, headers, b"", NOW_S)

    assert verdict == Verdict(
        "mismatch", "The body is empty: something has read it before; keep the raw bytes."
    )


def test_a_timestamp_left_out_of_what_is_signed_is_recognised() -> None:
    headers, body = sent(NETWORKED, TEXT)

    verdict = verify(SIGNED_TIME, TEXT, headers, body, NOW_S)

    assert verdict == Verdict(
        "wrong-content", "Only the body was signed; this dialect signs it together with the timestamp."
    )


def test_a_timestamp_signed_where_it_should_not_be_is_recognised() -> None:
    headers, body = sent(SIGNED_TIME, TEXT)

    verdict = verify(NETWORKED, TEXT, headers, body, NOW_S)

    assert verdict.cause == "wrong-content"
    assert "see signature.timestamp" in verdict.detail


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"{}", "Only the body was signed; this dialect signs it together with the timestamp."),
        (b"1768480201.{}", "The webhook-id was left out of what is signed."),
    ],
)
def test_what_standard_webhooks_signs_is_checked_whole(content: bytes, detail: str) -> None:
    key = b"\x31\xf2\x90\xf6\xbf\x06\x29\x8a\xab\x4f\x08\xd4\x3c\x3f\x08\x2c\xf6\x48\xa3\x62\xda\x2d\xa4\xb0"
    value = b64encode(hmac.digest(key, content, "sha256")).decode()
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(NOW_S), "webhook-signature": "v1," + value}

    assert verify(STANDARD_WEBHOOKS, STANDARD, headers, b"{}", NOW_S) == Verdict("wrong-content", detail)


def test_several_mistakes_at_once_are_all_named() -> None:
    headers = {"x-notify-signature": hex_hmac(b"abc123", b"{}")}

    verdict = verify(NOTIFY, TEXT, headers, b"{ }\n", NOW_S)

    assert verdict == Verdict(
        "changed-body",
        "The body was parsed and written again in another layout; use the raw bytes as received. "
        "The key was the secret without whsec_; in this dialect the prefix belongs to the key.",
    )


@pytest.mark.parametrize("body", [b'{"forged":1}', b"not json", b"\xff\xfe", b"[" * 100_000])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_another_body_is_a_mismatch_in_every_dialect(dialect: Dialect, body: bytes) -> None:
    headers, _ = sent(dialect, secret_of(dialect))

    assert verify(dialect, secret_of(dialect), headers, body, NOW_S).cause == "mismatch"


def test_another_ed25519_key_is_a_mismatch() -> None:
    headers, body = sent(STANDARD_WEBHOOKS, PRIVATE)
    another = "whpk_GSiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="

    verdict = verify(STANDARD_WEBHOOKS, another, headers, body, NOW_S, verify_ed25519=ed25519.verify)

    assert verdict.cause == "mismatch"


def test_a_request_signed_with_the_other_scheme_is_described() -> None:
    headers, body = sent(STANDARD_WEBHOOKS, STANDARD)

    verdict = verify(STANDARD_WEBHOOKS, PUBLIC, headers, body, NOW_S, verify_ed25519=ed25519.verify)

    assert verdict == Verdict(
        "malformed", "There is no v1a signature, only v1; verify with the whsec_ secret."
    )


# ── the signature inside a body ─────────────────────────────────────────────────────────────────


def test_a_body_without_its_own_signature_is_described() -> None:
    body = b'{"event":"post.created"}'
    headers = {"x-webhook-signature": hex_hmac(TEXT.encode(), body)}

    assert verify(BELLAMY, TEXT, headers, body, NOW_S) == Verdict(
        "malformed", "The header verifies, but the body does not end with a 'signature' member."
    )


def test_a_body_whose_own_signature_is_of_something_else_is_described() -> None:
    body = b'{"event":"post.created","signature":"' + b"0" * 64 + b'"}'
    headers = {"x-webhook-signature": hex_hmac(TEXT.encode(), body)}

    assert verify(BELLAMY, TEXT, headers, body, NOW_S) == Verdict(
        "mismatch", "The header verifies, but the body's member 'signature' does not."
    )
