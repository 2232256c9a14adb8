"""``subscriptions status``: what the workers know of each endpoint, and what happens next."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from connector.cli.commands.subscriptions._shared import add_ids, ask, why, workers_in_words
from connector.cli.exits import Exit
from connector.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from connector.app.shared_news import SharedView
    from connector.core.disabling import Disabled
    from connector.core.standing import Standing, State

HELP = "show what the workers know of each endpoint, and what happens next"

DESCRIPTION = """\
Reads what the workers have told one another and shows which endpoints are left alone for a while, disabled
or paused, since when, until when and why, and where a backlog is kept. Subscriptions that nothing is known
against are only counted, unless they are named. It changes nothing. A worker is alive that is heard of while
this listens: a second mostly, 5 s at most.

  open       its breaker: it failed too often in a row, and is left alone until its cool-down is over
  held off   it asked to be left alone, by Retry-After
  disabled   it has failed for days; what it gets is parked, and a probe now and then tries it
  paused     on purpose, in the subscriptions file; what it gets is parked
"""

EPILOGUE = """\
examples:
  webhook-connector subscriptions status --config settings.yaml
  webhook-connector subscriptions status partner-7 --config settings.yaml --json

exit codes:
  0   nothing is wrong: every endpoint shown gets its deliveries, or is paused
  1   an endpoint is left alone or disabled, no worker is alive, the file holds mistakes, or there is
      no shared topic
  2   there is no such subscription, or the settings cannot be used
  3   Kafka did not answer
