"""Log lines: their shape, and what never stands in one."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from connector.telemetry.logs import REPEATS_MAX, TEXT_CHARS_MAX, Forward, forward_stdlib, make_log


@pytest.fixture
def stream() -> io.BytesIO:
    return io.BytesIO()


def _line(stream: io.BytesIO) -> dict[str, Any]:
    (line,) = stream.getvalue().splitlines()
    facts: dict[str, Any] = json.loads(line)
    return facts


def test_a_line_is_one_json_object_that_begins_with_time_level_and_event(stream: io.BytesIO) -> None:
    make_log(format="json", level="info", stream=stream).warning("Grüße", topic="a", offset=5, is_late=True)

    facts = _line(stream)

    assert list(facts) == ["time", "level", "event", "topic", "offset", "is_late"]
    assert facts["time"].endswith("Z")
    assert facts["level"] == "warning"
    assert (facts["event"], facts["topic"], facts["offset"], facts["is_late"]) == ("Grüße", "a", 5, True)


def test_what_is_below_the_level_is_not_written(stream: io.BytesIO) -> None:
    log = make_log(format="json", level="warning", stream=stream)

    log.info("quiet")
    log.error("loud")

    assert _line(stream)["event"] == "loud"


def test_a_console_line_is_for_people(stream: io.BytesIO) -> None:
    make_log(format="console", level="info", stream=stream).info("joined the group", partitions=3)

    line = stream.getvalue().decode()

    assert "joined the group" in line
    assert "partitions=3" in line
    assert "\x1b" not in line


@pytest.mark.parametrize("format_", ["json", "console"])
@pytest.mark.parametrize(
    "facts",
    [
        {"secret": "hunter2hunter2"},
        {"sasl.password": "hunter2hunter2"},
        {"headers": {"Authorization": "hunter2hunter2"}},
        {"headers": [{"Set-Cookie": "hunter2hunter2"}]},
        {"api_key": ["hunter2hunter2"]},
        {"detail": "signed with whsec_hunter2hunter2"},
        {"detail": "sent Bearer hunter2hunter2"},
        {"url": "https://me:hunter2hunter2@receiver.example/"},
        {"error": ValueError("whsk_hunter2hunter2")},
        {"value": SecretStr("hunter2hunter2")},
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_covered(stream: io.BytesIO, format_: Any, facts: dict[str, Any]) -> None:
    make_log(format=format_, level="info", stream=stream).info("happened", **facts)

    assert b"hunter2" not in stream.getvalue()
    assert b"***" in stream.getvalue()


def test_a_secret_in_a_traceback_is_covered(stream: io.BytesIO) -> None:
    log = make_log(format="json", level="info", stream=stream)
    try:
        raise ValueError("bad key whsec_hunter2hunter2")
    except ValueError as error:
        log.error("failed", exc_info=error)

    assert "bad key whsec_***" in _line(stream)["exception"]


def test_what_looks_like_a_body_is_cut(stream: io.BytesIO) -> None:
    make_log(format="json", level="info", stream=stream).info("replied", body="x" * (TEXT_CHARS_MAX + 1))

    assert _line(stream)["body"] == "x" * TEXT_CHARS_MAX + f"… ({TEXT_CHARS_MAX + 1} characters)"


def test_what_nests_deep_or_in_a_circle_is_cut(stream: io.BytesIO) -> None:
    circle: list[Any] = []
    circle.append(circle)

    make_log(format="json", level="info", stream=stream).info("happened", circle=circle)

    assert _line(stream)["circle"] == [[[["[[...]]"]]]]


@pytest.mark.parametrize(
    ("fact", "written"), [(b"\xff", "b'\\xff'"), (2**80, str(2**80)), ("\ud800", "?"), (float("nan"), None)]
)
def test_what_json_cannot_hold_is_written_all_the_same(
    stream: io.BytesIO, fact: object, written: object
) -> None:
    make_log(format="json", level="info", stream=stream).info("happened", fact=fact)

    assert _line(stream)["fact"] == written


@pytest.fixture
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = before, level


@pytest.mark.usefixtures("_root_logger")
def test_what_libraries_warn_of_comes_as_a_line_of_ours(stream: io.BytesIO) -> None:
    forward_stdlib(make_log(format="json", level="info", stream=stream))

    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("odd: %s", "whsec_hunter2hunter2")

    facts = _line(stream)
    assert facts["event"] == "some.library has something to say"
    assert facts["said"] == "odd: whsec_***"
    assert facts["level"] == "warning"


@pytest.mark.usefixtures("_root_logger")
def test_a_librarys_exception_keeps_its_traceback(stream: io.BytesIO) -> None:
    forward_stdlib(make_log(format="json", level="info", stream=stream))

    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")

    assert "ValueError: broken" in _line(stream)["exception"]


@pytest.mark.usefixtures("_root_logger")
def test_a_library_that_says_the_same_again_but_for_its_numbers_is_heard_once(stream: io.BytesIO) -> None:
    forward_stdlib(make_log(format="json", level="info", stream=stream))

    for number in range(50):
        logging.getLogger("some.library").warning("broker %d is away (after %d ms)", 1, number)
    logging.getLogger("some.library").warning("something else")

    said = [orjson.loads(line)["said"] for line in stream.getvalue().splitlines()]
    assert said == ["broker 1 is away (after 0 ms)", "something else"]


@pytest.mark.usefixtures("_root_logger")
def test_what_is_remembered_of_libraries_is_bounded(stream: io.BytesIO) -> None:
    handler = forward_stdlib(make_log(format="json", level="info", stream=stream))
    assert isinstance(handler, Forward)

    for number in range(REPEATS_MAX + 50):
        logging.getLogger("some.library").warning("x" * (number + 1))

    assert handler.remembered == REPEATS_MAX
