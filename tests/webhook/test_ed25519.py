from __future__ import annotations

from base64 import b64decode

import pytest

from connector.webhook import ed25519

PRIVATE = b64decode(
    "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
)
PUBLIC = b64decode("1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=")


def test_what_is_signed_verifies_with_the_public_key() -> None:
    signature = ed25519.sign(PRIVATE, b"message")

    assert len(signature) == 64
    assert ed25519.verify(PUBLIC, b"message", signature)


def test_the_seed_alone_signs_like_the_whole_key() -> None:
    assert ed25519.sign(PRIVATE[:32], b"message") == ed25519.sign(PRIVATE, b"message")


@pytest.mark.parametrize("signature", [bytes(64), b"", b"short"])
def test_a_signature_of_something_else_does_not_verify(signature: bytes) -> None:
    assert not ed25519.verify(PUBLIC, b"message", signature)


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), bytes(65), PRIVATE[:32] + bytes(32)])
def test_a_key_that_is_none_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="ed25519 key"):
        ed25519.sign(key, b"message")


def test_a_public_key_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        ed25519.verify(b"short", b"message", bytes(64))
