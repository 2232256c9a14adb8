"""What the actions on topics share: their flags, and the topics as settings and subscriptions want them."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from connector.cli.commands.subscriptions._loading import sound_subscriptions
from connector.cli.exits import CommandFailed, Exit
from connector.cli.printing import add_json_flag

if TYPE_CHECKING:
    from connector.app.topic_overview import TopicOverview

T = TypeVar("T")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """``--json`` and the settings' flags."""
    from connector.settings.flags import add_settings_flags

    add_json_flag(parser)
    add_settings_flags(parser)


def overview_of(args: argparse.Namespace) -> TopicOverview:
    """Raises :class:`CommandFailed` for a subscriptions file that is not sound: it names the tiers."""
    from connector.app.refusal import Refusal, refusing
    from connector.app.topic_overview import TopicOverview
    from connector.settings.flags import settings_from

    settings = settings_from(args, needs=("kafka.bootstrap_servers", "topics"))
    subscriptions = sound_subscriptions(settings.subscriptions_file, settings)
    try:
        with refusing():
            return TopicOverview(settings, subscriptions)
    except Refusal as refusal:
        raise CommandFailed(Exit.USAGE, str(refusal)) from None


def answer(question: Coroutine[Any, Any, T]) -> T:  # Any: nothing is sent to it or yielded
    """What a cluster answers. Raises :class:`CommandFailed` when it does not."""
    from connector.kafka.errors import KafkaTrouble

    try:
        return asyncio.run(question)
    except KafkaTrouble as trouble:
        raise CommandFailed(Exit.UNREACHABLE, trouble.what) from None
