"""Settings on the command line."""

from __future__ import annotations

import argparse
from ipaddress import ip_network
from pathlib import Path

import pytest

from connector.settings import Settings, SettingsError
from connector.settings.flags import add_settings_flags, settings_from


def _settings(*argv: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_settings_flags(parser)
    return settings_from(parser.parse_args(argv))


def test_what_is_set_by_hand_most_has_a_flag_of_its_own() -> None:
    settings = _settings(
        "--bootstrap-servers", "a:1,b:1", "--group", "g", "--prefix", "p", "--start", "earliest",
        "--topic", "post.created", "--topic", "user.joined", "--registry-url", "http://r:8081",
        "--subscriptions", "subs.yaml", "--allow-shrink", "--allow-single-replica", "--allow-http",
        "--allow-network", "10.0.0.0/8", "--allow-network", "fd00::/8", "--http-port", "0",
        "--log-format", "console", "--log-level", "debug",
    )  # fmt: skip

    assert settings.kafka.bootstrap_servers == "a:1,b:1"
    assert (settings.group, settings.prefix, settings.start) == ("g", "p", "earliest")
    assert [topic.name for topic in settings.topics] == ["post.created", "user.joined"]
    assert settings.registry is not None
    assert settings.registry.urls == ("http://r:8081",)
    assert settings.subscriptions_file == Path("subs.yaml")
    assert settings.allow_shrink
    assert settings.own_topics.allow_single_replica
    assert settings.guard.allow_http
    assert settings.guard.allow_networks == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert settings.http.port == 0
    assert (settings.log.format, settings.log.level) == ("console", "debug")


def test_set_reaches_every_setting() -> None:
    settings = _settings(
        "--set", "delivery.lane.in_flight_max=4",
        "--set", "kafka.properties.sasl.mechanism=PLAIN",
        "--set", "kafka.bootstrap_servers=[::1]:9092",
        "--set", "dialects.acme={base: notify, timeout: 5s}",
        "--set", "topics=[{name: a, format: json}]",
    )  # fmt: skip

    assert settings.delivery.lane.in_flight_max == 4
    assert settings.kafka.client_properties() == {
        "bootstrap.servers": "[::1]:9092",
        "sasl.mechanism": "PLAIN",
    }
    assert settings.all_dialects["acme"].timeout_ms == 5_000
    assert settings.topics[0].format == "json"


def test_of_two_the_later_one_counts() -> None:
    assert _settings("--prefix", "a", "--set", "prefix=b").prefix == "b"


def test_a_flag_is_blamed_by_its_name() -> None:
    with pytest.raises(SettingsError, match=r"^flag --http-port: http\.port: must be a whole number"):
        _settings("--http-port", "many")
    with pytest.raises(SettingsError, match=r"^flag --set http\.prt: http\.prt: there is no such key"):
        _settings("--set", "http.prt=1")


@pytest.mark.parametrize("text", ["prefix", "=a"])
def test_an_assignment_needs_a_name_and_a_value(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _settings("--set", text)

    assert f"'{text}' is not NAME=VALUE" in capsys.readouterr().err


def test_the_file_is_named_by_config(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("prefix: hooks")

    assert _settings("--config", str(tmp_path / "s.yaml")).prefix == "hooks"
