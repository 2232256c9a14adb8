"""What the settings say about subscriptions: defaults, dialects, where may be sent to, what can occur."""

from __future__ import annotations

from collections.abc import Iterable

from connector.avro.topic_format import DeleteEvent, TopicMap
from connector.core.operator_event import OPERATOR_EVENT_TYPES
from connector.engine.ports import ForbiddenTarget
from connector.settings.guard import guard_of
from connector.settings.model import Settings
from connector.subscriptions.build import Defaults, Rules
from connector.webhook import ed25519
from connector.webhook.identity import read_identity
from connector.webhook.proxy import parse_proxy
from connector.webhook.target import parse_target


def subscription_rules(settings: Settings, *, known_types: Iterable[str] = ()) -> Rules:
    """The rules by which a subscriptions file is read."""
    delivery = settings.delivery
    guard = guard_of(settings)

    def url_fault(url: str) -> str:
        try:
            parse_target(url, allow_http=settings.guard.allow_http, guard=guard)
        except ForbiddenTarget as error:
            return str(error)
        return ""

    def proxy_fault(url: str) -> str:
        try:
            parse_proxy(url)
        except ValueError as error:
            return str(error)
        return ""

    return Rules(
        defaults=Defaults(
            in_flight_max=delivery.lane.in_flight_max,
            queue_max=delivery.lane.queue_max,
            body_bytes_max=delivery.body_bytes_max,
            max_age_extra_ms=delivery.max_age_extra_ms,
            dialect=settings.all_dialects[delivery.dialect],
            proxy=settings.sender.proxy or "",
        ),
        url_fault=url_fault,
        proxy_fault=proxy_fault,
        identify=read_identity,
        dialects=settings.all_dialects,
        known_types=tuple(known_types),
        sign_ed25519=ed25519.sign,
    )


def known_types(settings: Settings) -> frozenset[str]:
    """The event types that the configured topics can give; empty when settings alone cannot tell, because a
    topic is matched by a pattern or takes its type from the record."""
    types: set[str] = set()
    for topic in settings.topics:
        if topic.name is None or not isinstance(topic.type, TopicMap | None):
            return frozenset()
        types.add(topic.type.types.get(topic.name, topic.name) if topic.type else topic.name)
        if isinstance(topic.tombstones, DeleteEvent):
            types.add(topic.tombstones.type)
    return frozenset(types).union(OPERATOR_EVENT_TYPES) if types else frozenset()
