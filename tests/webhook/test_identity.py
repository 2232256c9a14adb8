"""A TLS identity from its files: what is the same, what is another, and a cure for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from connector.core.subscription import TlsIdentity
from connector.engine.ports import UnusableIdentity
from connector.webhook.identity import FILE_BYTES_MAX, read_identity
from connector.webhook.tls import TlsContexts


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def folder(tmp_path: Path, authority: trustme.CA) -> Path:
    """Two pairs, ``a`` and ``b``, and their authority."""
    for name in ("a", "b"):
        issued = authority.issue_cert(f"{name}.example")
        (tmp_path / f"{name}.crt").write_bytes(issued.cert_chain_pems[0].bytes())
        (tmp_path / f"{name}.key").write_bytes(issued.private_key_pem.bytes())
    (tmp_path / "ca.crt").write_bytes(authority.cert_pem.bytes())
    return tmp_path


def read(folder: Path, certificate: str = "", key: str = "", ca: str = "") -> TlsIdentity:
    certificate_file, key_file, ca_file = (folder / name if name else None for name in (certificate, key, ca))
    return read_identity(certificate_file=certificate_file, key_file=key_file, ca_file=ca_file)


def test_the_same_files_are_the_same_identity_and_rotated_ones_another(folder: Path) -> None:
    first, again = read(folder, "a.crt", "a.key", "ca.crt"), read(folder, "a.crt", "a.key", "ca.crt")
    for end in ("crt", "key"):
        (folder / f"b.{end}").rename(folder / f"a.{end}")
    rotated = read(folder, "a.crt", "a.key", "ca.crt")

    assert first == again
    assert rotated != first
    assert (rotated.certificate_file, rotated.key_file) == (first.certificate_file, first.key_file)


def test_a_certificate_and_its_key_may_stand_in_one_file(folder: Path) -> None:
    (folder / "both.pem").write_bytes((folder / "a.crt").read_bytes() + (folder / "a.key").read_bytes())

    assert read(folder, "both.pem", "both.pem").key_file == str(folder / "both.pem")


def test_a_context_is_shared_by_one_identity_and_by_no_other(folder: Path) -> None:
    contexts = TlsContexts(None)
    a, b = read(folder, "a.crt", "a.key", "ca.crt"), read(folder, "b.crt", "b.key", "ca.crt")

    of_a, of_b = contexts.context(a), contexts.context(b)

    assert contexts.context(read(folder, "a.crt", "a.key", "ca.crt")) is of_a
    assert of_a is not of_b
    assert contexts.context(None) not in (of_a, of_b)


@pytest.mark.parametrize(
    ("certificate", "key", "ca", "fault"),
    [
        ("none.crt", "a.key", "", "the file none.crt cannot be read: No such file or directory; check"),
        ("a.crt", "none.key", "", "the file none.key cannot be read"),
        ("", "", "none.crt", "the file none.crt cannot be read"),
        ("", "", ".", "cannot be read: Is a directory"),
        ("a.key", "a.key", "", "a.key holds no certificate as PEM; write one into it, or name another"),
        ("a.crt", "a.crt", "", "a.crt holds no private key as PEM"),
        ("", "", "a.key", "a.key holds no certificate as PEM"),
        ("a.crt", "b.key", "", "the key in b.key does not belong to the certificate in a.crt; name a pair"),
        ("broken.crt", "a.key", "", "the certificate in broken.crt and the key in a.key cannot be used"),
        ("a.crt", "broken.key", "", "the certificate in a.crt and the key in broken.key cannot be used"),
        ("", "", "broken.crt", "the authorities in broken.crt cannot be used"),
        ("a.crt", "locked.key", "", "the key in locked.key is encrypted"),
        ("", "", "large.crt", "the file large.crt is larger than 1 MiB"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_cure(
    folder: Path, certificate: str, key: str, ca: str, fault: str
) -> None:
    (folder / "broken.crt").write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    (folder / "broken.key").write_text("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n")
    (folder / "large.crt").write_bytes(b"-----BEGIN CERTIFICATE-----\n".ljust(FILE_BYTES_MAX + 1, b"x"))
    locked = load_pem_private_key((folder / "a.key").read_bytes(), None)
    (folder / "locked.key").write_bytes(
        locked.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    )

    with pytest.raises(UnusableIdentity) as refused:
        read(folder, certificate, key, ca)

    assert fault in str(refused.value).replace(f"{folder}/", "")
