"""Topics: how each is read, and which are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connector.avro.topic_format import (
    DeleteEvent,
    EventMapping,
    Field,
    Header,
    RecordName,
    TopicFormat,
    TopicMap,
)
from connector.core.topic_names import matched
from connector.settings import Settings, SettingsError, load_settings
from connector.settings.subscription_rules import known_types, subscription_rules


def _settings(folder: Path, text: str) -> Settings:
    file = folder / "settings.yaml"
    file.write_text(text)
    return load_settings(config_file=file)


def test_a_word_is_a_topic_with_every_default(tmp_path: Path) -> None:
    assert _settings(tmp_path, "topics: [post.created]").topic_formats() == (
        TopicFormat(topic="post.created"),
    )


def test_every_part_of_an_event_can_be_mapped(tmp_path: Path) -> None:
    (tmp_path / "writer.avsc").write_text('"string"')
    (tmp_path / "reader.avsc").write_text('"bytes"')

    (topic_format,) = _settings(
        tmp_path,
        f"""\
topics:
  - name: orders
    format: avro
    schema_file: {tmp_path}/writer.avsc
    reader_schema_file: {tmp_path}/reader.avsc
    tombstones: {{delete_event: order.deleted}}
    long: string
    type: {{map: {{orders: order.changed}}}}
    id: {{header: order-id}}
    time: {{field: meta.changed_at}}
    key: {{field: customer}}
    data: {{field: payload}}
    subject: {{field: customer}}
""",
    ).topic_formats()

    assert topic_format == TopicFormat(
        topic="orders",
        format="avro",
        schema='"string"',
        reader_schema='"bytes"',
        long="string",
        tombstones=DeleteEvent("order.deleted"),
        mapping=EventMapping(
            type=TopicMap({"orders": "order.changed"}),
            id=Header("order-id"),
            time=Field(("meta", "changed_at")),
            key=Field(("customer",)),
            data=Field(("payload",)),
            subject=Field(("customer",)),
        ),
    )


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("topic", None),
        ("null", None),
        ("{record_name: true}", RecordName()),
        ("{field: type}", Field(("type",))),
        ("{header: ce_type}", Header("ce_type")),
    ],
)
def test_the_type_comes_from_anywhere(tmp_path: Path, written: str, taken: object) -> None:
    (topic_format,) = _settings(tmp_path, f"topics: [{{name: a, type: {written}}}]").topic_formats()

    assert topic_format.mapping.type == taken


def test_each_default_has_a_word(tmp_path: Path) -> None:
    text = (
        "topics: [{name: a, type: topic, id: derived, time: record, key: record, data: value, subject: none}]"
    )

    assert _settings(tmp_path, text).topic_formats() == (TopicFormat(topic="a"),)


@pytest.mark.parametrize(
    ("part", "written", "message"),
    [
        ("type", "name", "must be one of topic, {field: a.b}, {header: name}, {record_name: true}, {map: "),
        ("type", "{record_name: false}", "must be one of topic, "),
        ("type", "{map: {a: 5}}", "must be one of topic, "),
        ("id", "{record_name: true}", "must be one of derived, {field: a.b}, {header: name}"),
        ("time", "{header: x}", "must be one of record, {field: a.b}"),
        ("key", "{field: a..b}", "must be one of record, {field: a.b}"),
        ("data", "{field: a, header: b}", "must be one of value, {field: a.b}"),
        ("subject", "{field: ''}", "must be one of none, {field: a.b}, {header: name}"),
        ("tombstones", "keep", "must be one of skip, deliver, {delete_event: type}"),
        ("tombstones", "{delete_event: ''}", "must be one of skip, deliver, {delete_event: type}"),
        ("format", "xml", "must be 'confluent', 'avro' or 'json' (it is 'xml')"),
    ],
)
def test_a_mapping_that_means_nothing_is_answered_with_the_choices(
    tmp_path: Path, part: str, written: str, message: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"topics[0].{part}: {message}")):
        _settings(tmp_path, f"topics: [{{name: a, {part}: {written}}}]")


def test_a_pattern_reads_what_it_matches_whole_less_its_own_exclusions(tmp_path: Path) -> None:
    settings = _settings(
        tmp_path,
        r"topics: [{pattern: 'shop\..*', exclude: ['shop\.test', '.*\.tmp']}, {pattern: "
        r"'.*\.tmp\.keep'}, audit]",
    )
    existing = [
        "shop.a",
        "shop.test",
        "shop.test.b",
        "shop.a.tmp",
        "x.tmp.keep",
        "webhooks.parked",
        "a.shop.a",
    ]

    assert matched(settings.source_topics(), existing) == ["audit", "shop.a", "shop.test.b", "x.tmp.keep"]


def test_the_format_of_a_pattern_matches_the_same_topics(tmp_path: Path) -> None:
    (topic_format,) = _settings(
        tmp_path, r"topics: [{pattern: 'a|b\..*', exclude: 'b\.x', format: json}]"
    ).topic_formats()

    assert topic_format.matches("a")
    assert topic_format.matches("b.c")
    assert not topic_format.matches("b.x")
    assert not topic_format.matches("a.c")


def test_the_types_that_can_occur_follow_from_named_topics(tmp_path: Path) -> None:
    settings = _settings(
        tmp_path,
        "topics: [post.created, {name: users, type: {map: {users: user.changed}}, "
        "tombstones: {delete_event: user.deleted}}]",
    )

    assert known_types(settings) == {
        "post.created",
        "user.changed",
        "user.deleted",
        "connector.subscription.disabled",
        "connector.subscription.enabled",
    }


@pytest.mark.parametrize(
    "topic", ["{pattern: 'b.*'}", "{name: b, type: {header: t}}", "{name: b, type: {field: t}}"]
)
def test_types_that_the_records_decide_are_not_known(tmp_path: Path, topic: str) -> None:
    assert known_types(_settings(tmp_path, f"topics: [a, {topic}]")) == frozenset()


def test_the_rules_for_subscriptions_follow_from_the_settings(tmp_path: Path) -> None:
    settings = _settings(
        tmp_path,
        """\
