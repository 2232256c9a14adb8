"""A service beside a cluster that changes under it, on the built-in cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from connector.app import service as service_module
from connector.app.service import Service
from connector.core.view import Diff
from connector.kafka.mock_cluster import CAPABILITIES, MockCluster
from connector.settings.load import Flag, load_settings
from connector.webhook.identity import read_identity
from tests.support.mock_kafka import mock_kafka
from tests.support.world import Log

__all__ = ["mock_kafka"]

TIERS = ("retry.5s", "retry.30s", "retry.2m", "retry.5m", "retry.30m", "retry.2h")
OWN = (*TIERS, "dead-letters", "parked", "operator-events", "sources", "shared")


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110  what a service comes to know has no event to wait for
            await asyncio.sleep(0.02)


def declare(folder: Path, *ids: str, **more: object) -> None:
    subscriptions = [
        {
            "id": id_,
            "url": "http://127.0.0.1:9/",
            "events": ["*"],
            "dialect": "webhooks-v1",
            "secrets": {"current": "a-secret-of-enough-bytes"},
            **more,
        }
        for id_ in ids
    ]
    (folder / "subscriptions.yaml").write_text(json.dumps({"subscriptions": subscriptions}))


def make_service(servers: str, folder: Path) -> Service:
    flags = {
        "kafka.bootstrap_servers": servers,
        "topics": '[{"name": "post.created", "format": "json"}]',
        "start": "earliest",
        "subscriptions_file": str(folder / "subscriptions.yaml"),
        "guard.allow_http": True,
        "guard.allow_networks": ["127.0.0.0/8"],
        "own_topics.allow_single_replica": True,
    }
    settings = load_settings([Flag(name=path, path=path, value=value) for path, value in flags.items()])
    return Service(settings, log=Log(), capabilities=CAPABILITIES, follow_ms=100)


@pytest.fixture
async def service(mock_kafka: MockCluster, tmp_path: Path) -> AsyncIterator[Service]:
    for name in ("post.created", *(f"webhooks.{own}" for own in OWN)):
        mock_kafka.create_topic(name, 1)
    declare(tmp_path, "one")
    service = make_service(mock_kafka.bootstrap_servers, tmp_path)
    await service.start()
    yield service
    await service.stop()


async def test_when_no_tier_can_be_seen_the_last_ones_stay_and_reading_holds(
    service: Service, mock_kafka: MockCluster
) -> None:
    assert service.worker is not None
    before = service.worker.outbox.tiers

    for tier in TIERS:
        mock_kafka.delete_topic(f"webhooks.{tier}")
    await until(lambda: "no retry tier can be seen" in service.doubt)
    assert service.worker.outbox.tiers == before
    assert service.worker.pumps[0].held
    mock_kafka.create_topic("webhooks.retry.30s", 1)
    await until(lambda: service.doubt == "")

    assert service.worker.outbox.tiers == (30_000,)
    assert not service.worker.pumps[0].held


async def test_a_key_that_is_replaced_while_the_view_changes_holds_reading_until_it_fits(
    service: Service, tmp_path: Path
) -> None:
    assert service.worker is not None
    issued, other = trustme.CA().issue_cert("a.example"), trustme.CA().issue_cert("b.example")
    pair = {"certificate_file": tmp_path / "tls.crt", "key_file": tmp_path / "tls.key", "ca_file": None}
    (tmp_path / "tls.crt").write_bytes(issued.cert_chain_pems[0].bytes())
    (tmp_path / "tls.key").write_bytes(issued.private_key_pem.bytes())
    identity = read_identity(**pair)
    before = [lane.subscription for lane in service.worker.lanes]
    after = replace(before[0], url="https://127.0.0.1:9/", tls=identity)

    (tmp_path / "tls.key").write_bytes(other.private_key_pem.bytes())
    service.viewed((after,), Diff(changed=("one",)), ())
    await until(lambda: "does not belong to the certificate" in service.doubt)
    assert [lane.subscription for lane in service.worker.lanes] == before
    assert service.worker.pumps[0].held
    (tmp_path / "tls.key").write_bytes(issued.private_key_pem.bytes())
    await until(lambda: service.doubt == "")

    assert [lane.subscription for lane in service.worker.lanes] == [after]
    assert not service.worker.pumps[0].held


async def test_the_view_is_read_again_when_learning_has_taken_long(
    mock_kafka: MockCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "LEARNING_MS", 0)
    for name in ("post.created", *(f"webhooks.{own}" for own in OWN)):
        mock_kafka.create_topic(name, 1)
    declare(tmp_path, "one")
    service = make_service(mock_kafka.bootstrap_servers, tmp_path)
    starting = asyncio.create_task(service.start())
    async with asyncio.timeout(40):
        while service.worker is None or not service.worker.lanes:  # noqa: ASYNC110  no event tells of it
            await asyncio.sleep(0)  # it learns by a thread, so a turn is soon enough

        declare(tmp_path, "one", "two")
        await starting

    assert [lane.subscription.id for lane in service.worker.lanes] == ["one", "two"]
    await service.stop()


async def test_a_start_that_gets_its_share_of_the_rate_limits_can_be_stopped(
    mock_kafka: MockCluster, tmp_path: Path
) -> None:
    for name in ("post.created", *(f"webhooks.{own}" for own in OWN)):
        mock_kafka.create_topic(name, 1)
    declare(tmp_path, "one", limits={"rate_per_s": 10})
    service = make_service(mock_kafka.bootstrap_servers, tmp_path)
    starting = asyncio.create_task(service.start())
    await until(lambda: service.starting == "getting a share of the rate limits")

    assert service.unready() == ["starting: getting a share of the rate limits"]
    starting.cancel()
    async with asyncio.timeout(20):
        await service.stop()

    assert starting.cancelled()


@pytest.mark.slow
async def test_the_view_is_read_again_after_a_wait_for_kafka(tmp_path: Path) -> None:
    declare(tmp_path, "one")
    with MockCluster() as away:
        away.take_down([1])
        service = make_service(away.bootstrap_servers, tmp_path)
        starting = asyncio.create_task(service.start())
        await until(lambda: service.starting.startswith("waiting for Kafka"))

        declare(tmp_path, "one", "two")
        away.bring_up([1])
        for name in ("post.created", *(f"webhooks.{own}" for own in OWN)):
            away.create_topic(name, 1)
        async with asyncio.timeout(40):
            await starting

        assert service.worker is not None
        assert {lane.subscription.id for lane in service.worker.lanes} == {"one", "two"}
        await service.stop()
