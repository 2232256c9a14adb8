"""``subscriptions reset``: have every worker forget what was learnt of an endpoint."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from connector.cli.commands.subscriptions._shared import add_ids, ask, why, workers_in_words
from connector.cli.exits import CommandFailed, Exit
from connector.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from connector.app.shared_news import SharedView

HELP = "have the workers forget what they learnt of an endpoint and try it at once"

DESCRIPTION = """\
Tells every worker to forget what was learnt of these endpoints: an open breaker, Retry-After, failures in a
row, the pace, and that a subscription was disabled. They hear it within a second, and what comes from then
on is sent at once. Deliveries that wait in a retry topic already come when they are due there. What an
endpoint cannot take will fail again, and be learnt again.
"""

EPILOGUE = """\
examples:
  webhook-connector subscriptions reset partner-7 --config settings.yaml
  webhook-connector subscriptions reset --all --config settings.yaml

exit codes:
  0   told: the broker has it, and whoever runs or starts acts by it
  1   the subscriptions file holds mistakes, or there is no shared topic
  2   no such subscription, none named, or the settings cannot be used
  3   Kafka did not answer; nothing, or not all of it, was told
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EPILOGUE
    parser.add_argument(
        "--all", action="store_true", help="every subscription that is open, held off or disabled"
    )
    add_ids(parser, help="these subscriptions")


def run(args: argparse.Namespace) -> int:
    if bool(args.ids) == args.all:
        raise CommandFailed(Exit.USAGE, "name the subscriptions to be reset, or say --all")
    view = ask(args, lambda news, subscriptions: news.reset(subscriptions, only_trouble=args.all))
    if args.json:
        print_json(
            {
                "workers": [one.worker for one in view.alive],
                "reset": [
                    {"id": one.subscription_id, "was": one.state, "why": why(one)} for one in view.standings
                ],
            }
        )
    else:
        show(view)
    return Exit.OK


def show(view: SharedView) -> None:
    """Print what was forgotten, and when it shows."""
    if not view.standings:
        print("Nothing is known against any subscription: there is nothing to forget.")
        return
    rows = [(one.subscription_id, one.state, why(one)) for one in view.standings]
    print_table(("RESET", "WAS", "WHY"), rows)
    print()
    if view.alive:
        print(f"{workers_in_words(view)}. Deliveries are sent again within a second.")
    else:
        print(f"{workers_in_words(view)}; this holds from when one starts.")
    print("What waits in a retry topic already comes when it is due there.")
