"""What ``status`` and ``reset`` share: which subscriptions are meant, and the shared topic they ask."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from connector.cli.commands.subscriptions._loading import sound_subscriptions
from connector.cli.exits import CommandFailed, Exit
from connector.cli.printing import add_json_flag, print_problem, printable

if TYPE_CHECKING:
    from connector.app.shared_news import SharedNews, SharedView
    from connector.core.standing import Standing
    from connector.core.subscription import Subscription

Asking = Callable[["SharedNews", Sequence["Subscription"]], Coroutine[Any, Any, "SharedView"]]


def add_ids(parser: argparse.ArgumentParser, *, help: str) -> None:
    """``ID…``, ``--json`` and the settings' flags."""
    from connector.settings.flags import add_settings_flags

    parser.add_argument("ids", metavar="ID", nargs="*", help=help)
    add_json_flag(parser)
    add_settings_flags(parser)


def ask(args: argparse.Namespace, asking: Asking) -> SharedView:
    """Have ``asking`` ask for the subscriptions named, or for all when none is. Raises
    :class:`CommandFailed` for whatever keeps it from an answer."""
    from connector.app.refusal import Refusal, refusing
    from connector.app.shared_news import SharedNews
    from connector.kafka.errors import KafkaTrouble
    from connector.settings.flags import settings_from

    settings = settings_from(args, needs=("kafka.bootstrap_servers",))
    subscriptions = sound_subscriptions(settings.subscriptions_file, settings)
    chosen = [named(id_, subscriptions) for id_ in dict.fromkeys(args.ids)] or subscriptions
    try:
        with refusing():
            news = SharedNews(settings)
    except Refusal as refusal:
        raise CommandFailed(Exit.USAGE, str(refusal)) from None
    try:
        view = asyncio.run(asking(news, chosen))
    except Refusal as refusal:
        raise CommandFailed(Exit.PROBLEMS, str(refusal)) from None
    except KafkaTrouble as trouble:
        raise CommandFailed(Exit.UNREACHABLE, trouble.what) from None
    for fault in view.faults:
        print_problem(f"warning: news of {printable(fault.key)} cannot be read: {fault.why}")
    return view


def named(id_: str, subscriptions: Sequence[Subscription]) -> Subscription:
    """Raises :class:`CommandFailed`, with the nearest id, when there is none."""
    from connector.declared.explain import nearest

    by_id = {each.id: each for each in subscriptions}
    if id_ not in by_id:
        raise CommandFailed(Exit.USAGE, f"no subscription is called {id_!r}{nearest(id_, by_id)}")
    return by_id[id_]


def workers_in_words(view: SharedView) -> str:
    """How many are alive, and their names."""
    names = ", ".join(printable(one.worker) for one in view.alive)
    match len(view.alive):
        case 0:
            return "No worker is alive"
        case 1:
            return f"1 worker is alive: {names}"
        case count:
            return f"{count} workers are alive: {names}"


def why(standing: Standing) -> str:
    """What its endpoint, or somebody, did; empty when nothing is known."""
    match standing.state:
        case "disabled":
            assert standing.disabled is not None
            return printable(standing.disabled.why)
        case "held off":
            return "it said so itself, by Retry-After"
        case "open":
            count = standing.failed_attempts
            attempts = f" ({count} failed attempts in a row)" if count else ""
            return printable(standing.breaker.why) + attempts
        case "paused":
            return "paused in the subscriptions file"
        case "well":
            return ""
