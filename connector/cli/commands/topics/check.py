"""``topics check``: every problem with a topic, and the command that mends it."""

from __future__ import annotations

import argparse

from connector.cli.commands.topics._overview import add_flags, answer, overview_of
from connector.cli.exits import Exit
from connector.cli.printing import print_json

HELP = "name everything wrong with a topic and the command that mends it"

DESCRIPTION = """\
Looks whether the topics to be read can be, and whether the connector's own exist and are as they must be:
retention, cleanup policy, timestamps, record size, partitions, replicas. Changes nothing.
"""

EPILOGUE = """\
examples:
  webhook-connector topics check --config settings.yaml
  webhook-connector topics check --config settings.yaml --json

exit codes:
  0   nothing is wrong
  1   something is wrong
  2   the command line or the settings cannot be used
  3   Kafka did not answer
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EPILOGUE
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    overview = overview_of(args)
    problems = answer(overview.problems())
    login = overview.tool_login(problems)
    if args.json:
        print_json({"problems": problems, "tool_login": login})
    elif problems:
        for problem in problems:
            print(f"{problem.topic}: {problem.what}.\n  Mend it with: {problem.cure}")
        if login:
            print(login)
    else:
        print("nothing is wrong")
    return Exit.PROBLEMS if problems else Exit.OK
