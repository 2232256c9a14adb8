"""The demo's topics, schemas, subscriptions and settings: what an operator would have prepared.

The settings are ordinary ones. What differs from a deployment is told to whoever watches: a ladder of
seconds, short timeouts, plain http to loopback, own topics on as few replicas as there are brokers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from connector.avro.registry import SchemaRegistry
from connector.core.topic_names import (
    dead_letters_topic,
    operator_events_topic,
    parked_topic,
    shared_topic,
    sources_topic,
    tier_topic,
)
from connector.core.units import format_duration_ms
from connector.demo.cluster import PARTITIONS, DemoCluster
from connector.demo.records import EVENT_ID_HEADER
from connector.demo.scenario import Partner, Scenario
from connector.settings import Settings
from connector.settings.registry import RegistrySettings
from schemas import event_types, schema_text

Progress = Callable[[str, int, int], None]
"""Told what is being prepared, how much of it is done, and of how much."""


def topics_by_type(topic_prefix: str) -> dict[str, str]:
    """The domain topic of each event type of the catalogue."""
    return {each.name: f"{topic_prefix}{each.name}" for each in event_types()}


async def create_topics(cluster: DemoCluster, names: Sequence[str], progress: Progress) -> None:
    """Raises :class:`~connector.kafka.errors.KafkaTrouble`."""
    progress("creating topics", 0, len(names))
    for number, name in enumerate(names, start=1):
        await asyncio.to_thread(cluster.create_topic, name, partitions=PARTITIONS)
        progress("creating topics", number, len(names))


async def register_schemas(
    registry: SchemaRegistry, subject_prefix: str, progress: Progress
) -> dict[str, int]:
    """The id of each type's schema. Raises :class:`~connector.avro.registry.RegistrationFailed`."""
    ids = {}
    names = [each.name for each in event_types()]
    for number, name in enumerate(names, start=1):
        ids[name] = await registry.register(f"{subject_prefix}{name}-value", schema_text(name))
        progress("registering schemas", number, len(names))
    return ids


@dataclass(frozen=True, slots=True)
class OwnTopics:
    """The connector's own topics: those that hold letters, and those that hold what it must remember."""

    with_letters: tuple[str, ...]
    with_state: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.with_letters, *self.with_state)


def own_topics(prefix: str, scenario: Scenario) -> OwnTopics:
    """What the connector writes to, under ``prefix``."""
    tiers = (tier_topic(prefix, delay_ms) for delay_ms in scenario.ladder_ms)
    return OwnTopics(
        with_letters=(*tiers, dead_letters_topic(prefix), parked_topic(prefix)),
        with_state=(sources_topic(prefix), shared_topic(prefix), operator_events_topic(prefix)),
    )


def settings_for(
    cluster: DemoCluster, *, registry: RegistrySettings, subscriptions_file: Path, group: str
) -> Settings:
    """What ``webhook-connector run`` would be given for the same job."""
    topics = topics_by_type(cluster.topic_prefix)
    type_of_topic = {topic: event_type for event_type, topic in topics.items()}
    mapping = {"type": {"map": type_of_topic}, "id": {"header": EVENT_ID_HEADER}}
    return Settings.model_validate(
        {
            "kafka": cluster.kafka,
            "registry": registry,
            "group": group,
            "prefix": f"{cluster.topic_prefix}webhooks",
            "start": "earliest",
            "topics": [{"name": topic, **mapping} for topic in topics.values()],
            "subscriptions_file": subscriptions_file,
            "own_topics": {"partitions": PARTITIONS, "allow_single_replica": True},
            # Any cool-down would be longer than the demo's whole ladder.
            "delivery": {"breaker": {"failures_to_open": 0}},
            "guard": {"allow_http": True, "allow_networks": ["127.0.0.0/8"]},
        }
    )


def subscriptions_text(scenario: Scenario, receivers_url: str) -> str:
    """The subscriptions file, as an operator would write it."""
    return "subscriptions:\n" + "\n".join(
        _subscription_text(partner, scenario, receivers_url) for partner in scenario.partners
    )


def _subscription_text(partner: Partner, scenario: Scenario, receivers_url: str) -> str:
    limits = {"timeout": format_duration_ms(partner.timeout_ms or scenario.timeout_ms)}
    if partner.body_bytes_max is not None:
        limits["body_size"] = f"{partner.body_bytes_max} B"
    members: dict[str, object] = {
        "url": f"{receivers_url}/{partner.id}",
        "events": partner.events,
        "dialect": partner.guide,
        "secrets": {"current": partner.secret},
        "ladder": [format_duration_ms(delay_ms) for delay_ms in scenario.ladder_ms],
        "limits": limits,
        "paused": partner.is_paused,
    }
    lines = [f"  - id: {partner.id}"]
    # JSON is YAML: each value on its line.
    lines += [f"    {name}: {json.dumps(value)}" for name, value in members.items()]
    return "\n".join(lines) + "\n"
