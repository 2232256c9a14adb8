from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from connector.cli.main import main

STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRIVATE = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command in a folder with ``body.json``, the secret in ``$SECRET``; code, output, errors."""
    (tmp_path / "body.json").write_bytes(BODY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", STANDARD)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


# ── sign ────────────────────────────────────────────────────────────────────────────────────────


def test_sign_prints_the_published_vector_of_standard_webhooks(call: Call) -> None:
    code, out, err = call(
        "sign", "--dialect", "standard-webhooks", "--secret-env", "SECRET",
        "--id", MESSAGE_ID, "--timestamp", "1614265330", "body.json",
    )  # fmt: skip

    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"webhook-id: {MESSAGE_ID}",
        "webhook-timestamp: 1614265330",
        "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ]


def test_sign_prints_the_published_ed25519_vector(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", PRIVATE)

    code, out, _ = call(
        "sign", "--dialect", "standard-webhooks", "--secret-env", "SECRET", "--json",
        "--id", MESSAGE_ID, "--timestamp", "1614265330", "body.json",
    )  # fmt: skip

    assert code == 0
    assert json.loads(out) == {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": (
            "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
        ),
    }


def test_a_body_that_should_carry_a_signature_of_its_own_is_told_which(call: Call, tmp_path: Path) -> None:
    flags = ("--dialect", "bellamy", "--secret-env", "SECRET")
    code, _, err = call("sign", *flags, "body.json")
    member = re.search(r'(,"signature":"[0-9a-f]{64}"\})', err)
    assert code == 1
    assert member is not None

    (tmp_path / "body.json").write_bytes(BODY[:-1] + member[1].encode())
    code, headers, err = call("sign", *flags, "body.json")

    assert (code, err) == (0, "")
    lines = [part for line in headers.splitlines() for part in ("--header", line)]
    assert call("verify", *flags, *lines, "body.json")[:2] == (0, "valid: The signature verifies.\n")


def test_what_sign_prints_now_verifies_now_through_pipes(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("correct-horse\n")

    def program(*words: str) -> subprocess.CompletedProcess[bytes]:
        flags = ("--dialect", "netasampark", "--secret-file", str(tmp_path / "secret"))
        return subprocess.run(
            [sys.executable, "-m", "connector", *words[:1], *flags, *words[1:], "-"],
            input='{"text":"Grüße"}\n'.encode(), capture_output=True, timeout=30, check=False,
        )  # fmt: skip

    signed = program("sign")
    lines = [part for line in signed.stdout.decode().splitlines() for part in ("--header", line)]
    verified = program("verify", *lines)

    assert (signed.returncode, signed.stderr) == (0, b"")
    assert (verified.returncode, verified.stdout) == (0, b"valid: The signature verifies.\n")


# ── verify ──────────────────────────────────────────────────────────────────────────────────────

VECTOR = (
    "--header", f"Webhook-Id: {MESSAGE_ID}",
    "--header", "Webhook-Timestamp: 1614265330",
    "--header", "Webhook-Signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    "--header", "User-Agent: somebody: else",
)  # fmt: skip
VERIFY = ("verify", "--dialect", "standard-webhooks", "--secret-env", "SECRET")


def test_a_request_kept_from_earlier_is_stale_unless_judged_by_the_time_it_came(call: Call) -> None:
    code, out, _ = call(*VERIFY, *VECTOR, "body.json")
    assert code == 1
    assert out.startswith("not valid (stale): The header webhook-timestamp is ")

    assert call(*VERIFY, *VECTOR, "--at", "1614265331", "body.json")[0] == 0
    assert call(*VERIFY, *VECTOR, "--at", "1614265341", "--tolerance", "10", "body.json")[0] == 1


def test_a_body_that_a_parser_has_written_again_is_recognised(call: Call, tmp_path: Path) -> None:
    (tmp_path / "body.json").write_bytes(b'{"a":1}')
    flags = ("--dialect", "webhooks-v1", "--secret-env", "SECRET")
    headers = call("sign", *flags, "body.json")[1].splitlines()
    (tmp_path / "body.json").write_bytes(b'{ "a": 1 }')

    code, out, _ = call("verify", *flags, "--json", "--header", headers[1], "body.json")

    assert code == 1
    verdict = json.loads(out)
    assert (verdict["valid"], verdict["cause"]) == (False, "changed-body")
    assert "use the raw bytes" in verdict["detail"]


def test_a_public_key_verifies_what_the_private_one_signed(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", PRIVATE)
    signed = call("sign", "--dialect", "cloudevents", "--secret-env", "SECRET", "body.json")[1].splitlines()
    monkeypatch.setenv("PUBLIC", PUBLIC)

    lines = [part for line in signed for part in ("--header", line)]
    code, out, _ = call("verify", "--dialect", "cloudevents", "--secret-env", "PUBLIC", *lines, "body.json")

    assert (code, out) == (0, "valid: The signature verifies.\n")


def test_a_missing_header_is_named(call: Call) -> None:
    code, out, _ = call(*VERIFY, *VECTOR[2:], "body.json")

    assert code == 1
    assert "webhook-id is missing" in out


def test_a_header_given_twice_means_both_values(call: Call) -> None:
    flags = ("--dialect", "notify", "--secret-env", "SECRET")
    line = call("sign", *flags, "body.json")[1].splitlines()[1]

    code, out, _ = call("verify", *flags, "--header", line, "--header", line, "body.json")

    assert code == 1
    assert "several values" in out


def test_a_dialect_of_the_operators_own_comes_from_the_settings_file(call: Call, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(
        "dialects: {partner: {base: networked, signature: {timestamp: signed}}}\n"
    )
    flags = ("--dialect", "partner", "--config", "settings.yaml", "--secret-env", "SECRET")
    signed = call("sign", *flags, "body.json")[1].splitlines()

    lines = [part for line in signed for part in ("--header", line)]
    assert call("verify", *flags, *lines, "body.json")[0] == 0


# ── what cannot be used ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--dialect", "standardwebhooks", "--secret-env", "SECRET", "-"), "did you mean standard-webhooks?"),
        (("--dialect", "notify", "--secret-env", "NONE", "body.json"), "variable NONE is not set"),
        (("--dialect", "notify", "--secret-file", "none", "body.json"), "the file none cannot be read"),
        (("--dialect", "notify", "--secret-env", "SECRET", "none.json"), "none.json cannot be read"),
        (("--dialect", "notify", "body.json"), "--secret-env --secret-file is required"),
        (("--dialect", "notify", "--secret", STANDARD, "body.json"), "ambiguous"),
    ],
)
@pytest.mark.parametrize("command", ["sign", "verify"])
def test_what_cannot_be_used_ends_with_2_and_the_cure(
    call: Call, command: str, words: tuple[str, ...], message: str
) -> None:
    code, out, err = call(command, *words)

    assert (code, out) == (2, "")
    assert message in err


def test_no_message_quotes_a_secret(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "whsec_&&&-not-base64")

    signed = call("sign", "--dialect", "standard-webhooks", "--secret-env", "SECRET", "body.json")
    verified = call(*VERIFY, *VECTOR, "body.json")

    assert (signed[0], verified[0]) == (2, 1)
    assert "not base64" in signed[2]
    assert "not base64" in verified[1]
    assert "&&&" not in str(signed) + str(verified)


def test_the_secret_is_not_taken_from_the_command_line_and_help_says_why(call: Call) -> None:
    for command in ("sign", "verify"):
        code, out, _ = call(command, "--help")
        assert code == 0
        assert "never from the command line itself" in out
        assert "examples:" in out
        assert "exit codes:" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sign", "--id", "two words"), "is not an id"),
        (("sign", "--timestamp", "2026-01-01"), "is not UNIX seconds"),
        (("verify", "--header", "nonsense"), "is not 'NAME: VALUE'"),
        (("verify", "--tolerance", "-1"), "is not a number of seconds"),
    ],
)
def test_a_flag_that_makes_no_sense_is_named(call: Call, words: tuple[str, ...], message: str) -> None:
    code, _, err = call(*words, "--dialect", "notify", "--secret-env", "SECRET", "body.json")

    assert code == 2
    assert message in err


def test_a_body_larger_than_any_the_connector_sends_is_refused(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.cli.commands._signing.BODY_BYTES_MAX", 19)

    code, _, err = call("sign", "--dialect", "notify", "--secret-env", "SECRET", "body.json")

    assert code == 2
    assert "larger than" in err
