"""deploy/demo: what it makes of its own options before anything is built or started."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "deploy" / "demo"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--kafka"], "--kafka needs a value: built-in or apache"),
        (["--kafka", "confluent"], "--kafka is built-in or apache, not 'confluent'"),
        (["--kafka=apache", "--bootstrap-servers", "kafka:9092"], "--kafka apache starts a Kafka of its own"),
        (["--bootstrap-servers=kafka:9092", "--kafka", "apache"], "--kafka apache starts a Kafka of its own"),
    ],
)
def test_options_that_make_no_sense_are_named_and_nothing_is_started(arguments: list[str], why: str) -> None:
    done = _run(*arguments)

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(why)


def test_help_shows_the_scripts_options_and_the_demos_and_starts_no_kafka() -> None:
    done = _run("--kafka", "apache", "--help")

    assert done.returncode == 0, done.stderr
    assert "deploy/demo --kafka apache" in done.stdout
    assert "--registry-url" in done.stdout
    assert "starting Apache Kafka" not in done.stderr


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([_SCRIPT, *arguments], capture_output=True, text=True, timeout=60, check=False)
