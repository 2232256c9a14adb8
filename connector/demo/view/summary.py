"""What is left on the terminal when the demo is over: the endpoints, the verdict, where to look further."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from connector.demo.audit import Finding
from connector.demo.picture import Picture
from connector.demo.view import sections

PLAIN_CELLS = 100


def print_summary(console: Console, picture: Picture, findings: Sequence[Finding], folder: Path) -> None:
    """Endpoints, dead letters, every finding, and the verdict in one line."""
    width = console.width - 1 if console.is_terminal else PLAIN_CELLS
    lines = [
        Text(),
        *sections.endpoints(picture, width),
        Text(),
        *sections.dead_letters(picture, width, recent_max=0),
        Text(),
        *(_finding(each) for each in findings),
        Text(),
        _verdict(picture, findings),
        Text(f"The connector's log and the subscriptions file are in {folder}", "dim"),
    ]
    for line in lines:
        line.rstrip()
        console.print(line, soft_wrap=True, highlight=False)


def _finding(finding: Finding) -> Text:
    mark = Text("✓ ", sections.GOOD) if finding.is_good else Text("✗ ", f"bold {sections.BAD}")
    style = "default" if finding.is_good else sections.BAD
    return mark.append(f"{finding.what}: ").append(finding.detail, style)


def _verdict(picture: Picture, findings: Sequence[Finding]) -> Text:
    bad = [each.what for each in findings if not each.is_good]
    if bad:
        return Text(f"FAILED: not so: {', '.join(bad)}", f"bold {sections.BAD}")
    text = (
        f"OK: {picture.written:,} records written, nothing lost, every signature verified, "
        f"in {picture.elapsed_s:.0f} s"
    )
    return Text(text, f"bold {sections.GOOD}")
