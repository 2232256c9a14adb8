"""Reads ``/metrics`` as a monitoring system would, and does the sums that must come out."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

_PREFIX = "webhook_connector_"

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
        return cls(tuple((one.name, one.labels, one.value) for family in families for one in family.samples))

    def sum(self, name: str, **labels: str) -> float:
        """One metric, without the connector's prefix, over all samples with these labels; 0 if none."""
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
