"""How a command can end, as the number that scripts see."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    """Done, and nothing is wrong."""
    PROBLEMS = 1
    """Done, and something is wrong with what was looked at."""
    USAGE = 2
    """Not begun: the command line or the settings cannot be used."""
    UNREACHABLE = 3
    """Not done: Kafka, the schema registry or an endpoint did not answer."""
    INTERNAL = 70
    """A fault of this program."""
    INTERRUPTED = 130
    """Ended by Ctrl-C."""


class CommandFailed(Exception):
    """Ends a command with one or more lines for the person who typed it, instead of a traceback."""

    def __init__(self, exit: Exit, text: str) -> None:
        super().__init__(text)
        self.exit = exit


EXIT_CODES = """\
exit codes:
  0   done, nothing is wrong
  1   done, and something is wrong with what was looked at
  2   the command line or the settings cannot be used
  3   Kafka, the schema registry or an endpoint did not answer
  70  a fault of this program
"""
