"""Subscription files for tests: rules to read them by, and one that is sound."""

from __future__ import annotations

from connector.subscriptions.build import Defaults, Rules


def only_https(url: str) -> str:
    """Stands in for the sender's judgement of a URL."""
    return "" if url.startswith("https://") else "use https"


RULES = Rules(
    defaults=Defaults(in_flight_max=16, queue_max=200, body_bytes_max=1 << 20, max_age_extra_ms=86_400_000),
    url_fault=only_https,
)

ONE = """\
- id: {id}
  url: https://receiver.example/{id}
  events: [post.created]
  dialect: bellamy
  secrets:
    current: correct-horse
"""


def file_of(*ids: str) -> str:
    """A sound file with a subscription of each id."""
    return "subscriptions:\n" + "".join(ONE.format(id=id_) for id_ in ids)
