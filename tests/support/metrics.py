"""Reads ``/metrics`` as a monitoring system would, and does the sums that must come out.

What has not happened yet has no samples, and reads as 0. So that nothing else does, only what is declared can
be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from connector.telemetry import declared_metrics
from connector.telemetry.metrics import Metric

_PREFIX = "webhook_connector_"
_LABELS = {
    each.name.removeprefix(_PREFIX) + ("_total" if each.kind == "counter" else ""): frozenset(each.labels)
    for each in vars(declared_metrics).values()
    if isinstance(each, Metric)
}
"""Those that each metric has."""

_RECORD_FATES = ("records_settled_total", "records_released_total", "records_in_hand")
_DELIVERY_FATES = (
    "deliveries_accepted_total",
    "deliveries_to_tier_total",
    "deliveries_parked_total",
    "deliveries_dead_total",
    "deliveries_dropped_copies_total",
    "deliveries_released_total",
    "deliveries_in_hand",
)


@dataclass(frozen=True, slots=True)
class Scrape:
    """All samples of one moment."""

    samples: tuple[tuple[str, dict[str, str], float], ...]

    @classmethod
    def of(cls, text: str) -> Scrape:
        families = text_string_to_metric_families(text)
        samples = tuple((one.name, one.labels, one.value) for family in families for one in family.samples)
        assert samples, "this page has no samples"
        return cls(samples)

    def sum(self, name: str, **labels: str) -> float:
        """One metric, without the connector's prefix, over all samples with these labels; 0 if none. Fails
        when no such metric or label is declared."""
        assert name in _LABELS, f"there is no metric {name}"
        for label in labels:
            assert label in _LABELS[name], f"{name} has no label {label}"
        wanted = labels.items()
        return sum(
            value
            for full_name, found, value in self.samples
            if full_name == _PREFIX + name and wanted <= found.items()
        )

    def problems(self) -> list[str]:
        """The equations that do not hold, in words."""
        return [
            *self._compare("records_read_total", _RECORD_FATES),
            *self._compare("deliveries_taken_total", _DELIVERY_FATES),
        ]

    def _compare(self, taken: str, fates: tuple[str, ...]) -> list[str]:
        parts = {fate: self.sum(fate) for fate in fates}
        if self.sum(taken) == sum(parts.values()):
            return []
        return [f"{taken} is {self.sum(taken)}, but its fates add up to {sum(parts.values())}: {parts}"]
