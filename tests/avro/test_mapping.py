"""Which part of a record becomes which part of its event."""

from __future__ import annotations

import re

import pytest

from connector.avro.decoder import TopicDecoders
from connector.avro.topic_format import EventMapping, Field, Header, RecordName, TopicFormat, TopicMap
from connector.core.event import Decoded, Event, Poison
from connector.core.record import Headers
from schemas import schema_text
from tests.support.avro_records import record, sample_avro

ORDER = (
    b'{"id":"ord_1","kind":"order.placed","number":17,"at":"2024-01-01T00:00:00.25Z","about":null,'
    b'"payload":{"total":5},"none":null,"space":"two words","empty":"","many":["a"]}'
)


def decode(mapping: EventMapping, *, headers: Headers = (), value: bytes = ORDER) -> Decoded:
    as_json = TopicFormat(topic="orders", format="json", mapping=mapping)
    decoders = TopicDecoders((as_json,), source_name="shop", registry=None)
    return decoders.decode(record(value, topic="orders", partition=2, offset=9, headers=headers))


def event_of(mapping: EventMapping, *, headers: Headers = (), value: bytes = ORDER) -> Event:
    decoded = decode(mapping, headers=headers, value=value)
    assert isinstance(decoded, Event)
    return decoded


def unmapped(mapping: EventMapping, *, headers: Headers = ()) -> str:
    decoded = decode(mapping, headers=headers)
    assert isinstance(decoded, Poison)
    assert decoded.code == "unmapped"
    return decoded.detail


def test_the_type_is_the_topics_name_by_default() -> None:
    assert event_of(EventMapping()).type == "orders"


def test_the_type_may_come_from_a_map_of_topics() -> None:
    assert event_of(EventMapping(type=TopicMap({"orders": "order.placed"}))).type == "order.placed"


def test_a_topic_that_the_map_does_not_list_keeps_its_name() -> None:
    assert event_of(EventMapping(type=TopicMap({"other": "x"}))).type == "orders"


def test_the_type_may_come_from_a_field() -> None:
    assert event_of(EventMapping(type=Field(("kind",)))).type == "order.placed"


def test_the_type_may_come_from_a_header() -> None:
    assert event_of(EventMapping(type=Header("t")), headers=[("t", b"a"), ("t", b"b")]).type == "b"


def test_the_type_may_come_from_the_avro_record() -> None:
    by_name = TopicFormat(
        topic="posts",
        format="avro",
        schema=schema_text("post.created"),
        mapping=EventMapping(type=RecordName()),
    )
    decoders = TopicDecoders((by_name,), source_name="shop", registry=None)

    event = decoders.decode(record(sample_avro("post.created"), topic="posts"))

    assert isinstance(event, Event)
    assert event.type == "events.post.PostCreated"


@pytest.mark.parametrize("name", ["none", "space", "empty", "many", "payload", "missing"])
def test_a_type_that_is_no_name_is_poison(name: str) -> None:
    detail = unmapped(EventMapping(type=Field((name,))))

    assert detail == f"The event's type is mapped to field {name}, which is missing or of the wrong kind."


@pytest.mark.parametrize(
    "headers", [[], [("t", None)], [("t", b"\xff")], [("t", b"x" * 256)], [("t", b"a\n")]]
)
def test_a_header_that_is_no_name_is_poison(headers: Headers) -> None:
    detail = unmapped(EventMapping(type=Header("t")), headers=headers)

    assert detail == "The event's type is mapped to header t, which is missing or of the wrong kind."


def test_the_id_is_derived_from_the_coordinates() -> None:
    assert event_of(EventMapping()).id == "evt_5c48b5c6d50011bf810b555763b5b061"


@pytest.mark.parametrize(
    "other",
    [
        {"topic": "orders2"},
        {"partition": 3},
        {"offset": 10},
        {"topic_id": "a-new-topic-of-the-same-name"},
    ],
)
def test_every_coordinate_counts_in_the_id(other: dict[str, str]) -> None:
    as_json = TopicFormat(topic=re.compile("orders.*"), format="json")
    decoders = TopicDecoders((as_json,), source_name="shop", registry=None)
    place = {"topic": "orders", "partition": 2, "offset": 9}

    first = decoders.decode(record(ORDER, **place))  # type: ignore[arg-type]
    second = decoders.decode(record(ORDER, **{**place, **other}))  # type: ignore[arg-type]

    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert first.id != second.id


def test_the_sources_name_counts_in_the_id() -> None:
    as_json = TopicFormat(topic="orders", format="json")
    one = TopicDecoders((as_json,), source_name="one", registry=None)
    two = TopicDecoders((as_json,), source_name="two", registry=None)

    first, second = one.decode(record(ORDER, topic="orders")), two.decode(record(ORDER, topic="orders"))

    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert first.id != second.id


def test_a_sound_id_is_taken_as_it_is() -> None:
    assert event_of(EventMapping(id=Field(("id",)))).id == "ord_1"


def test_a_number_may_be_an_id() -> None:
    assert event_of(EventMapping(id=Field(("number",)))).id == "17"


def test_an_id_of_128_characters_is_taken_as_it_is() -> None:
    assert event_of(EventMapping(id=Header("id")), headers=[("id", b"x" * 128)]).id == "x" * 128


