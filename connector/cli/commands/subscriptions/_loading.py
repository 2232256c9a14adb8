"""What the actions on the subscriptions file share: their flags, and the file read by the settings' rules."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from connector.cli.exits import CommandFailed, Exit
from connector.cli.printing import add_json_flag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connector.core.subscription import Subscription
    from connector.settings import Settings
    from connector.subscriptions.file import Loaded


def add_file(parser: argparse.ArgumentParser) -> None:
    """``FILE``, ``--json`` and the settings' flags."""
    from connector.settings.flags import add_settings_flags

    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help="instead of the settings' one")
    add_json_flag(parser)
    add_settings_flags(parser)


def chosen_file(args: argparse.Namespace, settings: Settings) -> Path:
    """The file named on the command line, else the settings' one."""
    file: Path = args.file or settings.subscriptions_file
    return file


def sound_subscriptions(file: Path, settings: Settings) -> Sequence[Subscription]:
    """Raises :class:`CommandFailed` for all that would keep the connector from starting."""
    from connector.declared.problem import Mistakes

    try:
        return load_sound(file, settings).subscriptions
    except Mistakes as mistakes:
        raise CommandFailed(Exit.PROBLEMS, str(mistakes)) from None


def load_sound(file: Path, settings: Settings) -> Loaded:
    """Raises :class:`Mistakes` for all that would keep the connector from starting."""
    from connector.core.view import Doubted, next_view
    from connector.declared.problem import Mistakes, Problem
    from connector.settings.subscription_rules import known_types, subscription_rules
    from connector.subscriptions.file import Unusable, load_subscriptions

    result = load_subscriptions(file, subscription_rules(settings, known_types=known_types(settings)))
    if isinstance(result, Unusable):
        raise result.mistakes
    first = next_view(None, result.subscriptions, may_shrink=False)
    if isinstance(first, Doubted):
        raise Mistakes([Problem(place=str(file), text=first.why)])
    return result
