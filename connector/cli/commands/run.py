"""``webhook-connector run``: read events, deliver webhooks, until stopped."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from connector.cli.exits import CommandFailed, Exit
from connector.cli.printing import printable

if TYPE_CHECKING:
    from connector.app.dry_run import WouldSend, WouldWrite

HELP = "read events and deliver webhooks"

DESCRIPTION = """\
Reads events from Kafka topics and delivers them to the endpoints of the subscriptions file as signed
webhooks, until it is stopped. SIGTERM drains and exits 0, a second one hurries; SIGHUP reads the
subscriptions file again. Serves /healthz, /readyz and /metrics.
"""

EPILOGUE = """\
example:
  webhook-connector run --bootstrap-servers kafka:9092 --registry-url http://registry:8081 \\
      --topic post.created --start latest --subscriptions subscriptions.yaml

  webhook-connector run --config connector.yaml --dry-run         shows what would be sent, and sends nothing
  webhook-connector run --config connector.yaml --dry-run --json  the same, one JSON object on each line

exit codes:
  0   stopped when asked to
  2   not started: something must be mended first, and it says what
  3   it could not go on; what it had not settled is read again after a restart
"""


def add(parser: argparse.ArgumentParser) -> None:
    from connector.settings.flags import add_settings_flags

    parser.description, parser.epilog = DESCRIPTION, EPILOGUE
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="decode, match, render and sign, print what would be sent, and send, write and commit nothing",
    )
    parser.add_argument(
        "--json", action="store_true", help="with --dry-run: print one JSON object on each line"
    )
    add_settings_flags(parser)


def run(args: argparse.Namespace) -> int:
    from connector.app.dry_run import run_dry
    from connector.app.process import run_process
    from connector.app.refusal import Failed, Refusal
    from connector.settings.flags import settings_from

    if args.json and not args.dry_run:
        raise CommandFailed(Exit.USAGE, "--json goes with --dry-run; how the log looks is --log-format")
    settings = settings_from(args, needs=("kafka.bootstrap_servers", "topics"))
    try:
        if args.dry_run:
            run_dry(settings, show=_print_json if args.json else _print)
        else:
            run_process(settings)
    except Refusal as refusal:
        raise CommandFailed(Exit.USAGE, str(refusal)) from None
    except Failed as failure:
        raise CommandFailed(Exit.UNREACHABLE, f"stopped because it cannot go on: {failure}") from None
    return Exit.OK


def _print_json(shown: WouldSend | WouldWrite) -> None:
    import orjson

    print(orjson.dumps(shown).decode(), flush=True)


def _print(shown: WouldSend | WouldWrite) -> None:
    from connector.app.dry_run import WouldSend

    whose = f" for {shown.subscription}" if shown.subscription else ""
    where = f"to {shown.url}" if isinstance(shown, WouldSend) else f"a letter to {shown.topic}"
    lines = [f"{shown.record}{whose}: would {shown.would} {where}"]
    lines += [f"  {name}: {value}" for name, value in shown.headers.items()]
    if isinstance(shown, WouldSend):
        lines.append(f"  {shown.body}")
    print(printable("\n".join(lines)), flush=True)