@pytest.mark.parametrize(
    ("text", "hashed"),
    [
        (b"x" * 129, "evt_b9ee96f69e8210c624fee55d71d5a54f"),
        (b"a.b", "evt_ee1c40570f1cb396856159a5b49a3d17"),
        ("ü".encode(), "evt_ccea9926cd506ef041d05adbd5a2dfb7"),
        (b"line\n", "evt_defcada85ca922c7094942bb5c9ad5fe"),
    ],
)
def test_any_other_id_is_hashed(text: bytes, hashed: str) -> None:
    assert event_of(EventMapping(id=Header("id")), headers=[("id", text)]).id == hashed


@pytest.mark.parametrize("name", ["none", "empty", "payload", "missing"])
def test_a_missing_id_is_poison(name: str) -> None:
    assert f"id is mapped to field {name}," in unmapped(EventMapping(id=Field((name,))))


def test_the_time_is_the_records_own_in_milliseconds() -> None:
    event = event_of(EventMapping())

    assert (event.time_us, event.time_digits) == (1_700_000_000_123_000, 3)


def test_the_time_may_come_from_a_field() -> None:
    event = event_of(EventMapping(time=Field(("at",))))

    assert (event.time_us, event.time_digits) == (1_704_067_200_250_000, 2)


@pytest.mark.parametrize("name", ["none", "space", "payload", "missing"])
def test_a_missing_time_is_poison(name: str) -> None:
    assert f"time is mapped to field {name}," in unmapped(EventMapping(time=Field((name,))))


@pytest.mark.parametrize(
    ("timestamp_ms", "said"),
    [
        (-1, "The record has no timestamp: map a field to the event's time."),
        (253_402_300_800_000, "The event's time is outside the years 1 to 9999."),
        (2**63 - 1, "The event's time is outside the years 1 to 9999."),
    ],
)
def test_a_timestamp_that_is_no_time_is_poison(timestamp_ms: int, said: str) -> None:
    decoders = TopicDecoders((TopicFormat(topic="orders", format="json"),), source_name="shop", registry=None)

    decoded = decoders.decode(record(ORDER, topic="orders", timestamp_ms=timestamp_ms))

    assert decoded == Poison("unmapped", said)


def test_a_mapped_time_needs_no_timestamp() -> None:
    mapped = TopicFormat(topic="orders", format="json", mapping=EventMapping(time=Field(("at",))))
    decoders = TopicDecoders((mapped,), source_name="shop", registry=None)

    assert isinstance(decoders.decode(record(ORDER, topic="orders", timestamp_ms=-1)), Event)


def test_the_data_may_be_a_part_of_the_value() -> None:
    assert event_of(EventMapping(data=Field(("payload",)))).data == b'{"total":5}'


@pytest.mark.parametrize("path", [("none",), ("missing",), ("none", "deeper")])
def test_missing_data_is_poison(path: tuple[str, ...]) -> None:
    assert "data" in unmapped(EventMapping(data=Field(path)))


def test_a_whole_value_that_is_null_is_data() -> None:
    assert event_of(EventMapping(), value=b"null").data == b"null"


def test_the_key_is_the_records_own() -> None:
    assert event_of(EventMapping()).key == b"post_123"


def test_the_key_may_come_from_a_field() -> None:
    assert event_of(EventMapping(key=Field(("number",)))).key == b"17"


def test_a_key_that_is_null_is_absent() -> None:
    assert event_of(EventMapping(key=Field(("none",)))).key is None


def test_there_is_no_subject_by_default() -> None:
    assert event_of(EventMapping()).subject == ""


def test_the_subject_may_come_from_a_field_or_a_header() -> None:
    assert event_of(EventMapping(subject=Field(("id",)))).subject == "ord_1"
    assert event_of(EventMapping(subject=Header("s")), headers=[("s", b"x/1")]).subject == "x/1"


def test_a_subject_that_is_null_is_absent() -> None:
    assert event_of(EventMapping(subject=Field(("about",)))).subject == ""


@pytest.mark.parametrize(
    ("source_name", "source"),
    [
        ("shop", "shop/orders"),
        ("urn:acme:eu", "urn:acme:eu/orders"),
        ("https://acme.example/kafka", "https://acme.example/kafka/orders"),
        ("café 100%", "caf%C3%A9%20100%25/orders"),
    ],
)
def test_the_source_is_a_uri_reference(source_name: str, source: str) -> None:
    as_json = TopicFormat(topic="orders", format="json")
    decoders = TopicDecoders((as_json,), source_name=source_name, registry=None)

    event = decoders.decode(record(ORDER, topic="orders"))

    assert isinstance(event, Event)
    assert event.source == source


def test_an_avro_schema_without_a_mapped_field_makes_its_records_poison() -> None:
    class Schemas:
        def schema(self, schema_id: int, /) -> str:
            return schema_text("post.created")

        async def fetch(self, schema_id: int, /) -> None:
            raise AssertionError("the schema is at hand")

    mapped = TopicFormat(topic="posts", mapping=EventMapping(id=Field(("event_id",))))
    decoders = TopicDecoders((mapped,), source_name="shop", registry=Schemas())  # type: ignore[arg-type]

    decoded = decoders.decode(record(b"\x00\x00\x00\x00\x05" + sample_avro("post.created"), topic="posts"))

    assert decoded == Poison(
        "unmapped", "Schema 5: The event's id is mapped to field event_id, which this schema does not have."
    )
