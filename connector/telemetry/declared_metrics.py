"""Every metric once: name, kind, meaning, labels; and which of the books it is read from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from connector.core.accounts import LATENCY_BOUNDS_MS, Accounts, Histogram, InHand
from connector.core.breaker import RETRY_AFTER, Breaker
from connector.core.outage import UNREACHABLE
from connector.core.units import format_duration_ms
from connector.engine.worker import Worker
from connector.telemetry.metrics import Buckets, Metric, Sample


def _counter(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name=f"webhook_connector_{name}", kind="counter", help=help_, labels=labels)


def _gauge(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name=f"webhook_connector_{name}", kind="gauge", help=help_, labels=labels)


def _histogram(name: str, help_: str) -> Metric:
    return Metric(name=f"webhook_connector_{name}", kind="histogram", help=help_)


# Records read = settled + released + in hand.
RECORDS_READ = _counter("records_read", "Source, tier and parked records taken in hand.")
RECORDS_SETTLED = _counter("records_settled", "Records with nothing left to do for them.")
RECORDS_RELEASED = _counter("records_released", "Records given back unsettled with their partition.")
RECORDS_IN_HAND = _gauge("records_in_hand", "Records read and not yet settled.")

RECORDS_FILTERED = _counter("records_filtered", "Settled records that no subscription wanted.")
RECORDS_SKIPPED = _counter("records_skipped", "Settled records that are no event by their topic's policy.")
RECORDS_POISON = _counter("records_poison", "Records that can never become an event.")
RECORDS_ALREADY_DONE = _counter("records_already_done", "Records the done-set kept from being sent again.")
RECORDS_REGRESSED = _counter("records_regressed", "Records read again at or below the last one received.")
TIER_RECORDS_READ = _counter("tier_records_read", "Records read from retry tiers.")
TIER_RECORDS_HOPPED = _counter("tier_records_hopped", "Tier records written on to another tier, not yet due.")
PARKED_RECORDS_READ = _counter("parked_records_read", "Parked records read again after a resume.")
LETTERS_UNREADABLE = _counter(
    "letters_unreadable",
    "Records of the parked topic that cannot be read: replay waits at letters of another version, and passes "
    "over what is no letter. Alert on it.",
)

# Deliveries taken = accepted + to tiers + parked + dead + dropped copies + released + in hand.
DELIVERIES_TAKEN = _counter(
    "deliveries_taken", "Deliveries taken in hand, from sources, tiers and the parked topic."
)
DELIVERIES_ACCEPTED = _counter("deliveries_accepted", "Deliveries that their endpoint accepted.")
DELIVERIES_TO_TIER = _counter("deliveries_to_tier", "Deliveries written to a retry tier.", "tier")
DELIVERIES_PARKED = _counter(
    "deliveries_parked", "Deliveries kept aside for a paused or disabled subscription."
)
DELIVERIES_DEAD = _counter("deliveries_dead", "Deliveries written to the dead letters.", "reason")
DELIVERIES_DROPPED = _counter("deliveries_dropped_copies", "Tier copies dropped as equal to one seen before.")
DELIVERIES_RELEASED = _counter("deliveries_released", "Deliveries given back with their partition.")
DELIVERIES_IN_HAND = _gauge("deliveries_in_hand", "Deliveries taken and not yet settled.")

DIVERTED = _counter("deliveries_diverted", "Deliveries sent to a tier without an attempt.", "why")
ATTEMPTS = _counter("attempts", "Requests by how they ended: an HTTP status or a kind of failure.", "result")
PROBES = _counter(
    "probes",
    "Connections made to find out whether a hold for a fault of our own may end: reached, or a kind of "
    "failure.",
    "result",
)
ATTEMPT_SECONDS = _histogram("attempt_seconds", "From the start of a request to its reply.")
FRESHNESS_SECONDS = _histogram(
    "freshness_seconds", "From the record's timestamp to the acceptance of a first attempt."
)
BODIES_CHANGED = _counter("bodies_changed", "Retries whose body differed from the one first sent.")
LATE_ANSWERS = _counter("late_answers", "Replies that came after their delivery had been settled otherwise.")

WRITES_FAILED = _counter("writes_failed", "Writes to own topics that were not acknowledged.", "fault")
COMMITS = _counter("commits", "Partition offsets committed.")
COMMITS_FAILED = _counter("commits_failed", "Commits the cluster refused; tried again while it is ours.")
DONE_SETS_DROPPED = _counter("done_sets_dropped", "Commits without a done-set, which was too large.")
OFFSETS_LOST = _counter("offsets_lost", "Offsets that retention took before they were read: events lost.")
JUMPS = _counter("jumps", "Moves of a position that were not ours.", "reason")


def account_samples(accounts: Accounts, in_hand: InHand) -> Iterator[Sample]:
    """The books of one process as samples."""
    yield Sample(RECORDS_READ, accounts.records_read)
    yield Sample(RECORDS_SETTLED, accounts.records_settled)
    yield Sample(RECORDS_RELEASED, accounts.records_released)
    yield Sample(RECORDS_IN_HAND, in_hand.records)
    yield Sample(RECORDS_FILTERED, accounts.records_filtered)
    yield Sample(RECORDS_SKIPPED, accounts.records_skipped)
    yield Sample(RECORDS_POISON, accounts.records_poison)
    yield Sample(RECORDS_ALREADY_DONE, accounts.records_already_done)
    yield Sample(RECORDS_REGRESSED, accounts.records_regressed)
    yield Sample(TIER_RECORDS_READ, accounts.tier_records_read)
    yield Sample(TIER_RECORDS_HOPPED, accounts.tier_records_hopped)
    yield Sample(PARKED_RECORDS_READ, accounts.parked_records_read)
    yield Sample(LETTERS_UNREADABLE, accounts.letters_unreadable)
    yield Sample(DELIVERIES_TAKEN, accounts.deliveries_taken)
    yield Sample(DELIVERIES_ACCEPTED, accounts.accepted)
    for tier_ms, count in accounts.to_tiers.items():
        yield Sample(DELIVERIES_TO_TIER, count, (format_duration_ms(tier_ms),))
    yield Sample(DELIVERIES_PARKED, accounts.parked)
    yield from _by_label(DELIVERIES_DEAD, accounts.dead)
    yield Sample(DELIVERIES_DROPPED, accounts.dropped_copies)
    yield Sample(DELIVERIES_RELEASED, accounts.deliveries_released)
    yield Sample(DELIVERIES_IN_HAND, in_hand.deliveries)
    yield from _by_label(DIVERTED, accounts.diverted)
    yield from _by_label(ATTEMPTS, accounts.attempts)
    yield from _by_label(PROBES, accounts.probes)
    yield Sample(ATTEMPT_SECONDS, _in_seconds(accounts.attempt_ms))
    yield Sample(FRESHNESS_SECONDS, _in_seconds(accounts.freshness_ms))
    yield Sample(BODIES_CHANGED, accounts.bodies_changed)
    yield Sample(LATE_ANSWERS, accounts.late_answers)
    yield from _by_label(WRITES_FAILED, accounts.writes_failed)
    yield Sample(COMMITS, accounts.commits)
    yield Sample(COMMITS_FAILED, accounts.commits_failed)
    yield Sample(DONE_SETS_DROPPED, accounts.done_sets_dropped)
    yield Sample(OFFSETS_LOST, accounts.offsets_lost)
    yield from _by_label(JUMPS, accounts.jumps)


def _by_label(metric: Metric, counts: Mapping[str, int] | Counter[int | str]) -> Iterator[Sample]:
    for label, count in counts.items():
        yield Sample(metric, count, (f"http-{label}" if isinstance(label, int) else label,))


def _in_seconds(histogram: Histogram) -> Buckets:
    return Buckets(
        bounds=[bound_ms / 1000 for bound_ms in LATENCY_BOUNDS_MS],
        counts=histogram.counts,
        sum=histogram.sum_ms / 1000,
    )


READY = _gauge("ready", "1 when this worker has joined its groups and can write its own topics.")
SUBSCRIPTIONS = _gauge("subscriptions", "Subscriptions in force.")
SUBSCRIPTIONS_IN_DOUBT = _gauge(
    "subscriptions_in_doubt", "1 while the subscriptions file cannot be trusted: reading holds. Alert on it."
)
PARTITIONS = _gauge("partitions", "Partitions assigned to this worker.", "group")
PARTITIONS_HELD = _gauge(
    "partitions_held", "Partitions that wait for an operator; the log says why. Alert on it.", "group"
)
TOPICS_ABSENT = _gauge(
    "topics_absent",
    "Topics to be read that do not exist, or not for this user; the log names them. Alert on it.",
    "group",
)
OLDEST_UNSETTLED_SECONDS = _gauge(
    "oldest_unsettled_seconds",
    "Age of the oldest record that holds a commit up. Alert well before the topic's retention.",
    "group",
)
OWN_TOPICS_BLOCKED = _gauge(
    "own_topics_blocked", "1 while the connector's own topics cannot be written: reading stops. Alert on it."
)
REGISTRY_UNREACHABLE = _gauge(
    "registry_unreachable", "1 while the schema registry does not answer: records wait. Alert on it."
)
SCHEMA_WAITS = _gauge("schema_waits", "Records that wait for a schema.")
IN_FLIGHT = _gauge("in_flight", "Requests under way.")
BACKLOGS_OPEN = _gauge(
    "backlogs_open", "Subscriptions for which something may lie parked and is not replayed yet."
)
QUEUED = _gauge("queued", "Deliveries that wait in a lane for a place.")

# Isolation. By state, never by subscription: which ones they are, "subscriptions status" says.
LANES = _gauge(
    "lanes",
    "Subscriptions by the breaker of their endpoint: closed, open, half-open, or held-off by Retry-After.",
    "breaker",
)
LANES_PROVEN = _gauge(
    "lanes_proven",
    "Subscriptions whose endpoint accepted something within a minute; the others share a quarter of the "
    "places.",
)
SUBSCRIPTIONS_PAUSED = _gauge("subscriptions_paused", "Subscriptions paused in their file; they are parked.")
SUBSCRIPTIONS_DISABLED = _gauge(
    "subscriptions_disabled",
    "Subscriptions disabled because their endpoint failed for days; they are parked. Alert on it.",
)
SENDING_HELD = _gauge(
    "sending_held",
    "1 while nothing can be sent and reading holds: names or connections fail across many hosts at once "
    "(unreachable), descriptors, ports or memory are used up (resources), or the proxy fails. Alert on it.",
    "reason",
)
HOSTS_AT_REST = _gauge(
    "hosts_at_rest",
    "Hosts that nothing is sent to for a fault of our own (resources or proxy) until a probe comes about. "
    "Alert on it.",
    "reason",
)
RATE_LIMIT_SHARE = _gauge(
    "rate_limit_share_ratio",
    "The part of every rate limit that this worker may use; its sum over all workers is at most 1.",
)
WORKERS_ALIVE = _gauge("workers_alive", "Workers of the group that this one hears of, itself included.")
NEWS_UNREADABLE = _counter(
    "news_unreadable", "Records of the shared topic that this version cannot read; the log says why."
)


def worker_samples(worker: Worker, *, is_ready: bool, is_in_doubt: bool) -> Iterator[Sample]:
    """The state of one worker at this moment, beside its books."""
    yield from account_samples(worker.accounts, worker.in_hand())
    yield Sample(READY, is_ready)
    yield Sample(SUBSCRIPTIONS, len(worker.lanes))
    yield Sample(SUBSCRIPTIONS_IN_DOUBT, is_in_doubt)
    for pump in worker.pumps:
        yield Sample(PARTITIONS, len(pump.flows), (pump.name,))
        yield Sample(OLDEST_UNSETTLED_SECONDS, pump.oldest_unsettled_ms() / 1_000, (pump.name,))
        yield Sample(PARTITIONS_HELD, pump.partitions_held, (pump.name,))
        yield Sample(TOPICS_ABSENT, len(pump.absent_topics), (pump.name,))
    yield Sample(OWN_TOPICS_BLOCKED, bool(worker.outbox.blocked))
    yield Sample(REGISTRY_UNREACHABLE, bool(worker.schemas.unreachable))
    yield Sample(BACKLOGS_OPEN, worker.parked.backlogs_open)
    yield Sample(SCHEMA_WAITS, worker.schemas.count)
    yield Sample(IN_FLIGHT, worker.dispatcher.in_flight)
    yield Sample(QUEUED, worker.dispatcher.queued)
    yield from isolation_samples(worker)


def isolation_samples(worker: Worker) -> Iterator[Sample]:
    """What the worker knows of endpoints and of the other workers. Looks at every lane, once: of 20,000 in
    milliseconds."""
    by_breaker = dict.fromkeys(("closed", "open", "half-open", "held-off"), 0)
    proven = paused = disabled = 0
    for lane in worker.lanes:
        by_breaker[_breaker_label(lane.breaker)] += 1
        proven += lane.is_proven
        paused += lane.subscription.paused
        disabled += lane.disabled is not None
    for label, count in by_breaker.items():
        yield Sample(LANES, count, (label,))
    yield Sample(LANES_PROVEN, proven)
    yield Sample(SUBSCRIPTIONS_PAUSED, paused)
    yield Sample(SUBSCRIPTIONS_DISABLED, disabled)
    reason, resting = worker.dispatcher.outage_reason, worker.dispatcher.hosts_at_rest
    for label in (UNREACHABLE, "resources", "proxy"):
        yield Sample(SENDING_HELD, reason == label, (label,))
    for kind in ("resources", "proxy"):
        yield Sample(HOSTS_AT_REST, resting[kind], (kind,))
    yield Sample(RATE_LIMIT_SHARE, worker.share)
    yield Sample(WORKERS_ALIVE, len(worker.presence.live()))
    yield Sample(NEWS_UNREADABLE, worker.hearing.faults)


def _breaker_label(breaker: Breaker) -> str:
    is_held_off = breaker.state == "open" and breaker.why == RETRY_AFTER
    return "held-off" if is_held_off else breaker.state
