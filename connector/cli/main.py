"""Reads the command line, runs one command, and turns whatever comes of it into an exit code."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType

from connector import __version__
from connector.cli import commands
from connector.cli.exits import EXIT_CODES, CommandFailed, Exit


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in ``argv`` (the process's own by default) and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="webhook-connector",
        description="Kafka events in, signed webhooks out, nothing lost in between.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    command = _add_commands(parser, commands, argv)
    try:
        args = parser.parse_args(argv)
    except SystemExit as ended:  # argparse has said why
        return ended.code if isinstance(ended.code, int) else Exit.USAGE
    assert command is not None  # argparse lets nothing else through
    return _run(command, args)


def _add_commands(
    parser: argparse.ArgumentParser, package: ModuleType, argv: Sequence[str]
) -> ModuleType | None:
    """Add the commands of ``package``; the module of the one that ``argv`` names, if it names one.

    When one is named the others are not imported: they are added by name alone, for error messages.
    """
    names = _names(package)
    position = next((index for index, word in enumerate(argv) if not word.startswith("-")), len(argv))
    wanted = argv[position] if position < len(argv) and argv[position] in names else None
    choices = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    found = None
    for name in names:
        if wanted not in (None, name):
            choices.add_parser(name)
            continue
        module = importlib.import_module(f"{package.__name__}.{name.replace('-', '_')}")
        own = choices.add_parser(
            name,
            help=module.HELP,
            description=module.HELP[:1].upper() + module.HELP[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name != wanted:
            continue
        if hasattr(module, "__path__"):
            own.epilog = f"examples:\n{module.EXAMPLES}"
            found = _add_commands(own, module, argv[position + 1 :])
        else:
            module.add(own)
            found = module
    return found


def _names(package: ModuleType) -> list[str]:
    modules = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name.replace("_", "-") for name in modules if not name.startswith("_"))


def _run(command: ModuleType, args: argparse.Namespace) -> int:
    from connector.settings import SettingsError

    # What libraries log belongs into the log of a running connector, not between a command's results.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        code: int = command.run(args)
        sys.stdout.flush()
        return code
    except SettingsError as error:
        print(error, file=sys.stderr)
        return Exit.USAGE
    except CommandFailed as failed:
        print(failed, file=sys.stderr)
        return failed.exit
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough, as "| head" does; what is still to be flushed goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except Exception:
        traceback.print_exc()
        return Exit.INTERNAL
