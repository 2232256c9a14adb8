"""Metrics: the books in Prometheus's text, read at the scrape."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from connector.core.accounts import Accounts, InHand
from connector.core.breaker import BreakerRules
from connector.core.disabling import Disabled
from connector.core.outcome import Failure
from connector.telemetry import declared_metrics
from connector.telemetry.declared_metrics import account_samples, isolation_samples, worker_samples
from connector.telemetry.metrics import LABEL_SETS_MAX, Buckets, Metric, Metrics, Sample
from tests.support.fake_board import FakeBoard, FakeTopic
from tests.support.virtual_time import virtual
from tests.support.world import World, limits, replies, subscription


def _values(samples: Iterable[Sample]) -> dict[str, float]:
    """What a scraper sees: name and labels to value, without the process's own resources."""
    text = Metrics(lambda: samples).exposition().decode()
    return {
        f"{sample.name}{sorted(sample.labels.items()) or ''}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not family.name.startswith("process_")
    }


def test_a_counter_a_gauge_and_their_labels() -> None:
    counter = Metric(name="done", kind="counter", help="Done.", labels=("how",))
    gauge = Metric(name="doing", kind="gauge", help="Doing.")

    assert _values([Sample(counter, 3, ("well",)), Sample(gauge, 2), Sample(counter, 1, ("badly",))]) == {
        "done_total[('how', 'well')]": 3,
        "done_total[('how', 'badly')]": 1,
        "doing": 2,
    }


def test_a_histogram_is_cumulative_and_ends_in_infinity() -> None:
    histogram = Metric(name="took_seconds", kind="histogram", help="Took.")

    values = _values([Sample(histogram, Buckets(bounds=[0.1, 1.0], counts=[1, 2, 3], sum=40.5))])

    assert values == {
        "took_seconds_bucket[('le', '0.1')]": 1,
        "took_seconds_bucket[('le', '1.0')]": 3,
        "took_seconds_bucket[('le', '+Inf')]": 6,
        "took_seconds_count": 6,
        "took_seconds_sum": 40.5,
    }


def test_values_are_read_at_every_scrape_and_not_before() -> None:
    counter = Metric(name="done", kind="counter", help="Done.")
    scrapes = []

    def read() -> list[Sample]:
        scrapes.append(1)
        return [Sample(counter, len(scrapes))]

    metrics = Metrics(read)

    assert scrapes == []
    assert b"done_total 1.0" in metrics.exposition()
    assert b"done_total 2.0" in metrics.exposition()


def test_a_label_that_grows_is_bounded_and_nothing_is_lost_from_the_sum() -> None:
    counter = Metric(name="done", kind="counter", help="Done.", labels=("id",))
    samples = [Sample(counter, count, (f"s-{count}",)) for count in range(1, LABEL_SETS_MAX + 11)]

    values = _values(samples)

    assert len(values) == LABEL_SETS_MAX + 1
    assert values["done_total[('id', 'other')]"] == sum(range(1, 11))
    assert sum(values.values()) == sum(range(1, LABEL_SETS_MAX + 11))


def test_the_process_tells_its_memory_and_file_descriptors() -> None:
    text = Metrics(lambda: []).exposition().decode()

    assert "process_resident_memory_bytes" in text
    assert "process_open_fds" in text


def test_the_books_are_told_whole() -> None:
    accounts = Accounts()
    accounts.records_read = 7
    accounts.deliveries_taken = 5
    accounts.to_tiers[300_000] = 2
    accounts.dead["expired"] = 1
    accounts.attempts[200] = 4
    accounts.attempts["timeout"] = 3
    accounts.jumps["retention"] = 1
    accounts.attempt_ms.add(30)

    values = _values(account_samples(accounts, InHand(records=3, deliveries=2)))

    assert values["webhook_connector_records_read_total"] == 7
    assert values["webhook_connector_records_in_hand"] == 3
    assert values["webhook_connector_deliveries_in_hand"] == 2
    assert values["webhook_connector_deliveries_to_tier_total[('tier', '5m')]"] == 2
    assert values["webhook_connector_deliveries_dead_total[('reason', 'expired')]"] == 1
    assert values["webhook_connector_attempts_total[('result', 'http-200')]"] == 4
    assert values["webhook_connector_attempts_total[('result', 'timeout')]"] == 3
    assert values["webhook_connector_jumps_total[('reason', 'retention')]"] == 1
    assert values["webhook_connector_attempt_seconds_sum"] == 0.03


