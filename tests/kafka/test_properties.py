"""Client properties, judged by the client library without making a client."""

from __future__ import annotations

import threading

import pytest

from connector.kafka.properties import USUAL, is_known, value_fault


@pytest.mark.parametrize("name", USUAL)
def test_a_name_that_is_suggested_is_a_property(name: str) -> None:
    assert is_known(name)


@pytest.mark.parametrize("name", ["sasl.usernme", "", "topic.foo", "error_cb", "default.topic.config"])
def test_what_the_library_does_not_know_or_takes_no_text_for_is_not_known(name: str) -> None:
    assert not is_known(name)


@pytest.mark.parametrize(
    ("name", "value"),
    [("linger.ms", "5"), ("session.timeout.ms", "6000"), ("sasl.password", "any"), ("client.rack", "")],
)
def test_what_any_client_takes_has_no_fault(name: str, value: str) -> None:
    assert value_fault(name, value) == ""


def test_a_fault_never_holds_a_secret() -> None:
    assert value_fault("sasl.jaas.config", "hush") != ""
    assert "hush" not in value_fault("sasl.jaas.config", "hush")


def test_no_client_is_made() -> None:
    before = threading.active_count()

    for name in USUAL:
        value_fault(name, "1")

    assert threading.active_count() == before
