from __future__ import annotations

import hmac
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.derive import derive
from connector.core.dialect import (
    BELLAMY,
    DIALECTS,
    NETASAMPARK,
    NETWORKED,
    STANDARD_WEBHOOKS,
    Dialect,
    DialectError,
)
from connector.core.signing import check_secret, compile_signer, hmac_sha256
from connector.core.subscription import Secrets
from connector.webhook import ed25519

SECRET_A = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRET_B = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
PRIVATE_C = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
SEED_C = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="
ID_A = b"msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY_A = b'{"test": 2432232314}'
V1_A = b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
V1A_C = b"v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="


# ── the vectors of Standard Webhooks ────────────────────────────────────────────────────────────


def test_vector_a_of_standard_webhooks() -> None:
    sign = compile_signer(STANDARD_WEBHOOKS, Secrets(current=SECRET_A))

    assert sign(ID_A, 1614265330, BODY_A) == (
        b"webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\r\n"
        b"webhook-timestamp: 1614265330\r\n"
        b"webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\r\n"
    )


def test_vector_b_of_standard_webhooks() -> None:
    sign = compile_signer(STANDARD_WEBHOOKS, Secrets(current=SECRET_B))

    lines = sign(
        b"msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        1649367553,
        b'{"email":"test@example.com","username":"test_user"}',
    )

    assert lines.endswith(b"webhook-signature: v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=\r\n")


@pytest.mark.parametrize("key", [PRIVATE_C, SEED_C], ids=["seed and public key", "seed alone"])
def test_vector_c_of_standard_webhooks_is_ed25519(key: str) -> None:
    sign = compile_signer(STANDARD_WEBHOOKS, Secrets(current=key), sign_ed25519=ed25519.sign)

    assert sign(ID_A, 1614265330, BODY_A).endswith(b"webhook-signature: " + V1A_C + b"\r\n")


# ── rotation ────────────────────────────────────────────────────────────────────────────────────


def test_standard_webhooks_signs_with_both_secrets_the_new_one_first() -> None:
    sign = compile_signer(
        STANDARD_WEBHOOKS, Secrets(current=SECRET_A, previous=PRIVATE_C), sign_ed25519=ed25519.sign
    )

    assert sign(ID_A, 1614265330, BODY_A).endswith(b"webhook-signature: " + V1_A + b" " + V1A_C + b"\r\n")


@pytest.mark.parametrize(("sign_with", "key"), [("old", b"old-secret"), ("new", b"new-secret")])
def test_a_single_valued_dialect_signs_with_the_secret_that_the_rotation_names(
    sign_with: str, key: bytes
) -> None:
    secrets = Secrets(current="new-secret", previous="old-secret", sign_with=sign_with)  # type: ignore[arg-type]
    sign = compile_signer(BELLAMY, secrets)

    lines = sign(b"evt_1", 0, b"{}")

    assert lines.count(b"\r\n") == 2
    assert lines.endswith(b": %b\r\n" % hmac.new(key, b"{}", "sha256").hexdigest().encode())


def test_without_a_previous_secret_the_current_one_signs_whatever_sign_with_says() -> None:
    old, new = (
        compile_signer(BELLAMY, Secrets(current="new-secret", sign_with="old")),
        compile_signer(BELLAMY, Secrets(current="new-secret", sign_with="new")),
    )

    assert old(b"evt_1", 0, b"{}") == new(b"evt_1", 0, b"{}")


# ── headers ─────────────────────────────────────────────────────────────────────────────────────


def test_a_guide_s_key_is_the_whole_secret_its_prefix_included() -> None:
    sign = compile_signer(NETASAMPARK, Secrets(current="whsec_abc123"))

    expected = hmac.new(b"whsec_abc123", b"{}", "sha256").hexdigest().encode()
    assert sign(b"evt_1", 0, b"{}") == (
        b"webhook-id: evt_1\r\nX-Netasampark-Signature: sha256=%b\r\n" % expected
    )


def test_networked_sends_its_timestamp_without_signing_it() -> None:
    sign = compile_signer(NETWORKED, Secrets(current="whsec_abc123"))

    expected = hmac.new(b"whsec_abc123", b"{}", "sha256").hexdigest().encode()
    assert sign(b"evt_1", 1750689600, b"{}") == (
        b"webhook-id: evt_1\r\nx-webhook-timestamp: 1750689600\r\nx-webhook-signature: %b\r\n" % expected
    )


def test_a_template_says_what_is_signed_and_its_percent_signs_and_braces_stand_for_themselves() -> None:
    template = "%b {{{id}}} {timestamp}|{body}%"
    dialect = derive(NETWORKED, signature={"timestamp": "signed", "template": template})
    sign = compile_signer(dialect, Secrets(current="whsec_abc123"))

    expected = hmac.new(b"whsec_abc123", b"%b {evt_1} 7|{}%", "sha256").hexdigest().encode()
    assert sign(b"evt_1", 7, b"{}").endswith(b"x-webhook-signature: %b\r\n" % expected)