@pytest.mark.parametrize("field", [*Accounts.__slots__])
def test_every_field_of_the_books_changes_some_metric(field: str) -> None:
    quiet, busy = Accounts(), Accounts()
    match getattr(busy, field):
        case int():
            setattr(busy, field, 1)
        case dict() as counts:
            counts[5_000 if field == "to_tiers" else "why"] = 1
        case histogram:
            histogram.add(1)

    nothing_in_hand = InHand(records=0, deliveries=0)

    assert _values(account_samples(busy, nothing_in_hand)) != _values(account_samples(quiet, nothing_in_hand))


@virtual
async def test_what_is_known_of_endpoints_and_workers_is_counted_by_state_and_never_by_subscription() -> None:
    topic = FakeTopic()
    world = World.new(limits=limits(breaker=BreakerRules(failures_to_open=1)), board=FakeBoard(topic))
    world.behave("failing", replies(500))
    world.behave("asks", replies(503, retry_after=b"3600"))
    world.fill(1)
    ids = ("sound", "failing", "asks", "disabled")
    world.start([*map(subscription, ids), subscription("paused", paused=True)])
    disabled = world.worker.lanes.get("disabled")
    assert disabled is not None
    disabled.disabled = Disabled(since_ms=0, why="It failed.", probes_at_ms=1 << 50)
    topic.append(b"worker/other", b"of another version")
    await asyncio.sleep(3)

    values = _values(isolation_samples(world.worker))

    assert values == {
        "webhook_connector_lanes[('breaker', 'closed')]": 3,
        "webhook_connector_lanes[('breaker', 'open')]": 1,
        "webhook_connector_lanes[('breaker', 'half-open')]": 0,
        "webhook_connector_lanes[('breaker', 'held-off')]": 1,
        "webhook_connector_lanes_proven": 1,
        "webhook_connector_subscriptions_paused": 1,
        "webhook_connector_subscriptions_disabled": 1,
        "webhook_connector_sending_held[('reason', 'unreachable')]": 0,
        "webhook_connector_sending_held[('reason', 'resources')]": 0,
        "webhook_connector_sending_held[('reason', 'proxy')]": 0,
        "webhook_connector_hosts_at_rest[('reason', 'resources')]": 0,
        "webhook_connector_hosts_at_rest[('reason', 'proxy')]": 0,
        "webhook_connector_rate_limit_share_ratio": 0.5,
        "webhook_connector_workers_alive": 2,
        "webhook_connector_news_unreadable_total": 1,
    }
    await world.worker.stop()


@virtual
async def test_a_hold_for_a_fault_of_our_own_is_a_gauge_and_leaves_the_worker_ready() -> None:
    world = World.new()
    ids = [f"s{number}" for number in range(12)]
    world.fill(1)
    world.start([*map(subscription, ids)])
    await asyncio.sleep(1)
    for id_ in ids:
        world.behave(id_, lambda _: (0.01, Failure("dns", "the name server does not answer")))

    for _ in range(40):
        world.fill(5)
        await asyncio.sleep(1)

    values = _values(worker_samples(world.worker, is_ready=not world.worker.unready(), is_in_doubt=False))
    assert values["webhook_connector_sending_held[('reason', 'unreachable')]"] == 1
    assert values["webhook_connector_ready"] == 1
    await world.kill()


@virtual
async def test_a_worker_tells_its_books_and_its_state() -> None:
    world = World.new()
    world.start([subscription("a")])
    await asyncio.sleep(1)

    values = _values(worker_samples(world.worker, is_ready=True, is_in_doubt=False))

    assert values["webhook_connector_ready"] == 1
    assert values["webhook_connector_records_read_total"] == 0
    assert values["webhook_connector_partitions[('group', 'source')]"] == 1
    assert values["webhook_connector_workers_alive"] == 1
    await world.worker.stop()


def test_every_metric_is_declared_once_with_our_name_and_a_sentence() -> None:
    metrics = [each for each in vars(declared_metrics).values() if isinstance(each, Metric)]

    assert len({metric.name for metric in metrics}) == len(metrics)
    for metric in metrics:
        assert metric.name.startswith("webhook_connector_")
        assert metric.help.endswith(".")
