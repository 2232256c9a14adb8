"""The command line as a whole: help, exit codes, commands found where they lie."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from connector import __version__
from connector.cli import commands
from connector.cli.exits import CommandFailed, Exit
from connector.cli.main import main
from connector.settings import SettingsError


def _program(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "connector", *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_help_lists_the_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--help"])

    shown = capsys.readouterr().out
    assert code == 0
    assert "the catalogue of event types" in shown
    assert "the subscriptions file" in shown
    assert "2   the command line or the settings cannot be used" in shown


def test_help_imports_nothing_heavy() -> None:
    ended = _program("--help")

    assert ended.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "connector.cli.main" in imported
    assert imported.isdisjoint({"confluent_kafka", "fastavro", "httpx", "rich", "uvicorn", "schemas"})


@pytest.mark.parametrize("argv", [["events"], ["subscriptions"]])
def test_a_group_shows_its_commands_and_examples(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = main([*argv, "--help"])

    shown = capsys.readouterr().out
    assert code == 0
    assert "list" in shown
    assert f"examples:\n  webhook-connector {argv[0]} " in shown


@pytest.mark.parametrize(
    "argv", [[], ["frob"], ["events"], ["events", "frob"], ["events", "show"], ["--frob"]]
)
def test_a_command_line_that_means_nothing_ends_with_2(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == Exit.USAGE
    assert "usage: webhook-connector" in capsys.readouterr().err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"webhook-connector {__version__}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that counts as one of commands."""
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    return tmp_path


def _command(folder: Path, name: str, body: str) -> None:
    (folder / f"{name}.py").write_text(
        f"HELP = 'does {name}'\ndef add(parser): parser.add_argument('--x')\ndef run(args):\n    {body}\n"
    )


def test_a_module_in_the_folder_is_a_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _command(folder, "try_me", "print('tried', args.x); return 1")

    assert main(["try-me", "--x", "5"]) == Exit.PROBLEMS
    assert capsys.readouterr().out == "tried 5\n"


def test_a_package_in_the_folder_is_a_group_of_commands(folder: Path) -> None:
    (folder / "grouped").mkdir()
    (folder / "grouped" / "__init__.py").write_text("HELP = 'grouped'\nEXAMPLES = ''\n")
    _command(folder / "grouped", "one", "return 0")
    _command(folder / "grouped", "_hidden", "return 0")

    assert main(["grouped", "one"]) == Exit.OK
    assert main(["grouped", "_hidden"]) == Exit.USAGE
    assert main(["grouped", "-hidden"]) == Exit.USAGE


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SettingsError("a.yaml:1: wrong"), Exit.USAGE, "a.yaml:1: wrong\n"),
        (CommandFailed(Exit.UNREACHABLE, "Kafka did not answer"), Exit.UNREACHABLE, "Kafka did not answer\n"),
        (KeyboardInterrupt(), Exit.INTERRUPTED, ""),
    ],
)
def test_what_ends_a_command_is_told_without_a_traceback(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    _command(folder, "failing", "return 0")
    assert main(["failing"]) == Exit.OK

    def run(args: Namespace) -> int:
        raise error

    monkeypatch.setattr(sys.modules[f"{commands.__name__}.failing"], "run", run)

    assert main(["failing"]) == code
    assert capsys.readouterr().err == said


def test_a_fault_of_ours_shows_its_traceback_and_ends_with_70(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _command(folder, "broken", "raise ValueError('oh')")

    assert main(["broken"]) == Exit.INTERNAL
    assert "ValueError: oh" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_fault() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as output:
        ended = subprocess.run(
            [sys.executable, "-m", "connector", "events", "list"],
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
            timeout=30,
        )

    assert (ended.returncode, ended.stderr) == (0, b"")


def test_run_prints_json_only_of_a_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--json"]) == 2

    assert "--json goes with --dry-run; how the log looks is --log-format" in capsys.readouterr().err
