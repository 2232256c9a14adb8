"""What is installed is pinned, hashed, the same in tests as in production, and named in one place."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_FILES = (
    "deploy/requirements.txt",
    "deploy/build-requirements.txt",
    "deploy/testbed/requirements.txt",
    "tests/requirements.txt",
)
_PIN = re.compile(r"^([a-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def _pins(file: str) -> dict[str, str]:
    return dict(_PIN.findall((_ROOT / file).read_text()))


@pytest.mark.parametrize("file", _FILES)
def test_every_requirement_is_pinned_and_hashed(file: str) -> None:
    text = (_ROOT / file).read_text()
    without_comments = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    entries = re.split(r"\n(?=\S)", without_comments.strip())

    assert entries
    for entry in entries:
        assert _PIN.match(entry), entry
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("file", _FILES)
def test_no_requirement_file_names_an_index(file: str) -> None:
    text = (_ROOT / file).read_text()

    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


def test_the_tests_run_with_what_is_shipped() -> None:
    shipped = _pins("deploy/requirements.txt") | _pins("deploy/testbed/requirements.txt")

    assert shipped.items() <= _pins("tests/requirements.txt").items()


def test_the_build_requirements_are_those_of_the_project() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    (name, version) = project["build-system"]["requires"][0].split("==")

    assert _pins("deploy/build-requirements.txt")[name] == version


def test_every_dependency_has_one_home_in_the_import_contracts() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    modules = {"pyyaml": "yaml"}
    dependencies = {
        re.split(r"[<>=;\s]", dependency)[0].replace("-", "_")
        for dependency in project["project"]["dependencies"]
    }
    at_home = {
        module
        for contract in project["tool"]["importlinter"]["contracts"]
        for module in contract.get("protected_modules", [])
    }

    # orjson is the core's one exception, and so everybody's but the engine's.
    assert {modules.get(name, name) for name in dependencies} - at_home == {"orjson"}
