"""Where a secret may come from, and that no message ever holds one."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.declared.secret import (
    SECRET_BYTES_MAX,
    FromEnvironment,
    FromFile,
    Written,
    read_secret,
    secret_source,
)


def test_a_text_is_the_secret_itself_and_not_shown() -> None:
    source = secret_source("hunter2")

    assert source == Written("hunter2")
    assert "hunter2" not in repr(source)
    assert read_secret(source, folder=Path()) == "hunter2"


def test_a_secret_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTNER_SECRET", "hunter2")

    assert secret_source({"env": "PARTNER_SECRET"}) == FromEnvironment("PARTNER_SECRET")
    assert read_secret(FromEnvironment("PARTNER_SECRET"), folder=Path()) == "hunter2"


def test_an_unset_or_empty_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTNER_SECRET", "")

    with pytest.raises(ValueError, match="the environment variable PARTNER_SECRET is not set; set it"):
        read_secret(FromEnvironment("PARTNER_SECRET"), folder=Path())


@pytest.mark.parametrize("content", ["hunter2", "hunter2\n", "hunter2\r\n"])
def test_a_secret_from_a_file_next_to_the_one_that_names_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_bytes(content.encode())

    assert secret_source({"file": "secret"}) == FromFile("secret")
    assert read_secret(FromFile("secret"), folder=tmp_path) == "hunter2"


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")

    assert read_secret(FromFile(str(tmp_path / "secret")), folder=Path("/elsewhere")) == "hunter2"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty; write the secret into it"),
        (b"\n", "is empty; write the secret into it"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * (SECRET_BYTES_MAX + 1), "is larger than 64 KiB; name the right one"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "secret").write_bytes(content)

    with pytest.raises(ValueError, match=rf"the file .*/secret {message}"):
        read_secret(FromFile("secret"), folder=tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the file .*/secret cannot be read: No such file or directory"):
        read_secret(FromFile("secret"), folder=tmp_path)


@pytest.mark.parametrize(
    "declared",
    [None, "", [], {}, {"env": ""}, {"env": "A", "file": "b"}, {"value": "hunter2"}, {"env": 5}],
)
def test_anything_else_is_refused_without_quoting_it(declared: object) -> None:
    with pytest.raises(ValueError, match=r"^must be the text itself, \{env: NAME\} or \{file: PATH\}$"):
        secret_source(declared)


def test_a_number_is_asked_to_be_put_in_quotes() -> None:
    with pytest.raises(ValueError, match=r"^must be text; put it in quotes$"):
        secret_source(12345678)
