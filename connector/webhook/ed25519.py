"""Ed25519 for the ``v1a`` signatures of Standard Webhooks: the only home of ``cryptography``.

Adapters for the ports that :mod:`connector.core.signing` and :mod:`connector.core.verify` declare.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_KEY_BYTES = 32


def sign(private_key: bytes, message: bytes) -> bytes:
    """The 64 bytes of the signature. ``private_key`` is the seed (32 bytes), or the seed and its public key
    (64 bytes). Raises :class:`ValueError`, which quotes no key, for anything else and for halves that do not
    belong together."""
    return _load(private_key).sign(message)


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is that of ``message``. Raises :class:`ValueError` for what is no public key."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


# Loading costs as much as signing; a key is loaded once per subscription that is in use.
@lru_cache(maxsize=4096)
def _load(private_key: bytes) -> Ed25519PrivateKey:
    seed, public = private_key[:_KEY_BYTES], private_key[_KEY_BYTES:]
    if len(seed) != _KEY_BYTES or len(public) not in (0, _KEY_BYTES):
        raise ValueError(f"an ed25519 key has 32 or 64 bytes, not {len(private_key)}")
    key = Ed25519PrivateKey.from_private_bytes(seed)
    if public and key.public_key().public_bytes_raw() != public:
        raise ValueError("the public half of the ed25519 key does not belong to its seed")
    return key
