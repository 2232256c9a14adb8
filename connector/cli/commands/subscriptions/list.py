"""``subscriptions list``: each subscription with its defaults filled in, and without its secrets."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from connector.cli.commands.subscriptions._loading import add_file, chosen_file, sound_subscriptions
from connector.cli.exits import Exit
from connector.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from connector.core.subscription import Subscription

HELP = "show each subscription with its defaults filled in"

EPILOGUE = """\
example:
  webhook-connector subscriptions list --config connector.yaml --json

exit codes: 0 done, 1 the file holds mistakes, 2 the settings cannot be used
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOGUE
    add_file(parser)


def run(args: argparse.Namespace) -> int:
    from connector.settings.flags import settings_from

    settings = settings_from(args)
    subscriptions = sound_subscriptions(chosen_file(args, settings), settings)
    if args.json:
        print_json([_as_json(each) for each in subscriptions])
        return Exit.OK
    rows = [
        (
            each.id,
            "paused" if each.paused else "active",
            each.dialect.name,
            " ".join(each.events),
            each.shown_url,
            _ladder(each),
        )
        for each in subscriptions
    ]
    print_table(("ID", "STATE", "DIALECT", "EVENTS", "URL", "LADDER"), rows)
    return Exit.OK


def _as_json(subscription: Subscription) -> dict[str, object]:
    """All but the secrets: of those, and of header values, only that they are there."""
    secrets = subscription.secrets
    return {
        "id": subscription.id,
        "url": subscription.shown_url,
        "events": subscription.events,
        "dialect": subscription.dialect.name,
        "paused": subscription.paused,
        "is_rotating": secrets is not None and secrets.previous is not None,
        "headers": [name for name, _ in subscription.headers],
        "ladder_ms": subscription.ladder_ms,
        "timeout_ms": subscription.timeout_ms,
        "max_age_ms": subscription.max_age_ms,
        "in_flight_max": subscription.in_flight_max,
        "queue_max": subscription.queue_max,
        "rate_per_s": subscription.rate_per_s,
        "final_statuses": sorted(subscription.final_statuses),
        "body_bytes_max": subscription.body_bytes_max,
    }


def _ladder(subscription: Subscription) -> str:
    from connector.core.units import format_duration_ms

    return " ".join(format_duration_ms(delay_ms) for delay_ms in subscription.ladder_ms) or "none"
