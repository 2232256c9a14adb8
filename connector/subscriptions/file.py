"""Reading a subscriptions file: whole, checked and built, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from connector.core.subscription import Subscription
from connector.declared.document import Document, read_document
from connector.declared.explain import explain
from connector.declared.problem import Mistakes, Problem
from connector.subscriptions.build import Rules, build
from connector.subscriptions.model import SubscriptionsFile


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
    """Read ``file`` and all the secrets it names. Blocks on the disk; every problem is told at once."""
    try:
        document = read_document(file)
        declared = _declared(document)
    except Mistakes as mistakes:
        return Unusable(mistakes=mistakes)
    built = build(declared, document, rules, folder=file.parent)
    if built.problems:
        return Unusable(mistakes=Mistakes(built.problems), files=built.files)
    return Loaded(subscriptions=built.subscriptions, warnings=built.warnings, files=built.files)


def _declared(document: Document) -> SubscriptionsFile:
    values = document.values
    if values is None:
        values = {"subscriptions": []}  # an empty file is judged as an empty set, not as a broken one
    if not isinstance(values, dict):
        text = "must begin with 'subscriptions:' and list them below it"
        raise Mistakes([Problem(place=document.place(()), text=text)])
    if "subscriptions" in values and values["subscriptions"] is None:
        values = {**values, "subscriptions": []}
    try:
        return SubscriptionsFile.model_validate(values)
    except ValidationError as error:
        problems = explain(
            error, SubscriptionsFile, document.place, how_to_set=lambda path: f"add '{path[-1]}:' here"
        )
        raise Mistakes(problems) from None
