"""Where settings come from, and which source wins."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from connector.core.start import StartAtTime
from connector.settings import Flag, Settings, load_settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.yaml"


def test_nothing_set_gives_the_defaults() -> None:
    settings = load_settings()

    assert settings.prefix == "webhooks"
    assert settings.kafka.bootstrap_servers is None
    assert settings.start is None
    assert settings.topics == ()
    assert settings.commit_interval_ms == 1_000
    assert settings.delivery.body_bytes_max == 1_048_576
    assert settings.delivery.stop_drain_ms == 35_000
    assert not settings.guard.allow_http


def test_flags_come_before_environment_before_file_before_defaults(
    file: Path, environment: pytest.MonkeyPatch
) -> None:
    file.write_text("prefix: from-file\ngroup: from-file\nsource_name: from-file\n")
    environment.setenv("WEBHOOK_CONNECTOR_PREFIX", "from-environment")
    environment.setenv("WEBHOOK_CONNECTOR_GROUP", "from-environment")

    settings = load_settings([Flag(name="--prefix", path="prefix", value="from-flag")], config_file=file)

    assert settings.prefix == "from-flag"
    assert settings.group == "from-environment"
    assert settings.source_name == "from-file"
    assert settings.group_protocol == "classic"


def test_groups_are_merged_member_by_member(file: Path, environment: pytest.MonkeyPatch) -> None:
    file.write_text("http: {port: 1, host: 127.0.0.1}\nkafka: {properties: {client.id: a, client.rack: a}}")
    environment.setenv("WEBHOOK_CONNECTOR_HTTP__PORT", "2")
    environment.setenv("WEBHOOK_CONNECTOR_KAFKA__PROPERTIES", '{"client.rack": "b"}')

    settings = load_settings(
        [Flag(name="--set", path="kafka.properties.sasl.username", value="me")], config_file=file
    )

    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 2)
    assert {name: value.get_secret_value() for name, value in settings.kafka.properties.items()} == {
        "client.id": "a",
        "client.rack": "b",
        "sasl.username": "me",
    }


def test_a_list_is_replaced_whole(file: Path, environment: pytest.MonkeyPatch) -> None:
    file.write_text("topics: [a, b]")
    environment.setenv("WEBHOOK_CONNECTOR_TOPICS", "c, d")

    assert [topic.name for topic in load_settings(config_file=file).topics] == ["c", "d"]


def test_the_environment_takes_lists_and_groups_in_one_line(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WEBHOOK_CONNECTOR_TOPICS", "[a, {pattern: 'b\\..*', format: json}]")
    environment.setenv("WEBHOOK_CONNECTOR_REGISTRY__URLS", "http://one:8081,http://two:8081")
    environment.setenv("WEBHOOK_CONNECTOR_GUARD__ALLOW_NETWORKS", '["10.0.0.0/8"]')
    environment.setenv("WEBHOOK_CONNECTOR_DIALECTS__ACME", "{base: notify, timeout: 5s}")
    environment.setenv("webhook_connector_allow_shrink", "true")

    settings = load_settings()

    assert [(topic.name, topic.pattern, topic.format) for topic in settings.topics] == [
        ("a", None, "confluent"),
        (None, "b\\..*", "json"),
    ]
    assert settings.registry is not None
    assert settings.registry.urls == ("http://one:8081", "http://two:8081")
    assert settings.guard.allow_networks == (ip_network("10.0.0.0/8"),)
    assert settings.all_dialects["acme"].timeout_ms == 5_000
    assert settings.allow_shrink


def test_a_variable_that_is_empty_sets_nothing(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WEBHOOK_CONNECTOR_PREFIX", "")

    assert load_settings().prefix == "webhooks"


def test_the_environment_may_name_the_file(file: Path, environment: pytest.MonkeyPatch) -> None:
    file.write_text("prefix: hooks")
    environment.setenv("WEBHOOK_CONNECTOR_CONFIG", str(file))

    assert load_settings().prefix == "hooks"


def test_a_file_named_by_a_flag_comes_before_one_named_by_the_environment(
    file: Path, environment: pytest.MonkeyPatch
) -> None:
    file.write_text("prefix: hooks")
    environment.setenv("WEBHOOK_CONNECTOR_CONFIG", "/does/not/exist")

    assert load_settings(config_file=file).prefix == "hooks"


def test_an_empty_file_sets_nothing(file: Path) -> None:
    file.write_text("# later\n")

    assert load_settings(config_file=file) == load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOK_CONNECTOR_SERVICE_HOST", "10.0.0.1"),
        ("WEBHOOK_CONNECTOR_SERVICE_PORT", "80"),
        ("WEBHOOK_CONNECTOR_SERVICE_PORT_HTTP", "80"),
        ("WEBHOOK_CONNECTOR_PORT", "tcp://10.0.0.1:80"),
        ("WEBHOOK_CONNECTOR_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("WEBHOOK_CONNECTOR_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("WEBHOOK_CONNECTOR_METRICS_PORT", "tcp://10.0.0.1:80"),
        ("WEBHOOK_CONNECTOR_METRICS_SERVICE_HOST", "10.0.0.1"),
    ],
)
def test_what_kubernetes_sets_for_a_service_of_our_name_is_passed_over(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(name, value)

    assert load_settings().http.port == 8080


@pytest.mark.parametrize("written", ["2s", "2000ms", "2000"])
def test_a_setting_in_ms_takes_a_number_or_a_duration(environment: pytest.MonkeyPatch, written: str) -> None:
    environment.setenv("WEBHOOK_CONNECTOR_COMMIT_INTERVAL_MS", written)

    assert load_settings().commit_interval_ms == 2_000


def test_a_setting_in_bytes_takes_a_number_or_a_size(file: Path) -> None:
    file.write_text("delivery: {body_bytes_max: 2MiB, window_bytes_max: 65536}")

    delivery = load_settings(config_file=file).delivery

    assert (delivery.body_bytes_max, delivery.window_bytes_max) == (2_097_152, 65_536)


@pytest.mark.parametrize(
    ("written", "start"),
    [
        ("earliest", "earliest"),
        ("latest", "latest"),
        ("2026-01-15T12:30:00Z", StartAtTime(1_768_480_200_000)),
        ("2026-01-15T13:30:00+01:00", StartAtTime(1_768_480_200_000)),
    ],
)
def test_start_is_a_word_or_a_time(file: Path, written: str, start: object) -> None:
    file.write_text(f"start: {written}")

    assert load_settings(config_file=file).start == start


def test_secrets_come_from_text_environment_or_file_and_are_never_shown(
    file: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("KAFKA_PASSWORD", "hunter2-kafka")
    mounted = file.parent / "password"
    mounted.write_text("hunter2-registry\n")
    environment.setenv("WEBHOOK_CONNECTOR_REGISTRY__PASSWORD__FILE", str(mounted))
    file.write_text("""\
