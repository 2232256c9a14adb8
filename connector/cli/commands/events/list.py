"""``events list``: name all event types, or those of one guide."""

from __future__ import annotations

import argparse

from connector.cli.exits import CommandFailed, Exit
from connector.cli.printing import add_json_flag, print_json, print_table

HELP = "name all event types"

EPILOGUE = """\
example:
  webhook-connector events list --guide bellamy

exit codes: 0 done, 2 there is no such guide
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOGUE
    parser.add_argument("--guide", metavar="DIALECT", help="only the types this guide publishes")
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    from connector.declared.explain import nearest
    from schemas import event_types

    guides = {each for event_type in event_types() for each in event_type.guides}
    guide = args.guide
    if guide is not None and guide not in guides:
        raise CommandFailed(Exit.USAGE, f"no guide is called {guide!r}{nearest(guide, guides)}")
    found = [each for each in event_types() if guide is None or guide in each.guides]
    if args.json:
        print_json(
            [
                {"type": each.name, "domain": each.domain, "guides": each.guides, "doc": each.doc}
                for each in found
            ]
        )
    else:
        rows = [(each.name, ", ".join(each.guides), each.doc) for each in found]
        print_table(("TYPE", "GUIDES", "MEANING"), rows)
    return Exit.OK
