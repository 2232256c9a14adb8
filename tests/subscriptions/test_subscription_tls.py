"""A subscription's TLS identity: what is declared, what is refused, and a rotated file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from connector.core.subscription import TlsIdentity
from connector.subscriptions.file import Loaded, Unusable, load_subscriptions
from tests.support.subscription_files import ONE, RULES, file_of, identify

WHOLE = "  tls: {client_certificate_file: tls.crt, client_key_file: tls.key, ca_file: ca.crt}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("tls.crt", "tls.key", "ca.crt"):
        (tmp_path / name).write_text(name)
    return tmp_path


def _load(folder: Path, *tls: str) -> Loaded | Unusable:
    file = folder / "subscriptions.yaml"
    file.write_text("subscriptions:\n" + "".join(ONE.format(id=f"s{n}") + each for n, each in enumerate(tls)))
    return load_subscriptions(file, RULES)


def _mistakes(folder: Path, tls: str) -> str:
    result = _load(folder, tls)
    assert isinstance(result, Unusable)
    return str(result.mistakes).replace(f"{folder / 'subscriptions.yaml'}:", "")


def test_an_identity_is_read_from_files_beside_the_one_that_names_them(folder: Path) -> None:
    loaded = _load(folder, WHOLE, "  tls: {ca_file: ca.crt}\n", "")

    assert isinstance(loaded, Loaded)
    assert [each.tls for each in loaded.subscriptions] == [
        TlsIdentity(
            certificate_file=str(folder / "tls.crt"),
            key_file=str(folder / "tls.key"),
            ca_file=str(folder / "ca.crt"),
            digest="tls.crt|tls.key|ca.crt",
        ),
        TlsIdentity(ca_file=str(folder / "ca.crt"), digest="||ca.crt"),
        None,
    ]
    assert set(loaded.files) == {folder / "tls.crt", folder / "tls.key", folder / "ca.crt"}


def test_a_rotated_file_makes_another_subscription(folder: Path) -> None:
    before = _load(folder, WHOLE)
    (folder / "tls.key").write_text("new")
    after = _load(folder, WHOLE)

    assert isinstance(before, Loaded)
    assert isinstance(after, Loaded)
    assert before.subscriptions != after.subscriptions


def test_the_files_that_many_share_are_read_once(folder: Path) -> None:
    read: list[Path | None] = []

    def counting(
        *, certificate_file: Path | None, key_file: Path | None, ca_file: Path | None
    ) -> TlsIdentity:
        read.append(certificate_file)
        return identify(certificate_file=certificate_file, key_file=key_file, ca_file=ca_file)

    file = folder / "subscriptions.yaml"
    file.write_text("subscriptions:\n" + "".join(ONE.format(id=f"s{n}") + WHOLE for n in range(50)))
    load_subscriptions(file, replace(RULES, identify=counting))

    assert read == [folder / "tls.crt"]


@pytest.mark.parametrize(
    ("tls", "mistake"),
    [
        (
            "{client_certificate_file: tls.crt}",
            "client_certificate_file and client_key_file go together; give both or neither",
        ),
        (
            "{client_key_file: tls.key}",
            "client_certificate_file and client_key_file go together; give both or neither",
        ),
        ("{}", "names no file; name a client certificate and its key, a ca_file, or all three"),
        ("{ca_file: none.crt}", "the file none.crt cannot be read; check the path"),
        ('{ca_file: ""}', "ca_file"),
        ("{certificate: tls.crt}", "certificate"),
    ],
)
def test_what_cannot_be_used_is_refused_where_it_stands(folder: Path, tls: str, mistake: str) -> None:
    told = _mistakes(folder, f"  tls: {tls}\n")

    assert told.startswith("8:")
    assert mistake in told


def test_what_one_file_lacks_is_told_of_every_subscription_that_names_it(folder: Path) -> None:
    result = _load(folder, "  tls: {ca_file: none.crt}\n", "  tls: {ca_file: none.crt}\n")

    assert isinstance(result, Unusable)
    assert str(result.mistakes).count("none.crt cannot be read") == 2
    assert result.files == (folder / "none.crt",)


def test_tls_for_an_endpoint_without_it_is_a_mistake(folder: Path) -> None:
    file = folder / "subscriptions.yaml"
    file.write_text(file_of("a").replace("https:", "http:") + WHOLE)

    result = load_subscriptions(file, replace(RULES, url_fault=lambda url: ""))

    assert isinstance(result, Unusable)
    assert "tls: is for https alone; remove it, or make the url https" in str(result.mistakes)
