"""Reading a subscriptions file: whole, checked and built, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from connector.core.subscription import Subscription
from connector.declared.document import read_document
from connector.declared.problem import Mistakes, Problem
from connector.subscriptions.build import Rules, build
from connector.subscriptions.form import formed


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A sound file. ``files`` are the secret files it names."""

    subscriptions: tuple[Subscription, ...]
    warnings: tuple[Problem, ...] = ()
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A file that says nothing certain. ``files`` are those it names, as far as it could be read: when one of
    them changes, the file may become sound."""

    mistakes: Mistakes
    files: tuple[Path, ...] = ()


def load_subscriptions(file: Path, rules: Rules) -> Loaded | Unusable:
    """Read ``file`` and all the secrets it names. Blocks on the disk; every problem is told at once, in
    order."""
    try:
        document = read_document(file)
        form = formed(document)
    except Mistakes as mistakes:
        return Unusable(mistakes=mistakes)
    built = build(form, document, rules, folder=file.parent)
    problems = sorted((*form.problems, *built.problems), key=_position)
    if problems:
        return Unusable(mistakes=Mistakes(problems), files=built.files)
    return Loaded(subscriptions=built.subscriptions, warnings=built.warnings, files=built.files)


def _position(problem: Problem) -> tuple[int, int]:
    _, line, column = problem.place.rsplit(":", 2)
    return int(line), int(column)
