"""From settings to adapters: each function builds one, and says which settings it needs."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from secrets import token_hex

from connector.avro.decoder import TopicDecoders
from connector.avro.registry import SchemaRegistry
from connector.avro.registry_http import RegistrySettings
from connector.avro.topic_format import BadTopicFormat, EventMapping, Field, TopicFormat
from connector.core.breaker import BreakerRules
from connector.core.composer import Composer, compile_composer
from connector.core.disabling import DisableRules
from connector.core.subscription import Subscription
from connector.core.topic_names import operator_events_topic
from connector.engine.dispatcher import DispatchLimits
from connector.engine.flow import FlowLimits
from connector.engine.ports import Capabilities
from connector.engine.worker import WorkerLimits
from connector.kafka.access import Access
from connector.kafka.letter_log import KafkaLetterLog
from connector.kafka.member import MemberSettings
from connector.kafka.peek import PeekSource
from connector.kafka.source import KafkaSource
from connector.kafka.tools import tool_login
from connector.kafka.writer import WriterSettings
from connector.settings import Settings
from connector.settings.guard import guard_of
from connector.settings.kafka import KafkaSettings
from connector.webhook.ed25519 import sign
from connector.webhook.egress_sender import EgressSender
from connector.webhook.resolver import AresLookup
from connector.webhook.room import CONNECTIONS_MAX, Room
from connector.webhook.router import SenderRouter
from connector.webhook.sender import WebhookSender

SETTLED_PER_COMMIT = 2_000
"""Commit before the interval is over once so many records are settled: bounds what a crash repeats."""
POISON_RUN_MAX = 1_000
TIER_QUEUED_BYTES_MAX = 2 << 20
TIER_PARTITION_BYTES_MAX = 128 << 10
"""Tiers are fetched in small bites, and only when nothing of one is left: most of what lies there is not due
yet, and what was fetched beyond a batch is thrown away while its partition is paused."""
WRITE_HEADROOM_BYTES = 128 << 10
"""What headers may add to the largest record our own topics take before the client refuses it."""


def retry_group(group: str) -> str:
    """The group that reads the tiers, so that retries never starve fresh events nor the other way round."""
    return f"{group}.retry"


def worker_id() -> str:
    """A name of this start of this process, to be told from all others by people too."""
    return f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}"


def access_of(kafka: KafkaSettings) -> Access:
    """Raises :class:`~connector.kafka.access.BadProperty`."""
    assert kafka.bootstrap_servers is not None, "commands that need a cluster ask for it first"
    properties = {name: value.get_secret_value() for name, value in kafka.properties.items()}
    return Access(bootstrap_servers=kafka.bootstrap_servers, properties=properties)


def tool_login_of(settings: Settings, commands: Iterable[str]) -> str:
    """What Kafka's own tools must be told so that ``commands`` are let in; empty when nothing."""
    return tool_login((access_of(settings.kafka), access_of(settings.own_cluster)), commands)


def registry_of(settings: Settings) -> SchemaRegistry | None:
    registry = settings.registry
    if registry is None:
        return None
    return SchemaRegistry(
        RegistrySettings(
            urls=registry.urls,
            username=registry.username,
            password=registry.password.get_secret_value(),
            bearer_token=registry.bearer_token.get_secret_value(),
            ca_file=str(registry.ca_file or ""),
            client_certificate_file=str(registry.client_certificate_file or ""),
            client_key_file=str(registry.client_key_file or ""),
            timeout_ms=registry.timeout_ms,
        )
    )


def framed_topics(settings: Settings) -> list[str]:
    """The topics, and patterns of topics, whose records name schemas of a registry."""
    return [topic.name or topic.pattern or "" for topic in settings.topics if topic.format == "confluent"]


def decoder_of(settings: Settings, registry: SchemaRegistry | None) -> TopicDecoders:
    """Raises :class:`~connector.avro.topic_format.BadTopicFormat`, also for a topic whose first record would
    be held for want of a registry."""
    if registry is None and (framed := framed_topics(settings)):
        raise BadTopicFormat(
            f"format confluent needs a schema registry, and none is set for {', '.join(framed)}: set "
            "registry.urls (--registry-url), or another format for each under topics (avro, json)"
        )
    formats = (_operator_events_format(settings.prefix), *settings.topic_formats())
    return TopicDecoders(formats, source_name=settings.source_name, registry=registry)


def _operator_events_format(prefix: str) -> TopicFormat:
    return TopicFormat(
        topic=operator_events_topic(prefix),
        format="json",
        mapping=EventMapping(
            type=Field(("type",)), id=Field(("id",)), time=Field(("time",)), data=Field(("data",))
        ),
    )


