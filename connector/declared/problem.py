"""One mistake in what was declared: where it stands, what it is about, what is wrong and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""The way to a value from the top: names of members and positions in lists."""


SHOWN_MAX = 50
"""A broken template breaks every subscription alike; more lines tell nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """``place`` is ``file:line:column``, ``environment NAME`` or ``flag --name``.

    ``text`` says what is wrong and what would do; it never holds a secret.
    """

    place: str
    path: Path = ()
    text: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, path_text(self.path), self.text) if part)


class Mistakes(ValueError):
    """What was declared cannot be used. ``problems`` are all that were found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        assert problems
        self.problems = tuple(problems)
        shown = [str(problem) for problem in self.problems[:SHOWN_MAX]]
        if len(self.problems) > SHOWN_MAX:
            shown.append(f"and {len(self.problems) - SHOWN_MAX} more")
        super().__init__("\n".join(shown))


def path_text(path: Path) -> str:
    """``("topics", 2, "type")`` as ``topics[2].type``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
