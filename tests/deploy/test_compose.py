"""docker-compose.yml and what it mounts: as far as a machine without a container engine can tell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

_ROOT = Path(__file__).parents[2]
_BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((_ROOT / "docker-compose.yml").read_text())
    return loaded


def test_it_follows_the_compose_specification() -> None:
    done = _run(
        str(_BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"
    )

    assert done.returncode == 0, done.stdout


def test_the_dockerfile_has_no_lint() -> None:
    done = _run(str(_BIN / "hadolint"), "deploy/Dockerfile")

    assert done.returncode == 0, done.stdout


def test_the_build_context_holds_what_the_dockerfile_copies() -> None:
    context = (_ROOT / ".dockerignore").read_text().splitlines()
    copies = [
        line.split()[1:-1]
        for line in (_ROOT / "deploy/Dockerfile").read_text().splitlines()
        if line.startswith("COPY") and "--from" not in line
    ]

    copied = [source for line in copies for source in line]
    assert len(copied) == 7
    for source in copied:
        assert (_ROOT / source).exists()
        assert f"!{source}" in context


def test_every_service_that_is_waited_for_to_be_healthy_has_a_health_check(compose: dict[str, Any]) -> None:
    services = compose["services"]
    waited_for = {
        name
        for service in services.values()
        for name, condition in service.get("depends_on", {}).items()
        if condition["condition"] == "service_healthy"
    }

    assert waited_for == {"kafka", "registry", "receivers"}
    for name in waited_for | {"connector"}:
        assert services[name]["healthcheck"]["test"]


def test_our_own_containers_have_no_rights_and_no_writable_file_system(compose: dict[str, Any]) -> None:
    for name in ("connector", "receivers", "seed"):
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_nothing_is_published_beyond_this_machine(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert len(published) == 4
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_connector_accepts_its_settings_and_subscriptions(compose: dict[str, Any]) -> None:
    secrets = compose["services"]["connector"]["environment"]

    done = _run(
        sys.executable, "-m", "connector", "subscriptions", "check",
        "--config", "deploy/compose/connector.yaml", "deploy/compose/subscriptions.yaml",
        environment=secrets,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 subscriptions" in done.stdout


def test_connector_and_receivers_share_their_secrets(compose: dict[str, Any]) -> None:
    services = compose["services"]

    assert services["connector"]["environment"] == services["receivers"]["environment"]


def test_the_connector_may_send_into_the_compose_network_and_nowhere_else_private(
    compose: dict[str, Any],
) -> None:
    settings = yaml.safe_load((_ROOT / "deploy/compose/connector.yaml").read_text())
    (network,) = compose["networks"]["inside"]["ipam"]["config"]

    assert settings["guard"]["allow_networks"] == [network["subnet"]]


def test_the_connector_is_given_longer_to_stop_than_it_takes_to_drain(compose: dict[str, Any]) -> None:
    assert compose["services"]["connector"]["stop_grace_period"] == "45s"


def _run(*command: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=_ROOT, env=os.environ | (environment or {}), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