def sender_of(settings: Settings) -> SenderRouter:
    guard = guard_of(settings)
    allow_http = settings.guard.allow_http
    extra_ca_file = str(settings.guard.ca_file or "") or None
    lookup = AresLookup()
    # Lanes and the process bound what is under way; a second, smaller bound per host would make
    # subscriptions that share one wait for each other.
    at_once_max = settings.delivery.in_flight_max
    room = _room(settings)
    fast = WebhookSender(
        guard=guard,
        allow_http=allow_http,
        extra_ca_file=extra_ca_file,
        room=room,
        connections_per_origin_max=at_once_max,
        lookup=lookup,
    )

    def second() -> EgressSender:
        return EgressSender(
            guard=guard,
            allow_http=allow_http,
            extra_ca_file=extra_ca_file,
            room=room,
            links_per_place_max=at_once_max,
            # Those that were given up are counted until they have let go.
            requests_max=2 * at_once_max,
            lookup=lookup,
        )

    return SenderRouter(fast, second)


def _room(settings: Settings) -> Room:
    return Room(max(CONNECTIONS_MAX, settings.delivery.in_flight_max))


def composer_of(subscription: Subscription) -> Composer:
    return compile_composer(subscription.dialect, subscription.secrets, sign_ed25519=sign)


def source_of(settings: Settings, capabilities: Capabilities) -> KafkaSource:
    return KafkaSource(
        MemberSettings(
            group=settings.group,
            groups=(retry_group(settings.group),),
            start=settings.start,
            own_topics=(operator_events_topic(settings.prefix),),
            protocol=settings.group_protocol,
            revoke_budget_ms=settings.delivery.revoke_drain_ms,
        ),
        access=access_of(settings.kafka),
        own_access=access_of(settings.own_cluster),
        prefix=settings.prefix,
        capabilities=capabilities,
    )


def tier_source_of(settings: Settings, capabilities: Capabilities) -> KafkaSource:
    return KafkaSource(
        MemberSettings(
            group=retry_group(settings.group),
            groups=(settings.group,),
            start="earliest",
            protocol=settings.group_protocol,
            queued_bytes_max=TIER_QUEUED_BYTES_MAX,
            queued_records_min=1,
            partition_bytes_max=TIER_PARTITION_BYTES_MAX,
            revoke_budget_ms=settings.delivery.revoke_drain_ms,
        ),
        access=access_of(settings.own_cluster),
        prefix=settings.prefix,
        capabilities=capabilities,
    )


def letter_log_of(settings: Settings, capabilities: Capabilities) -> KafkaLetterLog:
    return KafkaLetterLog(
        access_of(settings.own_cluster), name=f"{settings.prefix}.backlog", capabilities=capabilities
    )


def peek_source_of(settings: Settings, capabilities: Capabilities) -> PeekSource:
    return PeekSource(access_of(settings.kafka), start=settings.start or "latest", capabilities=capabilities)


def writer_settings_of(settings: Settings) -> WriterSettings:
    return WriterSettings(message_bytes_max=settings.own_topics.max_message_bytes + WRITE_HEADROOM_BYTES)


def limits_of(settings: Settings) -> WorkerLimits:
    delivery = settings.delivery
    flow = FlowLimits(
        window_records_max=delivery.window_records_max, window_bytes_max=delivery.window_bytes_max
    )
    return WorkerLimits(
        flow=flow,
        tier_flow=flow,
        dispatch=DispatchLimits(
            # What there is no connection for waits in its lane: the sender would have to fail it.
            in_flight_max=min(delivery.in_flight_max, _room(settings).connections_max),
            host_in_flight_max=delivery.host_in_flight_max,
            in_hand_max=delivery.in_hand_max,
            wait_max_ms=5_000,
        ),
        breaker=BreakerRules(
            failures_to_open=delivery.breaker.failures_to_open,
            cool_down_ms=delivery.breaker.cool_down_ms,
            cool_down_max_ms=delivery.breaker.cool_down_max_ms,
        ),
        disable=DisableRules(
            after_ms=delivery.disable.after_ms,
            attempts=delivery.disable.attempts,
            probe_first_ms=delivery.disable.probe_first_ms,
            probes_gone=delivery.disable.probes_gone,
        ),
        commit_interval_ms=settings.commit_interval_ms,
        settled_per_commit=SETTLED_PER_COMMIT,
        poison_run_max=POISON_RUN_MAX,
        stop_budget_ms=delivery.stop_drain_ms,
    )