"""

NAMES_MAX = 10
"""Ids named in a command to copy; more are all of them."""

_WORST_FIRST: tuple[State, ...] = ("disabled", "held off", "open", "paused", "well")
_STYLES: dict[State, str] = {"disabled": "red", "held off": "yellow", "open": "yellow", "paused": "cyan"}
_WHAT_HAPPENS: dict[State, str] = {
    "open": "deliveries wait in the retry topics; after UNTIL one tries it, and if it is accepted all go",
    "held off": "deliveries wait in the retry topics until then, as it asked; then one tries it",
    "disabled": "deliveries are parked; after UNTIL one tries it, and enables it again if it is accepted",
    "paused": "deliveries are parked until it is resumed in the subscriptions file",
}


def add(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EPILOGUE
    add_ids(parser, help="only these subscriptions; all by default")


def run(args: argparse.Namespace) -> int:
    view = ask(args, lambda news, subscriptions: news.view(subscriptions))
    if args.json:
        print_json(as_json(view))
    else:
        show(view, config=args.config and str(args.config), are_named=bool(args.ids))
    return exit_code(view)


def exit_code(view: SharedView) -> Exit:
    is_well = bool(view.alive) and not any(one.has_trouble for one in view.standings)
    return Exit.OK if is_well else Exit.PROBLEMS


def show(view: SharedView, *, config: str | None, are_named: bool) -> None:
    """Print the table, what happens by itself, and the command for what does not. ``config`` is the settings
    file that was named; subscriptions that are well are only shown when they ``are_named``."""
    shown = [one for one in view.standings if are_named or one.state != "well" or one.backlog != "none"]
    shown.sort(key=lambda one: _WORST_FIRST.index(one.state))
    print(f"{workers_in_words(view)}.")
    if not view.alive:
        print("Nothing is delivered until one runs; what is below is what was known last.")
    if shown:
        print()
        _print_standings(shown, view.now_ms)
        print()
        for state in dict.fromkeys(one.state for one in shown):
            if state in _WHAT_HAPPENS:
                print(f"{state}: {_WHAT_HAPPENS[state]}.")
    if rest := len(view.standings) - len(shown):
        print(f"Nothing is known against {'the other ' if shown else ''}{rest} subscription(s).")
    if trouble := [one.subscription_id for one in shown if one.has_trouble]:
        names = trouble if len(trouble) <= NAMES_MAX else ["--all"]
        settings = ["--config", config] if config else []
        command = shlex.join(["webhook-connector", "subscriptions", "reset", *names, *settings])
        print(f"\nWhen an endpoint is mended, have it tried at once:\n  {command}")


def _print_standings(standings: Sequence[Standing], now_ms: int) -> None:
    print_table(
        ("ID", "STATE", "SINCE", "UNTIL", "BACKLOG", "WHY"),
        [
            (
                one.subscription_id,
                one.state,
                _ago(_since_ms(one), now_ms),
                _ahead(_until_ms(one), now_ms),
                _backlog(one),
                why(one),
            )
            for one in standings
        ],
        styles=[_STYLES.get(one.state, "") for one in standings],
    )


def _since_ms(standing: Standing) -> int:
    """When the state began, as far as it is known (Unix); 0 when it is not."""
    if standing.disabled is not None:
        return standing.disabled.since_ms
    if standing.breaker.state == "open":
        return standing.failing_since_ms or max(standing.breaker.opened_ms, 0)
    return 0


def _until_ms(standing: Standing) -> int:
    """Before when nothing is sent (Unix); 0 when nothing keeps it."""
    if standing.disabled is not None:
        return standing.disabled.probes_at_ms
    return standing.breaker.until_ms if standing.breaker.state == "open" else 0


def _ago(at_ms: int, now_ms: int) -> str:
    return f"{_time(at_ms)} ({span(now_ms - at_ms)} ago)" if at_ms else ""


def _ahead(at_ms: int, now_ms: int) -> str:
    if not at_ms:
        return ""
    if at_ms == _never_ms():
        return "it is reset, or gets another URL"
    if at_ms <= now_ms:
        return "now: the next delivery tries it"
    return f"{_time(at_ms)} (in {span(at_ms - now_ms)})"


def _never_ms() -> int:
    from connector.core.disabling import NEVER_MS

    return NEVER_MS


def _backlog(standing: Standing) -> str:
    if standing.backlog == "none":
        return ""
    cursor = " ".join(f"{partition}:{offset}" for partition, offset in sorted(standing.cursor.items()))
    is_begun = standing.backlog == "replaying" and cursor
    return f"replaying, so far {cursor}" if is_begun else standing.backlog


def span(duration_ms: int) -> str:
    """About how long, in the largest unit of which there are two: ``119 min``, ``47 h``, ``5 days``."""
    for unit, unit_ms in (("days", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if duration_ms >= 2 * unit_ms:
            return f"{duration_ms // unit_ms} {unit}"
    return f"{max(duration_ms, 0) // 1_000} s"


def _time(at_ms: int) -> str:
    from connector.core.times import iso_time

    return iso_time(at_ms * 1_000, 0).decode()


def as_json(view: SharedView) -> dict[str, Any]:  # Any: JSON
    return {
        "workers": [{"id": one.worker, "heard_at_ms": one.at_ms} for one in view.alive],
        "subscriptions": [_as_json(one) for one in view.standings],
        "unreadable": [{"key": one.key, "why": one.why} for one in view.faults],
    }


def _as_json(standing: Standing) -> dict[str, Any]:  # Any: JSON
    breaker = standing.breaker
    return {
        "id": standing.subscription_id,
        "url": standing.shown_url,
        "state": standing.state,
        "paused": standing.is_paused,
        "breaker": {
            "state": breaker.state,
            "until_ms": breaker.until_ms,
            "why": breaker.why,
            "cool_down_ms": breaker.cool_down_ms,
            "failures": breaker.failures,
        },
        "disabled": standing.disabled and _disabled(standing.disabled),
        "failing_since_ms": standing.failing_since_ms,
        "failed_attempts": standing.failed_attempts,
        "backlog": {
            "state": standing.backlog,
            "cursor": {str(partition): offset for partition, offset in sorted(standing.cursor.items())},
            "parking_workers": standing.parking,
        },
        "told_by": standing.told_by,
        "told_at_ms": standing.told_at_ms,
        "reset_at_ms": standing.reset_at_ms,
    }


def _disabled(disabled: Disabled) -> dict[str, Any]:  # Any: JSON
    is_probed = disabled.probes_at_ms != _never_ms()
    return {
        "since_ms": disabled.since_ms,
        "why": disabled.why,
        "probes_at_ms": disabled.probes_at_ms if is_probed else None,
    }
