"""``events``: the catalogue on the command line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connector.cli.exits import Exit
from connector.cli.main import main
from schemas import event_types


def _json(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    assert main([*argv, "--json"]) == Exit.OK
    return json.loads(capsys.readouterr().out)


def test_list_names_every_type_once(capsys: pytest.CaptureFixture[str]) -> None:
    listed = _json(capsys, "events", "list")

    assert [each["type"] for each in listed] == [each.name for each in event_types()]
    assert {"type", "domain", "guides", "doc"} == set(listed[0])


def test_list_for_people_has_a_line_per_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "list"]) == Exit.OK

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["TYPE", "GUIDES", "MEANING"]
    assert len(lines) == len(event_types()) + 1
    assert any(line.startswith("post.created ") for line in lines)


def test_list_of_one_guide(capsys: pytest.CaptureFixture[str]) -> None:
    assert [each["type"] for each in _json(capsys, "events", "list", "--guide", "bellamy")] == [
        "comment.created",
        "friend.request.accepted",
        "friend.request.sent",
        "post.created",
        "post.deleted",
        "post.updated",
        "reaction.added",
        "user.registered",
    ]


def test_an_unknown_guide_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "list", "--guide", "belamy"]) == Exit.USAGE
    assert capsys.readouterr().err == "no guide is called 'belamy'; did you mean bellamy?\n"


@pytest.mark.parametrize("name", [each.name for each in event_types()])
def test_show_gives_schema_and_sample_of_every_type(capsys: pytest.CaptureFixture[str], name: str) -> None:
    shown = _json(capsys, "events", "show", name)

    assert shown["type"] == name
    assert shown["schema"]["type"] == "record"
    assert set(shown["sample"]) == {"key", "value", "data"}


def test_show_for_people_names_members_and_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "show", "user.joined"]) == Exit.OK

    shown = capsys.readouterr().out
    assert shown.startswith("user.joined: ")
    assert "MEMBER" in shown
    assert '"user_id": ' in shown


def test_an_unknown_type_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "show", "pots.created"]) == Exit.USAGE
    assert "did you mean post.created?" in capsys.readouterr().err
