"""Metrics read when somebody asks: plain numbers in, Prometheus text out.

The engine counts in plain integers and knows nothing of this; a scrape reads them. So the hot path pays
nothing, and a number on the dashboard is the very number the books add up with. Names, kinds and labels of
all metrics are declared in :mod:`connector.telemetry.declared_metrics`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

LABEL_SETS_MAX = 200
"""Of one metric. The rest are added up as ``other``: a label that grows with the number of subscriptions or
topics would otherwise cost the monitoring more than the connector."""

OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """``name`` ends in its unit, and is written without Prometheus's ``_total``. ``help`` is one sentence."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """A histogram's state: ``counts`` of each bucket up to the bound of its position, then one above all."""

    bounds: Sequence[float]
    counts: Sequence[int]
    sum: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A metric's value at this moment; ``labels`` in the order of the metric's own."""

    metric: Metric
    value: float | Buckets
    labels: tuple[str, ...] = ()


Read = Callable[[], Iterable[Sample]]
"""Called on the loop at every scrape; takes milliseconds at most, changes nothing."""


class Metrics:
    """All metrics of the process, its own resources (memory, CPU, file descriptors) included."""

    def __init__(self, read: Read) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Reading(read))
        ProcessCollector(registry=self._registry)

    def exposition(self) -> bytes:
        """Everything now, in Prometheus's text format."""
        return generate_latest(self._registry)


class _Reading(Collector):
    def __init__(self, read: Read) -> None:
        self._read = read

    def describe(self) -> Iterable[Family]:
        return ()  # else registering would read before there is anything to read

    def collect(self) -> Iterator[Family]:
        samples: defaultdict[Metric, list[Sample]] = defaultdict(list)
        for sample in self._read():
            samples[sample.metric].append(sample)
        for metric, found in samples.items():
            yield _family(metric, found)


def _family(metric: Metric, samples: list[Sample]) -> Family:
    match metric.kind:
        case "histogram":
            return _histogram(metric, samples)
        case "counter":
            family: CounterMetricFamily | GaugeMetricFamily = CounterMetricFamily(
                metric.name, metric.help, labels=metric.labels
            )
        case "gauge":
            family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in _bounded(metric, samples):
        family.add_metric(labels, value)
    return family


def _bounded(metric: Metric, samples: list[Sample]) -> Iterator[tuple[tuple[str, ...], float]]:
    """The largest values by their labels, and the rest as one."""
    values = []
    for sample in samples:
        assert not isinstance(sample.value, Buckets)
        assert len(sample.labels) == len(metric.labels)
        values.append((sample.labels, sample.value))
    if len(values) > LABEL_SETS_MAX:
        values.sort(key=lambda pair: pair[1], reverse=True)
        rest = sum(value for _, value in values[LABEL_SETS_MAX:])
        values[LABEL_SETS_MAX:] = [((OTHER,) * len(metric.labels), rest)]
    yield from values


def _histogram(metric: Metric, samples: list[Sample]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for sample in samples:
        buckets = sample.value
        assert isinstance(buckets, Buckets)
        assert len(buckets.counts) == len(buckets.bounds) + 1
        total = 0
        cumulative = []
        for bound, count in zip([*map(str, buckets.bounds), "+Inf"], buckets.counts, strict=True):
            total += count
            cumulative.append((bound, float(total)))
        family.add_metric(sample.labels, cumulative, buckets.sum)
    return family
