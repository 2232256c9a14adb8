"""The event catalogue holds what the guides publish, and every sample becomes the data it shows."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import fastavro
import pytest

import schemas
from connector.avro.decoder import TopicDecoders
from connector.avro.topic_format import TopicFormat
from connector.core.event import Event
from tests.support.avro_records import avro_bytes, record, sample_avro, sample_data, sample_json

PUBLISHED = {
    "bellamy": {
        "post.created", "post.updated", "post.deleted", "comment.created", "reaction.added",
        "user.registered", "friend.request.sent", "friend.request.accepted",
    },
    "networked": {
        "user.joined", "post.created", "comment.created", "event.created", "subscription.created",
        "payment.reminder",
    },
    "webhooks-v1": {
        "user.created", "user.updated", "user.deleted", "project.created", "project.updated",
        "project.deleted", "file.uploaded", "payment.succeeded", "payment.failed",
    },
    "notify": {"connection.created", "connection.updated"},
    "netasampark": {
        "message.sent", "message.delivered", "message.failed", "message.read", "grievance.created",
        "grievance.updated", "grievance.resolved", "payment.processed", "payment.failed",
        "payment.refunded", "campaign.started", "campaign.completed", "campaign.failed",
    },
}  # fmt: skip

NAMES = [event_type.name for event_type in schemas.event_types()]
every_type = pytest.mark.parametrize("name", NAMES)


def schema_of(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(schemas.schema_text(name))
    return document


@pytest.mark.parametrize("guide", sorted(PUBLISHED))
def test_the_catalogue_holds_exactly_what_each_guide_publishes(guide: str) -> None:
    shipped = {event_type.name for event_type in schemas.event_types() if guide in event_type.guides}

    assert shipped == PUBLISHED[guide]


def test_the_catalogue_holds_nothing_else() -> None:
    assert len(NAMES) == 35
    assert {guide for event_type in schemas.event_types() for guide in event_type.guides} == set(PUBLISHED)


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("post.created", ["id", "content", "authorId"]),
        ("user.joined", ["user_id", "name"]),
        ("user.created", ["id", "name", "email", "status"]),
        ("user.updated", ["id", "name", "email", "status"]),
        ("user.deleted", ["id", "name", "email", "status"]),
        ("connection.created", ["connection_id"]),
        ("connection.updated", ["user_id", "status", "connection_id"]),
        ("message.sent", ["message_id", "channel", "to", "status"]),
        ("message.delivered", ["message_id", "channel", "to", "status"]),
        ("message.failed", ["message_id", "channel", "to", "status"]),
        ("message.read", ["message_id", "channel", "to", "status"]),
    ],
)
def test_the_members_that_a_guide_names_come_first_and_in_its_order(name: str, members: list[str]) -> None:
    fields = [field["name"] for field in schema_of(name)["fields"]]

    assert fields[: len(members)] == members


@every_type
def test_a_schema_is_named_after_its_type_and_domain(name: str) -> None:
    schema = schema_of(name)
    event_type = next(each for each in schemas.event_types() if each.name == name)

    parsed: Any = fastavro.parse_schema(schema)
    assert parsed["name"] == f"events.{event_type.domain}.{schema['name']}"
    assert schema["name"] == "".join(part.capitalize() for part in name.split("."))
    assert re.fullmatch(r"[a-z]+", event_type.domain)


@every_type
def test_schema_and_fields_are_documented(name: str) -> None:
    schema = schema_of(name)

    assert schema["doc"].endswith(".")
    assert [field["name"] for field in schema["fields"] if not field.get("doc", "").endswith(".")] == []


@every_type
def test_what_is_optional_is_null_by_default(name: str) -> None:
    optional = [field for field in schema_of(name)["fields"] if isinstance(field["type"], list)]

    assert all(field["type"][0] == "null" and field["default"] is None for field in optional)


@every_type
def test_a_record_written_before_the_optional_fields_can_still_be_read(name: str) -> None:
    today = schema_of(name)
    before = {**today, "fields": [field for field in today["fields"] if "default" not in field]}
    value = schemas.sample(name).value
    kept = {field["name"]: value[field["name"]] for field in before["fields"]}
    body = io.BytesIO(avro_bytes(json.dumps(before), kept))

    read: Any = fastavro.schemaless_reader(body, fastavro.parse_schema(before), fastavro.parse_schema(today))

    assert read.keys() == value.keys()


@every_type
def test_a_sample_in_avro_becomes_the_data_it_shows(name: str) -> None:
    by_file = TopicFormat(topic=name, format="avro", schema=schemas.schema_text(name))
    decoders = TopicDecoders((by_file,), source_name="test", registry=None)

    event = decoders.decode(record(sample_avro(name), topic=name))

    assert isinstance(event, Event)
    assert event.type == name
    assert event.data.decode() == sample_data(name).decode()


@every_type
def test_a_sample_in_json_is_its_own_data(name: str) -> None:
    decoders = TopicDecoders((TopicFormat(topic=name, format="json"),), source_name="test", registry=None)

    event = decoders.decode(record(sample_json(name), topic=name))

    assert isinstance(event, Event)
    assert json.loads(event.data) == schemas.sample(name).value


def test_a_type_that_is_not_in_the_catalogue_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        schemas.schema_text("no.such")
    with pytest.raises(KeyError):
        schemas.sample("no.such")
