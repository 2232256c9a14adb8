"""Results on standard output: a table for people, or JSON for programs. Problems go to standard error."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterable, Sequence
from io import StringIO
from itertools import zip_longest

import orjson

WIDE_COLUMNS = 10_000
"""The width of a table that no terminal shows: no line of ours is longer."""


def add_json_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def print_json(result: object) -> None:
    """``result`` as indented JSON."""
    print(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode())


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, styles: Iterable[str] = ()
) -> None:
    """Rows under headings, folded to a terminal's width; outside of one, never cut, folded or coloured.
    ``styles`` are rich's names for how each row looks."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row, style in zip_longest(rows, styles):
        table.add_row(*row, style=style)
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else WIDE_COLUMNS
    # Drawn into a text and then printed, so that a reader who leaves early is met where all output is.
    drawn = StringIO()
    console = Console(
        file=drawn, width=width, force_terminal=is_terminal, highlight=False, markup=False, emoji=False
    )
    console.print(table)
    for line in drawn.getvalue().splitlines():
        print(line.rstrip())


def printable(text: str) -> str:
    """``text`` from strangers, for a terminal: what is not printable could command it."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def print_problem(text: str) -> None:
    """One line for people, beside the result."""
    print(text, file=sys.stderr)
