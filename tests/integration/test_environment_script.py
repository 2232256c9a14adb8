"""deploy/lib/venv.sh: it finds a Python, builds once, and says what is missing.

A stand-in for Python plays the machines on which something is missing; nothing is downloaded here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "deploy" / "lib" / "venv.sh"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a project of one package and a requirement file that asks for nothing."""
    folder = tmp_path / "a checkout"  # a blank in the path, as on many machines
    (folder / "connector").mkdir(parents=True)
    (folder / "connector" / "__init__.py").touch()
    (folder / "connector" / "__main__.py").write_text("raise SystemExit(7)\n")
    (folder / "none.txt").write_text("# nothing\n")
    return folder


def test_an_environment_is_built_once_and_only_looked_at_afterwards(checkout: Path) -> None:
    first = _ensure(checkout)
    second = _ensure(checkout)

    assert first.returncode == 0, first.stderr
    assert "Building .venv" in first.stderr
    assert "Installing none.txt" in first.stderr
    assert second.returncode == 0
    assert second.stderr == ""


def test_an_edited_requirement_file_is_installed_again(checkout: Path) -> None:
    _ensure(checkout)
    (checkout / "none.txt").write_text("# still nothing\n")

    again = _ensure(checkout)

    assert again.stderr == "Installing none.txt …\n"


def test_a_moved_checkout_gets_a_new_environment(checkout: Path) -> None:
    _ensure(checkout)
    moved = checkout.rename(checkout.with_name("moved"))

    assert "Building .venv" in _ensure(moved).stderr


def test_the_project_can_be_used_from_anywhere(checkout: Path) -> None:
    _ensure(checkout)

    done = subprocess.run([checkout / ".venv/bin/python", "-c", "import connector"], cwd="/", check=False)
    command = subprocess.run([checkout / ".venv/bin/webhook-connector"], cwd="/", check=False)

    assert done.returncode == 0
    assert command.returncode == 7


def test_somebody_elses_environment_is_not_thrown_away(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "precious").touch()

    done = _ensure(checkout)

    assert done.returncode == 1
    assert "was not built by this script" in done.stderr
    assert (checkout / ".venv" / "precious").exists()


def test_without_a_new_enough_python_the_message_says_which_is_needed(checkout: Path) -> None:
    done = _ensure(checkout, python="")

    assert done.returncode == 1
    assert "Python 3.11 or later is missing" in done.stderr
    assert not (checkout / ".venv").exists()


def test_a_python_that_cannot_make_environments_is_named_with_its_package(checkout: Path) -> None:
    stand_in = checkout / "python-without-venv"
    refuses = '[ "$2" = "import ensurepip, venv" ] && exit 1'
    stand_in.write_text(f'#!/bin/sh\n{refuses}\nexec {sys.executable} "$@"\n')
    stand_in.chmod(0o755)

    done = _ensure(checkout, python=str(stand_in))

    assert done.returncode == 1
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"apt-get install python{version}-venv" in done.stderr


def test_a_requirement_without_a_hash_is_refused(checkout: Path) -> None:
    (checkout / "none.txt").write_text("orjson==3.13.0\n")

    done = _ensure(checkout)

    assert done.returncode == 1
    assert "Installing none.txt failed" in done.stderr
    assert "Building .venv" not in _ensure(checkout).stderr  # and what is there is kept


def _ensure(checkout: Path, *, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run ``ensure_venv`` on a path that holds the usual tools and no Python but the given one."""
    tools = checkout.parent / "tools"
    tools.mkdir(exist_ok=True)
    for tool in ("bash", "cat", "chmod", "flock", "mkdir", "rm"):
        if not (tools / tool).exists():
            (tools / tool).symlink_to(Path("/usr/bin") / tool)
    return subprocess.run(
        ["/bin/bash", "-c", 'set -euo pipefail; source "$1"; ensure_venv none.txt', "bash", _SCRIPT],
        env={"ROOT": str(checkout), "PATH": str(tools), "PYTHON": python, "HOME": str(checkout)},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
