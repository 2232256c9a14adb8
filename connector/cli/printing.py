"""Results on standard output: a table for people, or JSON for programs. Problems go to standard error."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence

import orjson


def add_json_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def print_json(result: object) -> None:
    """``result`` as indented JSON."""
    print(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows under headings, folded to a terminal's width; outside of one, never cut or folded."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 10_000
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)


def print_problem(text: str) -> None:
    """One line for people, beside the result."""
    print(text, file=sys.stderr)
