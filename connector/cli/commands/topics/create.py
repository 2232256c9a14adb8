"""``topics create``: make the connector's own topics, once, before workers that may not."""

from __future__ import annotations

import argparse

from connector.cli.commands.topics._overview import add_flags, answer, overview_of
from connector.cli.exits import Exit
from connector.cli.printing import print_json, print_problem

HELP = "create the connector's own topics that are missing"

DESCRIPTION = """\
Creates what the subscriptions need and the cluster does not have, and prints what it made. It asks nothing
and changes no topic that exists; what is wrong with one is told, with the command that mends it. Workers do
the same at their start unless own_topics.create is false.
"""

EPILOGUE = """\
examples:
  webhook-connector topics create --config settings.yaml
  webhook-connector topics create --bootstrap-servers localhost:9092 --topic post.created \\
      --allow-single-replica

exit codes:
  0   everything that is needed exists and is as it must be
  1   something could not be created, or is not as it must be
  2   the command line or the settings cannot be used
  3   Kafka did not answer
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EPILOGUE
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    overview = overview_of(args)
    created = answer(overview.create())
    login = overview.tool_login(created.problems)
    if args.json:
        print_json({"created": created.made, "problems": created.problems, "tool_login": login})
    else:
        for name in created.made:
            print(f"created {name}")
        if not created.made and not created.problems:
            print("nothing to create: everything that is needed exists")
        for problem in created.problems:
            print_problem(str(problem))
        if login:
            print_problem(login)
    return Exit.PROBLEMS if created.problems else Exit.OK