delivery: {dialect: acme, body_bytes_max: 2048, max_age_extra_ms: 1h, lane: {in_flight_max: 3, queue_max: 4}}
dialects: {acme: {base: notify, timeout: 5s}}
guard: {allow_networks: 10.0.0.0/8, forbid_networks: 10.9.0.0/16}
sender: {proxy: "http://egress.internal:3128"}
""",
    )

    rules = subscription_rules(settings, known_types=["a"])

    assert rules.defaults.dialect.timeout_ms == 5_000
    assert (rules.defaults.in_flight_max, rules.defaults.queue_max) == (3, 4)
    assert (rules.defaults.body_bytes_max, rules.defaults.max_age_extra_ms) == (2_048, 3_600_000)
    assert rules.known_types == ("a",)
    assert rules.url_fault("https://10.1.2.3/hooks") == ""
    assert "allow_http" in rules.url_fault("http://10.1.2.3/hooks")
    assert "allow_networks" in rules.url_fault("https://192.168.0.1/hooks")
    assert "forbid_networks" in rules.url_fault("https://10.9.0.1/hooks")
    assert rules.defaults.proxy == "http://egress.internal:3128"
    assert rules.proxy_fault("http://10.1.2.3:3128") == ""
    assert "http://host:port" in rules.proxy_fault("socks5://10.1.2.3:1080")


@pytest.mark.parametrize(
    "topic",
    [
        "connector.restarted",
        "{name: connector.restarted, type: {map: {other: x}}}",
        "{name: restarts, type: {map: {restarts: connector.restarted}}}",
        "{pattern: 're.*', type: {map: {restarts: connector.restarted}}}",
        "{name: restarts, tombstones: {delete_event: connector.restarted}}",
    ],
)
def test_a_type_that_is_kept_for_the_connector_is_refused_with_the_cure(tmp_path: Path, topic: str) -> None:
    told = r"'connector\.restarted' begins with 'connector\.'.*map it to another"

    with pytest.raises(SettingsError, match=told):
        _settings(tmp_path, f"topics: [{topic}]")


@pytest.mark.parametrize(
    "topic",
    [
        "{name: connector.restarted, type: {map: {connector.restarted: restarted}}}",
        "{name: connector.restarted, type: {field: kind}}",
        "connectors.restarted",
    ],
)
def test_a_topic_named_like_one_may_be_mapped_to_another(tmp_path: Path, topic: str) -> None:
    assert len(_settings(tmp_path, f"topics: [{topic}]").topics) == 1
