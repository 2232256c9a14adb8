"""How to reach a Kafka cluster."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator

from connector.declared.explain import FaultAt, nearest
from connector.declared.kinds import Declared
from connector.settings.secret import SecretText

_OWNED = {
    "acks": "every write is acknowledged by all in-sync replicas; remove it",
    "auto.offset.reset": "set start instead",
    "bootstrap.servers": "set bootstrap_servers instead",
    "enable.auto.commit": "the connector commits what is settled; remove it",
    "enable.auto.offset.store": "the connector commits what is settled; remove it",
    "enable.idempotence": "every write is idempotent; remove it",
    "enable.partition.eof": "the connector needs it on; remove it",
    "group.id": "set group instead",
    "group.protocol": "set group_protocol instead",
    "partition.assignment.strategy": "the connector assigns cooperatively; remove it",
}
"""librdkafka properties on which a promise rests, with the cure for whoever sets one."""


def _as_librdkafka_writes(value: object) -> object:
    """YAML's true and 5 as the text librdkafka expects."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


def _is_free(name: str) -> str:
    if name in _OWNED:
        raise ValueError(_OWNED[name])
    from connector.kafka.properties import USUAL, is_known  # the client is heavy, and help has no use for it

    if not is_known(name):
        raise ValueError(f"librdkafka has no such property{nearest(name, USUAL)}")
    return name


def _are_servers(servers: str) -> str:
    if not all(server and not re.search(r"\s", server) for server in servers.split(",")):
        raise ValueError(f"must be brokers such as kafka-1:9092,kafka-2:9092 without blanks, not {servers!r}")
    return servers


_Property = Annotated[str, AfterValidator(_is_free)]
_Servers = Annotated[str, AfterValidator(_are_servers)]


class KafkaSettings(Declared):
    bootstrap_servers: _Servers | None = Field(
        default=None,
        description="host:port of one or more brokers, separated by commas. No default: a guessed cluster "
        "would be the wrong one.",
    )
    properties: dict[_Property, Annotated[SecretText, BeforeValidator(_as_librdkafka_writes)]] = Field(
        default_factory=dict,
        description="Any further librdkafka property (SASL, SSL, client.rack, …), as text, {env: NAME} or "
        "{file: PATH}. Treated as secret, all of them: some are.",
    )

    @field_validator("properties")
    @classmethod
    def _can_be_used(cls, properties: dict[str, SecretStr]) -> dict[str, SecretStr]:
        from connector.kafka.properties import value_fault  # as above

        for name, value in properties.items():
            if fault := value_fault(name, value.get_secret_value()):
                raise FaultAt((name,), fault)
        return properties

    def client_properties(self) -> dict[str, str]:
        """What librdkafka is told, in plain text. Secret: never print it."""
        assert self.bootstrap_servers is not None  # asked for when the settings were loaded
        plain = {name: value.get_secret_value() for name, value in self.properties.items()}
        return {"bootstrap.servers": self.bootstrap_servers, **plain}