def test_a_percent_sign_in_a_header_s_name_or_prefix_stands_for_itself() -> None:
    dialect = derive(
        NETWORKED, signature={"header": "X%b-Signature", "prefix": "%d=", "timestamp_header": "X%d-Timestamp"}
    )
    sign = compile_signer(dialect, Secrets(current="whsec_abc123"))

    lines = sign(b"evt_1", 7, b"{}")

    assert lines.startswith(b"webhook-id: evt_1\r\nX%d-Timestamp: 7\r\nX%b-Signature: %d=")


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (BELLAMY, b"webhook-id: evt_1\r\n"),
        (NETWORKED, b"webhook-id: evt_1\r\nx-webhook-timestamp: 7\r\n"),
        (STANDARD_WEBHOOKS, b"webhook-id: evt_1\r\nwebhook-timestamp: 7\r\n"),
    ],
    ids=lambda value: value.name if isinstance(value, Dialect) else "",
)
def test_without_secrets_only_the_signature_is_left_out(dialect: Dialect, expected: bytes) -> None:
    sign = compile_signer(dialect, None)

    assert sign(b"evt_1", 7, b"{}") == expected


@given(key=st.binary(max_size=200), message=st.binary(max_size=5_000))
def test_the_prekeyed_hmac_is_the_standard_library_s(key: bytes, message: bytes) -> None:
    assert hmac_sha256(key)(message) == hmac.digest(key, message, "sha256")


# ── keys ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "secret", ["whsec_abc123", "your-webhook-secret", "12345678", "übertrieben", "x" * 1000]
)
def test_the_guides_take_any_secret_of_eight_bytes_and_more(secret: str) -> None:
    for name in ("networked", "webhooks-v1", "notify", "bellamy", "netasampark"):
        check_secret(DIALECTS[name], secret)


@pytest.mark.parametrize(
    "secret",
    [SECRET_A, "whsec_" + "A" * 32, "whsec_" + "A" * 86, "whsec_" + "A" * 86 + "==", "whsec_" + "A" * 34],
)
def test_the_open_standards_take_24_to_64_bytes_of_base64_padded_or_not(secret: str) -> None:
    check_secret(DIALECTS["standard-webhooks"], secret)
    check_secret(DIALECTS["cloudevents"], secret)


@pytest.mark.parametrize(
    ("dialect", "secret", "message"),
    [
        (BELLAMY, "1234567", "too short; this dialect needs at least 8 bytes"),
        (BELLAMY, "", "too short"),
        (BELLAMY, "secret-\udc80-secret", "not valid Unicode"),
        (STANDARD_WEBHOOKS, "", r"must begin with whsec_ \(HMAC\) or whsk_ \(ed25519\)"),
        (STANDARD_WEBHOOKS, "your-webhook-secret", "must begin with whsec_"),
        (STANDARD_WEBHOOKS, "whsec", "must begin with whsec_"),
        (STANDARD_WEBHOOKS, "whpk_" + "A" * 43, "must begin with whsec_"),
        (STANDARD_WEBHOOKS, "whsec_not base64 at all!", "not base64 after whsec_"),
        (STANDARD_WEBHOOKS, "whsec_grüßegrüßegrüßegrüßegrüßegrüße", "not base64 after whsec_"),
        (STANDARD_WEBHOOKS, "whsec_\udc80", "not base64 after whsec_"),
        (STANDARD_WEBHOOKS, "whsec_A", "not base64 after whsec_"),
        (STANDARD_WEBHOOKS, "whsec_" + "A" * 31 + "=", "holds 23 bytes; this dialect asks for 24 to 64"),
        (STANDARD_WEBHOOKS, "whsec_" + "A" * 87 + "=", "holds 65 bytes"),
        (STANDARD_WEBHOOKS, "whsk_" + "A" * 44, "holds 33 bytes; ed25519 keys have 32 or 64"),
        (STANDARD_WEBHOOKS, "whsk_" + "A" * 85 + "Q==", "halves do not belong together"),
    ],
)
def test_a_secret_that_the_dialect_cannot_use_is_refused_without_being_quoted(
    dialect: Dialect, secret: str, message: str
) -> None:
    with pytest.raises(DialectError, match=message) as caught:
        check_secret(dialect, secret, sign_ed25519=ed25519.sign)

    shown = "".join(traceback.format_exception(caught.value))
    assert not secret.partition("_")[2] or secret.partition("_")[2] not in shown


def test_an_ed25519_key_without_the_port_is_refused_with_the_cure() -> None:
    with pytest.raises(DialectError, match="use a whsec_ secret"):
        compile_signer(STANDARD_WEBHOOKS, Secrets(current=PRIVATE_C))


def test_a_bad_previous_secret_is_refused_although_it_may_not_sign() -> None:
    with pytest.raises(DialectError, match="too short"):
        compile_signer(BELLAMY, Secrets(current="long-enough", previous="short", sign_with="new"))
