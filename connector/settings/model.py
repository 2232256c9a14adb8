"""All settings together, and what follows from several of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, StringConstraints, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from connector.avro.topic_format import TopicFormat
from connector.core.dialect import DIALECTS, Dialect
from connector.core.start import Start, StartAtTime
from connector.core.topic_names import BadTopicName, SourceTopics, check_prefix, source_topics
from connector.declared.dialects import DialectChoice, dialect_choice, named_dialect
from connector.declared.explain import FaultAt, nearest
from connector.declared.kinds import Milliseconds
from connector.settings.delivery import DeliverySettings, GuardSettings
from connector.settings.kafka import KafkaSettings
from connector.settings.lists import Commas
from connector.settings.own_topics import OwnTopicsSettings
from connector.settings.registry import RegistrySettings
from connector.settings.sender import SenderSettings
from connector.settings.service import HttpSettings, LogSettings
from connector.settings.topics import TopicSettings

ENV_PREFIX = "WEBHOOK_CONNECTOR_"
ENV_DELIMITER = "__"


def _start(declared: object) -> Start | None:
    match declared:
        case None | "earliest" | "latest" | StartAtTime():
            return declared
        case str(text):
            try:
                time = datetime.fromisoformat(text)
            except ValueError:
                time = None
            if time is not None and time.tzinfo is not None:
                return StartAtTime(int(time.timestamp() * 1000))
    raise ValueError("must be earliest, latest, or a time with its zone such as 2026-01-15T12:30:00Z")


def _prefix(prefix: str) -> str:
    check_prefix(prefix)
    return prefix


class Settings(BaseSettings):
    """Everything that can be set. Made by :func:`connector.settings.load.load_settings`, which knows where
    each value came from; this class reads nothing by itself but the files of secrets."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    kafka: KafkaSettings = Field(default=KafkaSettings(), description="The cluster whose topics are read.")
    own_kafka: KafkaSettings | None = Field(
        default=None, description="The cluster of the connector's own topics; the same one by default."
    )
    group: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,200}$")] = Field(
        default="webhook-connector",
        description="The consumer group; workers of one group share the work. Retry tiers are read by a "
        "group of their own, named after it.",
    )
    prefix: Annotated[str, AfterValidator(_prefix)] = Field(
        default="webhooks",
        description="Begins the names of the connector's own topics. One group, one prefix.",
    )
    start: Annotated[Start | None, PlainValidator(_start)] = Field(
        default=None,
        description="Where a topic is begun that this group has never read: earliest, latest or a time. "
        "Without a default: earliest may send partners years of history, latest passes over what"
        " is there.",
    )
    group_protocol: Literal["classic", "consumer"] = Field(
        default="classic",
        description="classic works with every broker; consumer (KIP-848) needs 4.0, and rebalances without "
        "stopping the others.",
    )
    topics: Annotated[tuple[TopicSettings, ...], Commas] = Field(
        default=(), max_length=10_000, description="What is read, and how it becomes events."
    )
    source_name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~-]{1,100}$")] = Field(
        default="kafka",
        description="Names this cluster in derived event ids and as the source of CloudEvents. To change it "
        "changes every derived id.",
    )
    registry: RegistrySettings | None = Field(default=None, description="The schema registry, for confluent.")
    subscriptions_file: Path = Field(
        default=Path("subscriptions.yaml"), description="Who gets which events. Reloaded when it changes."
    )
    allow_shrink: bool = Field(
        default=False,
        description="Take a changed subscriptions file at once even when it drops more than half of them. "
        "False: it is far more often a mistake than meant.",
    )
    own_topics: OwnTopicsSettings = OwnTopicsSettings()
    delivery: DeliverySettings = DeliverySettings()
    guard: GuardSettings = GuardSettings()
    sender: SenderSettings = SenderSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    dialects: dict[str, Annotated[DialectChoice, PlainValidator(dialect_choice)]] = Field(
        default_factory=dict,
        max_length=100,
        description="Dialects of your own by name: {base: a built-in one, and the options that differ}.",
    )
    commit_interval_ms: Milliseconds = Field(
        default=1_000,
        ge=100,
        le=60_000,
        description="Between two commits of a partition, in ms. What was settled since the last one is sent "
        "again after a crash; a commit costs the broker little.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, env_settings, dotenv_settings, file_secret_settings  # load.py merges, and remembers
        return (init_settings,)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name, choice in self.dialects.items():
            if name in DIALECTS:
                raise FaultAt(("dialects", name), "is the name of a built-in dialect; choose another")
            try:
                named_dialect(name, choice, DIALECTS)
            except ValueError as error:
                raise FaultAt(("dialects", name), str(error)) from None
        if self.delivery.dialect not in self.all_dialects:
            text = f"there is no such dialect{nearest(self.delivery.dialect, self.all_dialects)}"
            raise FaultAt(("delivery", "dialect"), text)
        if self.topics:
            try:
                self.source_topics()
            except BadTopicName as error:
                raise FaultAt(("topics",), str(error)) from None
        replicas = self.own_topics.replication_factor
        if replicas < 3 and not self.own_topics.allow_single_replica:
            text = f"{replicas} is fewer than 3; set allow_single_replica too if a lost disk may lose events"
            raise FaultAt(("own_topics", "replication_factor"), text)
        return self

    @property
    def all_dialects(self) -> Mapping[str, Dialect]:
        """The built-in dialects and those declared, by name."""
        own = {name: named_dialect(name, choice, DIALECTS) for name, choice in self.dialects.items()}
        return MappingProxyType({**DIALECTS, **own})

    @property
    def own_cluster(self) -> KafkaSettings:
        """The cluster that holds the connector's own topics."""
        return self.own_kafka or self.kafka

    def source_topics(self) -> SourceTopics:
        """Which topics are read."""
        return source_topics(
            names=[topic.name for topic in self.topics if topic.name is not None],
            patterns=[topic.regex for topic in self.topics if topic.pattern is not None],
            exclusions=(),
            prefix=self.prefix,
        )

    def topic_formats(self) -> tuple[TopicFormat, ...]:
        """How each topic is read, the first that fits deciding. Reads schema files; may raise
        :class:`OSError` when one has gone since the settings were loaded."""
        return tuple(topic.topic_format() for topic in self.topics)
