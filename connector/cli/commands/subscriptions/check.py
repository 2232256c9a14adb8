"""``subscriptions check``: every mistake in the file, with its line and cure."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from connector.cli.commands.subscriptions._loading import add_file, chosen_file, load_sound
from connector.cli.exits import Exit
from connector.cli.printing import print_json, print_problem

if TYPE_CHECKING:
    from connector.declared.problem import Problem

HELP = "name every mistake with its line and cure; exit 1 if there is one"

EPILOGUE = """\
example:
  webhook-connector subscriptions check subscriptions.yaml

exit codes: 0 the file is sound, 1 it holds mistakes, 2 the settings cannot be used
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOGUE
    add_file(parser)


def run(args: argparse.Namespace) -> int:
    from connector.declared.problem import Mistakes
    from connector.settings.flags import settings_from

    settings = settings_from(args)
    file = chosen_file(args, settings)
    count = 0
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    try:
        loaded = load_sound(file, settings)
        count, warnings = len(loaded.subscriptions), loaded.warnings
    except Mistakes as mistakes:
        problems = mistakes.problems
    if args.json:
        print_json(
            {
                "file": str(file),
                "subscriptions": count,
                "problems": [_as_json(each) for each in problems],
                "warnings": [_as_json(each) for each in warnings],
            }
        )
    else:
        for problem in problems:
            print_problem(str(problem))
        for warning in warnings:
            print_problem(f"warning: {warning}")
        if not problems:
            print(f"{file}: {count} subscriptions, no mistakes")
    return Exit.PROBLEMS if problems else Exit.OK


def _as_json(problem: Problem) -> dict[str, str]:
    from connector.declared.problem import path_text

    return {"place": problem.place, "path": path_text(problem.path), "text": problem.text}
