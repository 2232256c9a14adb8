"""``subscriptions status`` and ``reset``: what they say, and how they end; the rest needs a real Kafka."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from connector.app.shared_news import SharedView
from connector.cli.commands.subscriptions import reset, status
from connector.cli.exits import Exit
from connector.cli.main import main
from connector.core.breaker import RETRY_AFTER, BreakerSnapshot
from connector.core.disabling import NEVER_MS, Disabled
from connector.core.sharing import Fault, WorkerNews
from connector.core.standing import Standing
from tests.support.subscription_files import file_of

NOW_MS = 1_780_300_000_000  # 2026-06-01T07:46:40Z
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
WORKER = WorkerNews(worker="web-1", at_ms=NOW_MS, parking_number=0, is_leaving=False)


def breaker(why: str, *, until_ms: int) -> BreakerSnapshot:
    return BreakerSnapshot(
        state="open",
        until_ms=until_ms,
        cool_down_ms=30_000,
        failures=5,
        why=why,
        opened_ms=NOW_MS - MINUTE_MS,
    )


def standing(id_: str, **changes: Any) -> Standing:
    well: dict[str, Any] = {
        "subscription_id": id_,
        "shown_url": f"https://receiver.example/{id_}",
        "is_paused": False,
        "breaker": BreakerSnapshot(state="closed", until_ms=0, cool_down_ms=30_000, failures=0, why=""),
        "disabled": None,
        "failing_since_ms": 0,
        "failed_attempts": 0,
        "backlog": "none",
        "cursor": {},
        "parking": (),
        "told_by": "web-1",
        "told_at_ms": NOW_MS,
        "reset_at_ms": 0,
    }
    return Standing(**(well | changes))


OPEN = standing(
    "open",
    breaker=breaker("connect", until_ms=NOW_MS + 28_000),
    failing_since_ms=NOW_MS - 5 * MINUTE_MS,
    failed_attempts=37,
)
DUE = standing("due", breaker=breaker("http-500", until_ms=NOW_MS - 1))
HELD_OFF = standing("asked", breaker=breaker(RETRY_AFTER, until_ms=NOW_MS + 59 * MINUTE_MS))
DISABLED = standing(
    "disabled",
    disabled=Disabled(since_ms=NOW_MS - 5 * DAY_MS, why="Gone.\x1b[2J", probes_at_ms=NOW_MS + 24 * HOUR_MS),
    backlog="parked",
)
PAUSED = standing("paused", is_paused=True)
RESUMED = standing("resumed", backlog="replaying", cursor={1: 40, 0: 12})
WELL = standing("well")


def view_of(*standings: Standing, alive: Sequence[WorkerNews] = (WORKER,)) -> SharedView:
    return SharedView(now_ms=NOW_MS, alive=alive, standings=standings, faults=())


def test_what_is_in_trouble_is_shown_with_what_happens_next_and_the_rest_is_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    view = view_of(WELL, OPEN, PAUSED, DISABLED, HELD_OFF, DUE, RESUMED)

    status.show(view, config=None, are_named=False)

    said = capsys.readouterr()
    assert [" ".join(line.split()) for line in said.out.splitlines()] == [
        "1 worker is alive: web-1.",
        "",
        "ID STATE SINCE UNTIL BACKLOG WHY",
        "disabled disabled 2026-05-27T07:46:40Z (5 days ago) 2026-06-02T07:46:40Z (in 24 h) "
        "parked Gone.\\x1b[2J",
        "asked held off 2026-06-01T07:45:40Z (60 s ago) 2026-06-01T08:45:40Z (in 59 min) "
        "it said so itself, by Retry-After",
        "open open 2026-06-01T07:41:40Z (5 min ago) 2026-06-01T07:47:08Z (in 28 s) "
        "connect (37 failed attempts in a row)",
        "due open 2026-06-01T07:45:40Z (60 s ago) now: the next delivery tries it http-500",
        "paused paused paused in the subscriptions file",
        "resumed well replaying, so far 0:12 1:40",
        "",
        "disabled: deliveries are parked; after UNTIL one tries it, and enables it again if it is accepted.",
        "held off: deliveries wait in the retry topics until then, as it asked; then one tries it.",
        "open: deliveries wait in the retry topics; after UNTIL one tries it, and if it is accepted all go.",
        "paused: deliveries are parked until it is resumed in the subscriptions file.",
        "Nothing is known against the other 1 subscription(s).",
        "",
        "When an endpoint is mended, have it tried at once:",
        "webhook-connector subscriptions reset disabled asked open due",
    ]
    assert status.exit_code(view) == Exit.PROBLEMS


def test_what_is_gone_for_good_is_told_to_wait_for_a_reset(capsys: pytest.CaptureFixture[str]) -> None:
    gone = replace(DISABLED, disabled=Disabled(since_ms=NOW_MS, why="Gone.", probes_at_ms=NEVER_MS))

    status.show(view_of(gone), config=None, are_named=False)
    shown = status.as_json(view_of(gone))["subscriptions"][0]["disabled"]

    assert "it is reset, or gets another URL" in capsys.readouterr().out
    assert shown == {"since_ms": NOW_MS, "why": "Gone.", "probes_at_ms": None}


def test_the_command_to_copy_says_where_the_settings_are_and_names_ten_at_most(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ten = [replace(OPEN, subscription_id=f"s{number}") for number in range(10)]

    status.show(view_of(*ten), config="my settings.yaml", are_named=False)
    names = " ".join(f"s{number}" for number in range(10))
    assert capsys.readouterr().out.endswith(f"reset {names} --config 'my settings.yaml'\n")

    status.show(view_of(*ten, DUE), config=None, are_named=False)
    assert capsys.readouterr().out.endswith("reset --all\n")


def test_when_all_is_well_that_is_all_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    view = view_of(WELL, replace(WELL, subscription_id="fine"))

    status.show(view, config=None, are_named=False)

    assert capsys.readouterr().out == (
        "1 worker is alive: web-1.\nNothing is known against 2 subscription(s).\n"
    )
    assert status.exit_code(view) == Exit.OK


def test_one_that_is_named_is_shown_though_it_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    status.show(view_of(WELL), config=None, are_named=True)

    assert [line.split() for line in capsys.readouterr().out.splitlines()[3:4]] == [["well", "well"]]


def test_a_paused_one_is_nothing_wrong_and_no_worker_at_all_is() -> None:
    assert status.exit_code(view_of(PAUSED, RESUMED)) == Exit.OK
    assert status.exit_code(view_of(WELL, alive=())) == Exit.PROBLEMS


def test_json_tells_all_of_it() -> None:
    view = replace(view_of(RESUMED), faults=[Fault("worker/web-9", "its value is not JSON")])

    told = json.loads(orjson.dumps(status.as_json(view)))

    assert told == {
        "workers": [{"id": "web-1", "heard_at_ms": NOW_MS}],
        "subscriptions": [
            {
                "id": "resumed",
                "url": "https://receiver.example/resumed",
                "state": "well",
                "paused": False,
                "breaker": {
                    "state": "closed", "until_ms": 0, "why": "", "cool_down_ms": 30_000, "failures": 0,
                },
                "disabled": None,
                "failing_since_ms": 0,
                "failed_attempts": 0,
                "backlog": {
                    "state": "replaying", "cursor": {"0": 12, "1": 40}, "parking_workers": [],
                },
                "told_by": "web-1",
                "told_at_ms": NOW_MS,
                "reset_at_ms": 0,
            }
        ],
        "unreadable": [{"key": "worker/web-9", "why": "its value is not JSON"}],
    }  # fmt: skip


def test_a_disabled_one_tells_since_when_why_and_when_it_is_probed() -> None:
    (told,) = json.loads(orjson.dumps(status.as_json(view_of(DISABLED))))["subscriptions"]

    assert told["disabled"] == {
        "since_ms": NOW_MS - 5 * DAY_MS, "why": "Gone.\x1b[2J", "probes_at_ms": NOW_MS + 24 * HOUR_MS,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("duration_ms", "said"),
    [
        (-1, "0 s"),
        (119_999, "119 s"),
        (120_000, "2 min"),
        (2 * HOUR_MS - 1, "119 min"),
        (2 * HOUR_MS, "2 h"),
        (2 * DAY_MS - 1, "47 h"),
        (2 * DAY_MS, "2 days"),
    ],
)
def test_a_span_is_told_in_the_largest_unit_of_which_there_are_two(duration_ms: int, said: str) -> None:
    assert status.span(duration_ms) == said


# ── reset ───────────────────────────────────────────────────────────────────────────────────────


def test_a_reset_says_what_was_forgotten_and_when_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    reset.show(view_of(OPEN, WELL))

    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "RESET WAS WHY",
        "open open connect (37 failed attempts in a row)",
        "well well",
        "",
        "1 worker is alive: web-1. Deliveries are sent again within a second.",
        "What waits in a retry topic already comes when it is due there.",
    ]


def test_a_reset_that_nobody_hears_yet_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    reset.show(view_of(OPEN, alive=()))

    assert "No worker is alive; this holds from when one starts.\n" in capsys.readouterr().out


def test_a_reset_of_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    reset.show(view_of())

    assert "there is nothing to forget" in capsys.readouterr().out


# ── how they end before Kafka is asked, and when it does not answer ─────────────────────────────


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("reset",), 2, "name the subscriptions to be reset, or say --all"),
        (("reset", "a", "--all"), 2, "name the subscriptions to be reset, or say --all"),
        (("reset", "b"), 2, "no subscription is called 'b'; known: a"),
        (("status", "nobody"), 2, "no subscription is called 'nobody'"),
        (("status", "--set", "kafka.properties.partitioner=random"), 2, "is set by the connector"),
        (("status", "--subscriptions", "none.yaml"), 1, "none.yaml"),
        (("status",), 3, "the cluster does not answer"),
        (("reset", "a"), 3, "the cluster does not answer"),
    ],
)
def test_what_keeps_them_from_an_answer_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("connector.kafka.cluster.CALL_TIMEOUT_S", 0.2)
    Path("subscriptions.yaml").write_text(file_of("a"))

    assert main(["subscriptions", *words, "--bootstrap-servers", "127.0.0.1:1"]) == code

    assert message in capsys.readouterr().err


def test_without_a_cluster_they_say_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["subscriptions", "status"]) == 2
    assert "kafka.bootstrap_servers: is missing" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["status", "reset"])
def test_help_shows_examples_and_exit_codes(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["subscriptions", action, "--help"]) == 0

    out = capsys.readouterr().out
    assert f"examples:\n  webhook-connector subscriptions {action} " in out
    assert "exit codes:" in out
