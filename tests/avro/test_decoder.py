"""Records into events, topic by topic: formats, bad input, tombstones, what is compiled and kept."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.avro import decoder as decoder_module
from connector.avro.decoder import TOPICS_MAX, TopicDecoders
from connector.avro.formats import confluent as confluent_module
from connector.avro.formats.confluent import COMPILED_MAX
from connector.avro.topic_format import (
    BadTopicFormat,
    DeleteEvent,
    EventMapping,
    Field,
    Header,
    RecordName,
    TopicFormat,
    TopicMap,
)
from connector.core.event import Event, NeedsSchema, Poison, Skipped
from connector.engine.ports import SchemaAnswer, SchemaReady, SchemaUnreachable
from schemas import schema_text
from tests.support.avro_records import (
    avro_bytes,
    framed,
    record,
    sample_avro,
    sample_data,
    sample_framed,
    sample_json,
)

POST = schema_text("post.created")
NUMBER = '{"type": "record", "name": "N", "namespace": "t", "fields": [{"name": "n", "type": "long"}]}'


class Schemas:
    """Schemas at hand, by id, beginning with 1."""

    def __init__(self, *texts: str | Poison) -> None:
        self.texts = dict(enumerate(texts, start=1))
        self.asked: list[int] = []

    def schema(self, schema_id: int, /) -> str | Poison | None:
        self.asked.append(schema_id)
        return self.texts.get(schema_id)

    async def fetch(self, schema_id: int, /) -> SchemaAnswer:
        self.texts[schema_id] = POST
        return SchemaReady()


def decoders(*formats: TopicFormat, registry: Schemas | None = None) -> TopicDecoders:
    return TopicDecoders(formats, source_name="test", registry=registry)


# ── formats ─────────────────────────────────────────────────────────────────────────────────────


def test_a_framed_record_becomes_an_event() -> None:
    read = record(sample_framed("post.created", 1), partition=3, offset=42)

    event = decoders(registry=Schemas(POST)).decode(read)

    assert event == Event(
        type="post.created",
        id="evt_783fa31566b69f942440523e006c4175",
        time_us=1_700_000_000_123_000,
        time_digits=3,
        data=sample_data("post.created"),
        source="test/post.created",
        key=b"post_123",
    )


def test_a_bare_avro_record_becomes_an_event() -> None:
    by_file = TopicFormat(topic="post.created", format="avro", schema=POST)

    event = decoders(by_file).decode(record(sample_avro("post.created")))

    assert isinstance(event, Event)
    assert event.data == sample_data("post.created")


def test_a_json_record_becomes_an_event() -> None:
    as_json = TopicFormat(topic="post.created", format="json")

    event = decoders(as_json).decode(record(sample_json("post.created")))

    assert isinstance(event, Event)
    assert event.data == sample_json("post.created")


def test_a_record_whose_header_names_the_schema_is_bare() -> None:
    headers = [("trace", b"1"), ("__value_schema_id", b"\x00\x00\x00\x00\x01")]

    event = decoders(registry=Schemas(POST)).decode(record(sample_avro("post.created"), headers=headers))

    assert isinstance(event, Event)
    assert event.data == sample_data("post.created")


def test_records_of_several_schemas_share_a_topic() -> None:
    registry = Schemas(NUMBER, POST)
    both = decoders(registry=registry)

    first = both.decode(record(framed(1, b"\x02")))
    second = both.decode(record(sample_framed("post.created", 2)))

    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert first.data == b'{"n":1}'
    assert second.data == sample_data("post.created")


def test_a_reader_schema_pins_what_partners_see() -> None:
    reader = """{"type": "record", "name": "PostCreated", "namespace": "events.post", "fields": [
        {"name": "post", "type": "string", "aliases": ["id"]}, {"name": "likes", "type": "int", "default": 0}
    ]}"""
    pinned = TopicFormat(topic="post.created", reader_schema=reader)

    event = decoders(pinned, registry=Schemas(POST)).decode(record(sample_framed("post.created", 1)))

    assert isinstance(event, Event)
    assert event.data == b'{"post":"post_123","likes":0}'


def test_longs_become_text_on_request() -> None:
    as_text = TopicFormat(topic="n", long="string")

    event = decoders(as_text, registry=Schemas(NUMBER)).decode(record(framed(1, b"\x02"), topic="n"))

    assert isinstance(event, Event)
    assert event.data == b'{"n":"1"}'


def test_the_first_format_that_matches_counts() -> None:
    formats = decoders(
        TopicFormat(topic="a.exact", format="json"),
        TopicFormat(topic=re.compile(r"a\..*"), format="avro", schema=NUMBER),
        TopicFormat(topic=re.compile(r".*"), format="avro", schema=POST),
    )

    assert formats.format_of("a.exact").format == "json"
    assert formats.format_of("a.other").schema == NUMBER
    assert formats.format_of("b").schema == POST


def test_a_pattern_matches_whole_names_only() -> None:
    assert not TopicFormat(topic=re.compile("post")).matches("post.created")


def test_a_topic_without_a_format_is_framed() -> None:
    assert decoders().format_of("x") == TopicFormat(topic="x", format="confluent")


def test_one_record_read_twice_is_the_same_event() -> None:
    read = record(sample_framed("post.created", 1), topic_id="id-of-topic")
    again = record(sample_framed("post.created", 1), topic_id="id-of-topic")

    first = decoders(registry=Schemas(POST)).decode(read)
    second = decoders(registry=Schemas(POST)).decode(again)

    assert first == second


# ── schemas that are not at hand ────────────────────────────────────────────────────────────────


async def test_a_schema_that_is_not_at_hand_is_asked_for_and_then_used() -> None:
    waiting = decoders(registry=Schemas())
    read = record(sample_framed("post.created", 7))

    first = waiting.decode(read)
    answer = await waiting.fetch(7)
    second = waiting.decode(read)

    assert first == NeedsSchema(7)
    assert answer == SchemaReady()
    assert isinstance(second, Event)


async def test_without_a_registry_framed_records_wait() -> None:
    alone = decoders()

    decoded = alone.decode(record(framed(7, b"")))
    answer = await alone.fetch(7)

    assert decoded == NeedsSchema(7)
    assert answer == SchemaUnreachable("Schema 7 is needed, and no schema registry is configured.")


def test_a_schema_is_compiled_once() -> None:
    registry = Schemas(NUMBER)
    once = decoders(registry=registry)

    for _ in range(3):
        once.decode(record(framed(1, b"\x02")))

    assert registry.asked == [1]


def test_compiled_schemas_are_dropped_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confluent_module, "COMPILED_MAX", 2)
    registry = Schemas(NUMBER, NUMBER, NUMBER)
    bounded = decoders(registry=registry)

    for schema_id in (1, 2, 3, 3, 2, 1):
        bounded.decode(record(framed(schema_id, b"\x02")))

    assert COMPILED_MAX == 1_000
    assert registry.asked == [1, 2, 3, 1]


def test_compiled_topics_are_dropped_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_module, "TOPICS_MAX", 2)
    registry = Schemas(NUMBER)
    bounded = decoders(registry=registry)

    for topic in ("a", "b", "c", "c", "b", "a"):
        bounded.decode(record(framed(1, b"\x02"), topic=topic))

    assert TOPICS_MAX == 10_000
    assert registry.asked == [1, 1, 1, 1]


# ── bad input ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "bad-frame"),
        (b"\x00\x00\x00", "bad-frame"),
        (b'{"id": 1}', "bad-frame"),
        (framed(1, b""), "corrupt"),
        (sample_framed("post.created", 1)[:-1], "corrupt"),
        (sample_framed("post.created", 1) + b"\x00", "corrupt"),
        (framed(1, b"\x02\xff\x00"), "corrupt"),
        (framed(2, b"\x00"), "bad-schema"),
        (framed(3, b"\x00"), "bad-schema"),
        (framed(4, b"\x00"), "bad-schema"),
    ],
)
def test_a_bad_framed_record_is_poison(value: bytes, code: str) -> None:
    registry = Schemas(POST, "{", '{"type": "wreckord"}', Poison("bad-schema", "Schema 4 is no Avro."))

    decoded = decoders(registry=registry).decode(record(value))

    assert isinstance(decoded, Poison)
    assert decoded.code == code


def test_a_bad_schema_is_named() -> None:
    decoded = decoders(registry=Schemas("{")).decode(record(framed(1, b"")))

    assert isinstance(decoded, Poison)
    assert decoded.detail.startswith("Schema 1: ")


@pytest.mark.parametrize("value", [b"", b"{", b'{"a": NaN}', b"\xff", b'"\\ud800"'])
def test_a_bad_json_record_is_poison(value: bytes) -> None:
    decoded = decoders(TopicFormat(topic="j", format="json")).decode(record(value, topic="j"))

    assert isinstance(decoded, Poison)
    assert decoded.code == "bad-json"


def test_headers_that_cannot_be_read_are_poison() -> None:
    decoded = decoders(registry=Schemas(POST)).decode(
        record(sample_framed("post.created", 1), unreadable="A header's name is not UTF-8.")
    )

    assert decoded == Poison("bad-headers", "A header's name is not UTF-8.")


def test_ten_thousand_headers_are_no_trouble() -> None:
    headers = [(f"h{number}", b"x") for number in range(10_000)]

    decoded = decoders(registry=Schemas(POST)).decode(
        record(sample_framed("post.created", 1), headers=headers)
    )

    assert isinstance(decoded, Event)


@given(value=st.binary(max_size=60), is_framed=st.booleans())
def test_no_bytes_raise(value: bytes, is_framed: bool) -> None:
    read = record(framed(1, value) if is_framed else value)
    for_all = (
        decoders(registry=Schemas(POST)),
        decoders(TopicFormat(topic="post.created", format="avro", schema=POST)),
        decoders(TopicFormat(topic="post.created", format="json")),
    )

    decoded = [each.decode(read) for each in for_all]

    assert all(isinstance(each, Event | Poison | NeedsSchema) for each in decoded)


# ── tombstones ──────────────────────────────────────────────────────────────────────────────────


def test_a_tombstone_is_skipped_unless_asked_for() -> None:
    assert isinstance(decoders().decode(record(None)), Skipped)


def test_a_tombstone_may_be_delivered_as_null() -> None:
    delivering = TopicFormat(topic="post.created", tombstones="deliver")

    event = decoders(delivering).decode(record(None))

    assert isinstance(event, Event)
    assert (event.type, event.data, event.key) == ("post.created", b"null", b"post_123")


def test_a_tombstone_may_be_an_event_of_its_own() -> None:
    deleting = TopicFormat(topic="post.state", tombstones=DeleteEvent("post.deleted"))

    event = decoders(deleting).decode(record(None, topic="post.state", key='a "key" ü'.encode()))

    assert isinstance(event, Event)
    assert event.type == "post.deleted"
    assert event.data == '{"key":"a \\"key\\" ü"}'.encode()
    assert event.source == "test/post.state"


def test_a_delete_event_without_a_key_says_so() -> None:
    deleting = TopicFormat(topic="post.state", tombstones=DeleteEvent("post.deleted"))

    event = decoders(deleting).decode(record(None, topic="post.state", key=None))

    assert isinstance(event, Event)
    assert event.data == b'{"key":null}'


def test_a_delete_event_whose_key_is_not_text_is_poison() -> None:
    deleting = TopicFormat(topic="post.state", tombstones=DeleteEvent("post.deleted"))

    decoded = decoders(deleting).decode(record(None, topic="post.state", key=b"\xff"))

    assert isinstance(decoded, Poison)
    assert decoded.code == "tombstone"


@pytest.mark.parametrize("type_source", [Field(("kind",)), RecordName()])
def test_a_delivered_tombstone_whose_type_is_in_its_value_is_poison(
    type_source: Field | RecordName,
) -> None:
    delivering = TopicFormat(
        topic="post.created", tombstones="deliver", format="avro",
        schema=POST.replace('"title"', '"kind"'), mapping=EventMapping(type=type_source),
    )  # fmt: skip

    decoded = decoders(delivering).decode(record(None))

    assert isinstance(decoded, Poison)
    assert decoded.code == "tombstone"


def test_a_tombstone_keeps_what_is_mapped_to_headers_and_falls_back_for_fields() -> None:
    mapping = EventMapping(
        type=Header("type"), id=Header("id"), time=Field(("t",)), key=Field(("k",)), subject=Header("about")
    )
    delivering = TopicFormat(topic="j", format="json", tombstones="deliver", mapping=mapping)
    headers = [("type", b"gone"), ("id", b"id-1"), ("about", b"post/1")]

    event = decoders(delivering).decode(record(None, topic="j", headers=headers))

    assert isinstance(event, Event)
    assert (event.type, event.id, event.subject) == ("gone", "id-1", "post/1")
    assert (event.time_us, event.key) == (1_700_000_000_123_000, b"post_123")


# ── formats that cannot work ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("topic_format", "said"),
    [
        (TopicFormat(topic="t", format="avro"), "topic t: "),
        (TopicFormat(topic=re.compile("t.*"), format="avro", schema="{"), r"topic t\.\*: "),
        (TopicFormat(topic="t", reader_schema="{"), "topic t: the reader schema does not compile"),
        (
            TopicFormat(topic="t", format="avro", schema=POST, mapping=EventMapping(id=Field(("x", "y")))),
            "topic t: The event's id is mapped to field x.y, which this schema does not have",
        ),
        (
            TopicFormat(topic="t", format="json", mapping=EventMapping(type=RecordName())),
            "topic t: The event's type is mapped to the Avro record's name, which gives ''",
        ),
        (
            TopicFormat(topic="t", mapping=EventMapping(type=TopicMap({"t": "two words"}))),
            "topic t: The event's type is mapped to the map of topics, which gives 'two words'",
        ),
        (
            TopicFormat(topic="t", tombstones=DeleteEvent("")),
            "topic t: The event's type is mapped to the map of topics, which gives ''",
        ),
    ],
)
def test_a_format_that_cannot_work_is_refused_at_once(topic_format: TopicFormat, said: str) -> None:
    with pytest.raises(BadTopicFormat, match=said):
        decoders(topic_format)


def test_avro_bytes_of_the_tests_are_what_producers_write() -> None:
    assert avro_bytes(NUMBER, {"n": 1}) == b"\x02"
