"""The address guard that the settings describe: the same for a URL that is registered and for a connection
that is opened, so that a check of subscriptions and the senders cannot disagree."""

from __future__ import annotations

from connector.settings.model import Settings
from connector.webhook.guard import Guard


def guard_of(settings: Settings) -> Guard:
    return Guard(allowed=settings.guard.allow_networks, forbidden=settings.guard.forbid_networks)
