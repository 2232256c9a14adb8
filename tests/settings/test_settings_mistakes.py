"""What is said of settings that cannot be used: what, who set it, and the cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.settings import Flag, SettingsError, load_settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.yaml"


def _mistakes(file: Path | None = None, *flags: Flag, needs: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(flags, config_file=file, needs=needs)
    return str(caught.value).replace(f"{file}:", "").splitlines()


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("prefx: a", "1:1: prefx: there is no such key; did you mean prefix?"),
        ("kafka: {propertis: {}}", "1:9: kafka.propertis: there is no such key; did you mean properties?"),
        ("http: {zzz: 1}", "1:8: http.zzz: there is no such key; known: host, port"),
        ("http: {port: many}", "1:14: http.port: must be a whole number (it is 'many')"),
        ("http: {port: 65536}", "1:14: http.port: must be at most 65535 (it is 65536)"),
        ("http: 5", "1:7: http: must hold members, such as 'name: value'"),
        ("log: {level: loud}", "1:14: log.level: must be 'debug', 'info', 'warning' or 'error' (it is "
         "'loud')"),
        ("allow_shrink: maybe", "1:15: allow_shrink: must be true or false (it is 'maybe')"),
        ("commit_interval_ms: soon", "1:21: commit_interval_ms: 'soon' is not a duration; write a "
         "number with "
         "ms, s, m, h, d, such as 30s or 1h30m"),
        ("commit_interval_ms: 5ms", "1:21: commit_interval_ms: must be at least 100 (it is 5)"),
        ("delivery: {body_bytes_max: big}", "1:28: delivery.body_bytes_max: 'big' is not a size; write "
         "a number "
         "with B, kB, MB, GB, KiB, MiB, GiB, such as 1MiB"),
        ("start: now", "1:8: start: must be earliest, latest, or a time with its zone such as "
         "2026-01-15T12:30:00Z"),
        ("start: 2026-01-15T12:30:00", "1:8: start: must be earliest, latest, or a time with its zone "
         "such as "
         "2026-01-15T12:30:00Z"),
        ("prefix: __a", "1:9: prefix: prefix '__a' cannot begin a topic name: use letters, digits, '.', "
         "'_' and "
         "'-', at most 228 of them, and not two underscores at the start"),
        ("kafka: {bootstrap_servers: 'a:1, b:1'}", "1:28: kafka.bootstrap_servers: must be brokers such as "
         "kafka-1:9092,kafka-2:9092 without blanks, not 'a:1, b:1'"),
        ("kafka: {properties: {group.id: a}}", "1:22: kafka.properties.group.id: set group instead"),
        ("kafka: {properties: {acks: 1}}", "1:22: kafka.properties.acks: every write is acknowledged by all "
         "in-sync replicas; remove it"),
        ("kafka: {properties: {sasl.usernme: a}}", "1:22: kafka.properties.sasl.usernme: librdkafka has no "
         "such property; did you mean sasl.username?"),
        ("own_kafka: {properties: {error_cb: a}}", "1:26: own_kafka.properties.error_cb: librdkafka has no "
         "such property"),
        ("kafka: {properties: {security.protocol: sasl}}", "1:41: kafka.properties.security.protocol: "
         'Invalid value "sasl" for configuration property "security.protocol"'),
        ("kafka: {properties: {socket.timeout.ms: 5}}", "1:41: kafka.properties.socket.timeout.ms: "
         'Configuration property "socket.timeout.ms" value 5 is outside allowed range 10..300000'),
        ("kafka: {properties: {partitioner: random}}", "1:35: kafka.properties.partitioner: Kafka property "
         "partitioner is set by the connector: records of a key must meet in one partition, whoever wrote "
         "them. Remove it"),
        ("guard: {allow_networks: [10.0.0.1/8]}", "1:26: guard.allow_networks[0]: must be a network "
         "such as 10.1.0.0/16: 10.0.0.1/8 "
         "has host bits set"),
        ("delivery: {dialect: belamy}", "1:21: delivery.dialect: there is no such dialect; did you mean "
         "bellamy?"),
        ("dialects: {bellamy: notify}", "1:21: dialects.bellamy: is the name of a built-in dialect; choose "
         "another"),
        ("dialects: {acme: {base: notfy}}", "1:18: dialects.acme: there is no dialect 'notfy'; did you mean "
         "notify?"),
        ("dialects: {Acme: notify}", "1:18: dialects.Acme: name: 'Acme' must be letters, digits and "
         "dashes, 64 "
         "at most"),
        ("own_topics: {replication_factor: 1}", "1:34: own_topics.replication_factor: 1 is fewer than 3; set "
         "allow_single_replica too if a lost disk may lose events"),
        ("registry: {urls: [ftp://x]}", "1:19: registry.urls[0]: must be a URL such as "
         "https://registry.example:8081"),
        ("registry: {urls: []}", "1:18: registry.urls: must have at least 1 entry"),
        ("registry: {urls: http://a, username: me}", "1:38: registry.username: username and password go "
         "together; give both or neither"),
        ("registry: {urls: http://a, bearer_token: t, username: me, password: p}", "1:42: "
         "registry.bearer_token: "
         "give a bearer token or a user name, not both"),
        ("topics: [{}]", "1:10: topics[0]: must have either a name or a pattern"),
        ("topics: [{name: a, pattern: b}]", "1:10: topics[0]: must have either a name or a pattern"),
        ("topics: [{pattern: 'x('}]", "1:20: topics[0].pattern: is not a regular expression: missing ), "
         "unterminated subpattern at position 1"),
        ("topics: [{name: a, exclude: b}]", "1:29: topics[0].exclude: goes with a pattern; a topic that "
         "is named "
         "is read"),
        ("topics: [{name: a, format: avro}]", "1:10: topics[0].schema_file: goes with format: avro, and "
         "is needed "
         "there"),
        ("topics: [{name: a, schema_file: /none}]", "1:33: topics[0].schema_file: path does not point "
         "to a file "
         "(it is '/none')"),
        ("topics: [webhooks.dead-letters]", "1:9: topics: topic webhooks.dead-letters lies under the "
         "connector's "
         "own prefix 'webhooks' and cannot be a source: choose another prefix or leave the topic out"),
        ("[]", "1:1: must hold settings, such as 'prefix: webhooks'"),
        ("prefix: a\nprefix: b", "2:1: the key 'prefix' stands twice, first in line 1; remove one"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_named_with_its_place_and_cure(file: Path, text: str, mistake: str) -> None:
    file.write_text(text)

    assert _mistakes(file) == [mistake]


def test_all_mistakes_of_all_sources_are_told_at_once(file: Path, environment: pytest.MonkeyPatch) -> None:
    file.write_text("prefx: a\n")
    environment.setenv("WEBHOOK_CONNECTOR_HTTP__PORT", "many")
    environment.setenv("WEBHOOK_CONNECTOR_LOG__LEVL", "info")

    assert sorted(_mistakes(file, Flag(name="--set group", path="group", value="a b"))) == [
        "1:1: prefx: there is no such key; did you mean prefix?",
        "environment WEBHOOK_CONNECTOR_HTTP__PORT: http.port: must be a whole number (it is 'many')",
        "environment WEBHOOK_CONNECTOR_LOG__LEVL: log.levl: there is no such key; did you mean level?",
        "flag --set group: group: must match ^[A-Za-z0-9._-]{1,200}$ (it is 'a b')",
    ]


def test_the_source_that_won_is_blamed(file: Path, environment: pytest.MonkeyPatch) -> None:
    file.write_text("http: {port: 1}")
    environment.setenv("WEBHOOK_CONNECTOR_HTTP__PORT", "many")

    assert _mistakes(file) == [
        "environment WEBHOOK_CONNECTOR_HTTP__PORT: http.port: must be a whole number (it is 'many')"
    ]


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("WEBHOOK_CONNECTOR_PREFX", "; did you mean WEBHOOK_CONNECTOR_PREFIX?"),
        ("WEBHOOK_CONNECTOR_HTTP_PORT", "; did you mean WEBHOOK_CONNECTOR_HTTP__PORT?"),
        ("WEBHOOK_CONNECTOR_Q", ""),
    ],
)
def test_a_variable_that_means_nothing_is_refused(
    environment: pytest.MonkeyPatch, name: str, suggestion: str
) -> None:
    environment.setenv(name, "8080")

    assert _mistakes() == [f"environment {name}: there is no such setting{suggestion}"]


def test_a_list_in_a_variable_that_cannot_be_read_is_placed(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WEBHOOK_CONNECTOR_TOPICS", "[a")

    (mistake,) = _mistakes()

    assert mistake.startswith("environment, topics:2:1: is not YAML")


def test_a_setting_that_is_needed_and_missing_names_the_three_ways_to_set_it() -> None:
    assert _mistakes(needs=("kafka.bootstrap_servers", "prefix", "topics")) == [
        "settings: kafka.bootstrap_servers: is missing; set it as kafka.bootstrap_servers in the "
        "settings file, "
        "as WEBHOOK_CONNECTOR_KAFKA__BOOTSTRAP_SERVERS, or with --set kafka.bootstrap_servers=…",
        "settings: topics: is missing; set it as topics in the settings file, as "
        "WEBHOOK_CONNECTOR_TOPICS, or "
        "with --set topics=…",
    ]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "none.yaml"

    assert _mistakes(file) == [" cannot be read: No such file or directory; check the path"]


@pytest.mark.parametrize(
    "text",
    [
        "registry: {urls: 'http://me:hunter2@registry.example'}",
        "registry: {urls: 'http://a', password: [hunter2]}",
        "registry: {urls: 'http://a', password: hunter2}",
        "registry: {urls: 'http://a', username: me, password: hunter2, bearer_token: hunter2}",
        "kafka: {properties: {sasl.password: [hunter2]}}",
        "kafka: {properties: hunter2}",
        "registry: hunter2",
    ],
)
def test_no_message_holds_a_secret(file: Path, text: str) -> None:
    file.write_text(text)

    assert "hunter2" not in "\n".join(_mistakes(file))


def test_a_secret_that_cannot_be_read_is_named_with_its_place(file: Path) -> None:
    file.write_text("kafka:\n  properties: {sasl.password: {env: NOT_SET_ANYWHERE}}\n")

    assert _mistakes(file) == [
        "2:31: kafka.properties.sasl.password: the environment variable NOT_SET_ANYWHERE is not set; "
        "set it, or "
        "name another"
    ]


@pytest.mark.parametrize(
    ("path", "text", "count_max"),
    [
        ("topics", "topics: [{}]", 10_000),
        ("registry.urls", "registry: {{urls: [{}]}}", 10),
        ("guard.allow_networks", "guard: {{allow_networks: [{}]}}", 100),
        ("guard.forbid_networks", "guard: {{forbid_networks: [{}]}}", 100),
    ],
)
def test_no_list_is_endless(file: Path, path: str, text: str, count_max: int) -> None:
    entry = {"topics": "a", "registry.urls": "http://a"}.get(path, "10.0.0.0/8")
    file.write_text(text.format(", ".join([entry] * (count_max + 1))))

    (mistake,) = _mistakes(file)

    assert mistake.endswith(f" {path}: must not have more than {count_max} entries")


def test_no_group_of_dialects_is_endless(file: Path) -> None:
    file.write_text("dialects: {" + ", ".join(f"d{n}: notify" for n in range(101)) + "}")

    assert _mistakes(file) == ["1:11: dialects: must not have more than 100 entries"]
