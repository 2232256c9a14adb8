"""Numbers drawn as text: bars, sparklines, and deliveries on their way through a tier."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

_LEVELS = " ▁▂▃▄▅▆▇█"
_TOP = len(_LEVELS) - 1

Part = tuple[int, str, str]
"""A count, the character that shows it, and its style."""


def stacked(parts: Sequence[Part], width: int) -> Text:
    """Shares of a whole, ``width`` cells wide. Whatever is not nothing gets at least one cell."""
    total = sum(count for count, _, _ in parts)
    bar = Text()
    if not total:
        return bar.append("·" * width, "dim")
    cells = [max(1, count * width // total) if count else 0 for count, _, _ in parts]
    # What rounding took or gave is the largest part's to bear: there it shows least.
    largest = max(range(len(parts)), key=lambda index: cells[index])
    cells[largest] += width - sum(cells)
    for (_, char, style), length in zip(parts, cells, strict=True):
        bar.append(char * length, style)
    return bar


def filled(count: int, of: int, width: int, *, style: str) -> Text:
    """How much of a whole is done."""
    done = count * width // of if of else 0
    return Text("━" * done, style).append("─" * (width - done), "dim")


def spark(values: Sequence[int], width: int, *, style: str) -> Text:
    """The last ``width`` values as columns, the highest of them full."""
    shown = list(values[-width:])
    top = max(shown, default=0)
    columns = "".join(_LEVELS[max(1, _level(value, top))] for value in shown)
    return Text(columns.rjust(width), style)


def lane(on_the_way: Sequence[float], width: int, *, style: str) -> Text:
    """Who is how far along, left to right; the higher a column the more are there."""
    counts = [0] * width
    for part in on_the_way:
        counts[min(width - 1, max(0, int(part * width)))] += 1
    top = max(8, *counts)
    line = Text()
    for count in counts:
        line.append(_LEVELS[max(1, _level(count, top))] if count else "·", style if count else "dim")
    return line


def _level(value: int, top: int) -> int:
    return -(-value * _TOP // top) if top else 0
