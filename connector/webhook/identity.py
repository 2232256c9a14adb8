"""A TLS identity from its files: certificate, key, authorities. Every mistake names its file and its cure.

The files are read twice: when a subscription is declared (:func:`read_identity`), and when its endpoint is
prepared (:func:`load_identity`). A file that is replaced between the two gives another digest at the next
look, and the endpoint is prepared again.
"""

from __future__ import annotations

import ssl
from hashlib import blake2b
from pathlib import Path
from typing import NoReturn

from connector.core.subscription import TlsIdentity
from connector.engine.ports import UnusableIdentity

FILE_BYTES_MAX = 1 << 20
"""Several times the bundle of all public authorities; a larger file is a mistake."""

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_KEY = b"PRIVATE KEY-----"


def read_identity(
    *, certificate_file: Path | None, key_file: Path | None, ca_file: Path | None
) -> TlsIdentity:
    """The identity in these PEM files; certificate and key come both or not at all. Blocks on the disk.
    Raises :class:`UnusableIdentity`."""
    digest = blake2b(digest_size=16)
    for file, holds, what in (
        (certificate_file, _CERTIFICATE, "certificate"),
        (key_file, _KEY, "private key"),
        (ca_file, _CERTIFICATE, "certificate"),
    ):
        content = b"" if file is None else _read(file, holds, what)
        digest.update(b"%d:%b" % (len(content), content))
    identity = TlsIdentity(
        certificate_file=str(certificate_file or ""),
        key_file=str(key_file or ""),
        ca_file=str(ca_file or ""),
        digest=digest.hexdigest(),
    )
    load_identity(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), identity)
    return identity


def load_identity(context: ssl.SSLContext, identity: TlsIdentity) -> None:
    """Let ``context`` show this certificate and trust these authorities. Raises :class:`UnusableIdentity`."""
    if identity.ca_file:
        load_authorities(context, identity.ca_file)
    if not identity.certificate_file:
        return

    def ask_nobody() -> NoReturn:  # OpenSSL itself would ask at the terminal
        raise UnusableIdentity(
            f"the key in {identity.key_file} is encrypted, and nobody is here to type its password; write it "
            f"without one (openssl pkey) and protect the file"
        )

    try:
        context.load_cert_chain(identity.certificate_file, identity.key_file, password=ask_nobody)
    except OSError as error:
        raise UnusableIdentity(_pair_fault(error, identity)) from None


def load_authorities(context: ssl.SSLContext, ca_file: str) -> None:
    """Let ``context`` trust the authorities in this file too. Raises :class:`UnusableIdentity`."""
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as error:  # ssl.SSLError among them
        raise UnusableIdentity(
            f"the authorities in {ca_file} cannot be used ({_why(error)}); write their certificates into it "
            f"as PEM"
        ) from None


def _pair_fault(error: OSError, identity: TlsIdentity) -> str:
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return (
            f"the key in {identity.key_file} does not belong to the certificate in "
            f"{identity.certificate_file}; name a pair that does, our own certificate first in its file"
        )
    return (
        f"the certificate in {identity.certificate_file} and the key in {identity.key_file} cannot be used "
        f"({_why(error)}); write both as PEM"
    )


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "it is damaged"
    return error.strerror or str(error)


def _read(file: Path, holds: bytes, what: str) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise UnusableIdentity(f"the file {file} cannot be read: {error.strerror}; check the path") from None
    if len(content) > FILE_BYTES_MAX:
        most = f"{FILE_BYTES_MAX >> 20} MiB"
        raise UnusableIdentity(f"the file {file} is larger than {most}; name the right one")
    if holds not in content:
        raise UnusableIdentity(f"the file {file} holds no {what} as PEM; write one into it, or name another")
    return content
