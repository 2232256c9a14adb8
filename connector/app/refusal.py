"""Why the process does not start, or cannot go on, in words an operator can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from connector.avro.registry_http import BadRegistrySettings
from connector.avro.topic_format import BadTopicFormat
from connector.kafka.access import BadProperty
from connector.kafka.errors import KafkaTrouble


class Refusal(Exception):
    """Something outside the process must be mended first. The text says what happened, why, and the cure,
    one line per problem."""


class Failed(Exception):
    """The worker could not go on; what it had not settled is read again after a restart."""


@contextmanager
def refusing() -> Iterator[None]:
    """While adapters are built: settings that only they can judge, and find unusable, are a refusal."""
    try:
        yield
    except (BadProperty, BadRegistrySettings, BadTopicFormat, KafkaTrouble) as error:
        raise Refusal(str(error)) from None
