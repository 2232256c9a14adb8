"""What this process is allowed by its system, and settings that do not go together."""

from __future__ import annotations

import resource

from connector.app.doctor.finding import Finding
from connector.settings import Settings

FILES_WANTED_MAX = 65_536
"""As many open files as ``run`` asks for when the hard limit lets it."""
FILES_BESIDE = 200
"""Open files that are no connection to a receiver: brokers, registry, probes, libraries."""
CONNECTIONS_SHARE = 0.8
"""The share of the limit that the sender uses for connections."""

_POLL_INTERVAL_MS = 300_000  # librdkafka's default of max.poll.interval.ms


def file_limit(settings: Settings, *, hard_limit: int | None = None) -> list[Finding]:
    """Whether as many connections can be open as POSTs may be under way. ``hard_limit`` is asked of the
    system unless given."""
    subject, in_flight_max = "open files", settings.delivery.in_flight_max
    if hard_limit is None:
        _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = FILES_WANTED_MAX if hard_limit == resource.RLIM_INFINITY else min(hard_limit, FILES_WANTED_MAX)
    needed = int((in_flight_max + FILES_BESIDE) / CONNECTIONS_SHARE)
    if limit >= needed:
        text = f"{limit} may be open, enough for {in_flight_max} POSTs under way"
        return [Finding(subject, "ok", text)]
    text = f"only {limit} may be open, and {in_flight_max} POSTs under way need {needed}"
    cure = f"raise the hard limit (ulimit -Hn {needed}), or lower delivery.in_flight_max"
    return [Finding(subject, "warning", text, cure)]


def poll_settings(settings: Settings) -> list[Finding]:
    """Whether a drain when partitions move stays well below the time after which a worker is thrown out."""
    subject, drain_ms = "group timing", settings.delivery.revoke_drain_ms
    declared = settings.kafka.properties.get("max.poll.interval.ms")
    text = "" if declared is None else declared.get_secret_value()
    interval_ms = int(text) if text.isdigit() else _POLL_INTERVAL_MS
    if 3 * drain_ms <= interval_ms:
        return [Finding(subject, "ok", f"a drain of {drain_ms} ms is at most a third of {interval_ms} ms")]
    what = f"a drain of {drain_ms} ms is more than a third of max.poll.interval.ms ({interval_ms} ms)"
    return [
        Finding(subject, "warning", what, "lower delivery.revoke_drain_ms, or raise max.poll.interval.ms")
    ]