kafka:
  bootstrap_servers: broker:9092
  properties: {sasl.password: {env: KAFKA_PASSWORD}, ssl.key.password: hunter2-text}
registry: {urls: https://registry.example, username: me}
""")

    settings = load_settings(config_file=file)

    assert settings.kafka.client_properties() == {
        "bootstrap.servers": "broker:9092",
        "sasl.password": "hunter2-kafka",
        "ssl.key.password": "hunter2-text",
    }
    assert settings.registry is not None
    assert settings.registry.password.get_secret_value() == "hunter2-registry"
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_librdkafka_is_told_true_and_numbers_in_its_own_words(file: Path) -> None:
    file.write_text(
        "kafka: {bootstrap_servers: 'b:1', properties: {enable.ssl.certificate.verification: false, "
        "socket.timeout.ms: 5000, log_level: '3'}}"
    )

    assert load_settings(config_file=file).kafka.client_properties() == {
        "bootstrap.servers": "b:1",
        "enable.ssl.certificate.verification": "false",
        "socket.timeout.ms": "5000",
        "log_level": "3",
    }


def test_the_own_topics_live_on_the_same_cluster_unless_there_is_another(file: Path) -> None:
    file.write_text("kafka: {bootstrap_servers: 'a:1'}")
    same = load_settings(config_file=file)
    file.write_text("kafka: {bootstrap_servers: 'a:1'}\nown_kafka: {bootstrap_servers: 'b:1'}")
    other = load_settings(config_file=file)

    assert same.own_cluster.bootstrap_servers == "a:1"
    assert other.own_cluster.bootstrap_servers == "b:1"


def test_settings_do_not_change(file: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().prefix = "other"


def test_the_class_itself_reads_no_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WEBHOOK_CONNECTOR_PREFIX", "hooks")

    assert Settings().prefix == "webhooks"
