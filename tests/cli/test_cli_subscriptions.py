"""``subscriptions check`` and ``list``: the file looked at without starting anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connector.cli.exits import Exit
from connector.cli.main import main
from tests.support.subscription_files import file_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "subscriptions.yaml"
    file.write_text(file_of("a", "b"))
    return file


def test_a_sound_file_ends_with_0(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["subscriptions", "check", str(file)]) == Exit.OK
    assert capsys.readouterr().out == f"{file}: 2 subscriptions, no mistakes\n"


def test_mistakes_are_named_and_end_with_1(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(file_of("a").replace("https", "http"))

    assert main(["subscriptions", "check", str(file)]) == Exit.PROBLEMS
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"{file}:3:8: subscriptions[0].url: the URL is plain http")


def test_the_settings_decide_what_is_allowed(file: Path) -> None:
    file.write_text(file_of("a").replace("https", "http"))

    assert main(["subscriptions", "check", str(file), "--allow-http"]) == Exit.OK


def test_json_tells_the_same(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(file_of("a").replace("url:", "ulr:"))

    code = main(["subscriptions", "check", str(file), "--json"])

    assert code == Exit.PROBLEMS
    assert json.loads(capsys.readouterr().out) == {
        "file": str(file),
        "subscriptions": 0,
        "problems": [
            {"place": f"{file}:2:3", "path": "subscriptions[0].url", "text": "is missing; add 'url:' here"},
            {
                "place": f"{file}:3:3",
                "path": "subscriptions[0].ulr",
                "text": "there is no such key; did you mean url?",
            },
        ],
        "warnings": [],
    }


def test_an_empty_file_would_not_start_and_is_a_problem(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("")

    assert main(["subscriptions", "check", str(file)]) == Exit.PROBLEMS
    assert "there are no subscriptions" in capsys.readouterr().err


def test_a_pattern_that_matches_no_configured_topic_is_a_warning(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["subscriptions", "check", str(file), "--topic", "user.joined"]) == Exit.OK
    assert f"warning: {file}:4:12: subscriptions[0].events[0]: post.created matches no event" in (
        capsys.readouterr().err
    )


def test_the_file_comes_from_the_settings_unless_it_is_named(
    file: Path, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("WEBHOOK_CONNECTOR_SUBSCRIPTIONS_FILE", str(file))

    assert main(["subscriptions", "check"]) == Exit.OK
    assert main(["subscriptions", "check", "/does/not/exist"]) == Exit.PROBLEMS


def test_settings_that_cannot_be_used_end_with_2(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["subscriptions", "check", str(file), "--set", "http.prt=1"]) == Exit.USAGE
    assert (
        capsys.readouterr().err == "flag --set http.prt: http.prt: there is no such key; did you mean port?\n"
    )


def test_list_fills_in_the_defaults_and_shows_no_secret(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(file_of("a") + "  headers: {Authorization: Bearer hunter2}\n")

    assert main(["subscriptions", "list", str(file), "--json"]) == Exit.OK

    shown = capsys.readouterr().out
    (listed,) = json.loads(shown)
    assert listed["id"] == "a"
    assert listed["dialect"] == "bellamy"
    assert listed["headers"] == ["Authorization"]
    assert listed["timeout_ms"] == 30_000
    assert not listed["is_rotating"]
    assert "correct-horse" not in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_list_shows_no_query_of_a_url(
    flags: list[str], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(file_of("a").replace("receiver.example/a", "receiver.example/a?token=hunter2"))

    assert main(["subscriptions", "list", str(file), *flags]) == Exit.OK

    shown = capsys.readouterr().out
    assert "https://receiver.example/a?..." in shown
    assert "hunter2" not in shown


def test_list_for_people_has_a_line_each(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(
        file_of("a") + "  ladder: [30s, 5m]\n" + file_of("b").partition("\n")[2] + "  paused: true\n"
    )

    assert main(["subscriptions", "list", str(file)]) == Exit.OK

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["ID", "STATE", "DIALECT", "EVENTS", "URL", "LADDER"]
    assert lines[1] == ["a", "active", "bellamy", "post.created", "https://receiver.example/a", "30s", "5m"]
    assert lines[2][:2] == ["b", "paused"]


def test_list_of_a_file_with_mistakes_names_them(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("subscriptions: 5")

    assert main(["subscriptions", "list", str(file)]) == Exit.PROBLEMS
    assert "must be a list" in capsys.readouterr().err
