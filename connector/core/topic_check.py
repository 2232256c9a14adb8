"""What the connector's own topics must be like, and what is wrong with those that exist.

A wrong setting loses deliveries quietly: a tier whose retention is shorter than its delay deletes
what waits in it, compaction eats all retries of a key but the last, a tier stamped by producers
releases early. So each is checked at start, and each problem comes with the command that mends it.
Asking the cluster is the adapter's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

_DAY_MS = 86_400_000
_UNLIMITED = -1

TopicRole = Literal["tier", "dead-letters", "parked", "state", "operator-events"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """A topic the connector needs. ``message_bytes_max`` is the largest record batch it must take;
    ``delay_ms`` is a tier's delay, 0 for the other roles. ``state`` is compacted. ``retention_min_ms`` is
    how long tiers, dead letters and operator events must keep a record at least; a tier keeps four times its
    delay if that is more."""

    name: str
    role: TopicRole
    partitions: int
    message_bytes_max: int
    delay_ms: int = 0
    retention_min_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicFound:
    """A topic as it is. ``replicas`` are the brokers of each partition, ``brokers`` those of the
    cluster, ``settings`` the effective ones, as the cluster words them."""

    replicas: Mapping[int, Sequence[int]]
    brokers: Sequence[int]
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """``what`` is wrong with ``topic``, and the command or step that mends it."""

    topic: str
    what: str
    cure: str

    def __str__(self) -> str:
        return f"topic {self.topic}: {self.what}. Mend it with: {self.cure}"


def replication(brokers: int, *, allow_single_replica: bool, wanted: int = 3) -> int:
    """Replicas of a topic that is to be created."""
    return min(wanted, brokers) if allow_single_replica else wanted


def settings(spec: TopicSpec, *, replicas: int) -> dict[str, str]:
    """The settings a topic is created with."""
    retention_ms = _retention_ms_min(spec)
    wanted = {
        "cleanup.policy": "compact" if spec.role == "state" else "delete",
        "max.message.bytes": str(spec.message_bytes_max),
        "min.insync.replicas": str(max(1, replicas - 1)),
        "unclean.leader.election.enable": "false",
    }
    if spec.role == "state":
        # It is read whole at every start and written every minute: without small segments nothing
        # would be compacted for a week.
        wanted |= {"segment.ms": "3600000", "segment.bytes": "4194304", "min.cleanable.dirty.ratio": "0.1"}
    else:
        wanted |= {"retention.ms": str(retention_ms), "retention.bytes": str(_UNLIMITED)}
    if spec.role == "tier":
        wanted["message.timestamp.type"] = "LogAppendTime"
    return wanted


def missing(spec: TopicSpec, *, tool_options: str, replicas: int) -> Problem:
    """The problem of a topic that does not exist and may not be created. ``tool_options`` are what Kafka's
    own tools need to reach the cluster."""
    wanted = settings(spec, replicas=replicas)
    configs = " ".join(f"--config {name}={value}" for name, value in wanted.items())
    return Problem(
        spec.name,
        "it does not exist",
        f"kafka-topics.sh {tool_options} --create --topic {spec.name} "
        f"--partitions {spec.partitions} --replication-factor {replicas} {configs}",
    )


def check(
    spec: TopicSpec, found: TopicFound, *, tool_options: str, allow_single_replica: bool
) -> list[Problem]:
    """Everything that is wrong with ``found``, worst first; empty when nothing is."""
    judged = _Judged(spec, found, tool_options)
    judged.policy()
    if spec.role == "tier":
        judged.stamp()
    if spec.role != "state":
        judged.retention()
    judged.message_size()
    judged.partitions()
    if not allow_single_replica:
        judged.durability()
    return judged.problems


def _retention_ms_min(spec: TopicSpec) -> int:
    match spec.role:
        case "tier":
            return max(spec.retention_min_ms or 7 * _DAY_MS, 4 * spec.delay_ms)
        case "dead-letters" | "operator-events":
            return spec.retention_min_ms or 30 * _DAY_MS
        case _:
            return _UNLIMITED


class _Judged:
    """One check under way; collects its problems."""

    def __init__(self, spec: TopicSpec, found: TopicFound, tool_options: str) -> None:
        self.problems: list[Problem] = []
        self._spec = spec
        self._found = found
        self._tool_options = tool_options

    def policy(self) -> None:
        wanted = "compact" if self._spec.role == "state" else "delete"
        policy = self._found.settings.get("cleanup.policy", "delete")
        if policy != wanted:
            why = "keeps state for ever" if wanted == "compact" else "holds several records of one key"
            self._setting("cleanup.policy", wanted, f"cleanup.policy is {policy}, but this topic {why}")

    def stamp(self) -> None:
        stamp = self._found.settings.get("message.timestamp.type", "CreateTime")
        if stamp != "LogAppendTime":
            self._setting(
                "message.timestamp.type",
                "LogAppendTime",
                f"message.timestamp.type is {stamp}, but due times count from when the broker appended",
            )

    def retention(self) -> None:
        wanted_ms = _retention_ms_min(self._spec)
        retention_ms = int(self._found.settings.get("retention.ms", "604800000"))
        is_kept = retention_ms == _UNLIMITED or (wanted_ms != _UNLIMITED and retention_ms >= wanted_ms)
        if not is_kept:
            least = "unlimited" if wanted_ms == _UNLIMITED else f"at least {wanted_ms} ms"
            self._setting(
                "retention.ms", str(wanted_ms), f"retention.ms is {retention_ms}, but it must be {least}"
            )
        retention_bytes = int(self._found.settings.get("retention.bytes", "-1"))
        if retention_bytes != _UNLIMITED:
            self._setting(
                "retention.bytes", "-1", f"retention.bytes is {retention_bytes}, so bursts delete what waits"
            )

    def message_size(self) -> None:
        largest = int(self._found.settings.get("max.message.bytes", "1048588"))
        if largest < self._spec.message_bytes_max:
            self._setting(
                "max.message.bytes",
                str(self._spec.message_bytes_max),
                f"max.message.bytes is {largest}, records need up to {self._spec.message_bytes_max}",
            )

    def partitions(self) -> None:
        count = len(self._found.replicas)
        if count < self._spec.partitions:
            self._problem(
                f"it has {count} partitions, {self._spec.partitions} are needed",
                f"kafka-topics.sh {self._tool_options} --alter "
                f"--topic {self._spec.name} --partitions {self._spec.partitions}",
            )

    def durability(self) -> None:
        fewest = min((len(brokers) for brokers in self._found.replicas.values()), default=0)
        if fewest < 3:
            self._problem(
                f"a partition has only {fewest} replica(s), 3 are needed to survive a broken broker",
                self._reassignment(),
            )
        insync = int(self._found.settings.get("min.insync.replicas", "1"))
        if insync < 2:
            self._setting(
                "min.insync.replicas",
                "2",
                f"min.insync.replicas is {insync}, so an acknowledged record may be on one disk only",
            )
        if self._found.settings.get("unclean.leader.election.enable", "false") != "false":
            self._setting(
                "unclean.leader.election.enable",
                "false",
                "unclean.leader.election.enable is on, so acknowledged records may vanish",
            )

    def _reassignment(self) -> str:
        brokers = sorted(self._found.brokers)
        if len(brokers) < 3:
            return (
                f"more brokers (the cluster has {len(brokers)}), or --allow-single-replica where loss may be"
            )
        partitions = [
            {"topic": self._spec.name, "partition": p, "replicas": _three(present, brokers, p)}
            for p, present in sorted(self._found.replicas.items())
        ]
        plan = json.dumps({"version": 1, "partitions": partitions}, separators=(",", ":"))
        return (
            f"echo '{plan}' > replicas.json && kafka-reassign-partitions.sh "
            f"{self._tool_options} --reassignment-json-file replicas.json --execute"
        )

    def _setting(self, name: str, value: str, what: str) -> None:
        self._problem(
            what,
            f"kafka-configs.sh {self._tool_options} --alter --entity-type topics "
            f"--entity-name {self._spec.name} --add-config {name}={value}",
        )

    def _problem(self, what: str, cure: str) -> None:
        self.problems.append(Problem(self._spec.name, what, cure))


def _three(present: Sequence[int], brokers: Sequence[int], partition: int) -> list[int]:
    """Three replicas: those present first, so that little is copied, then others in rotation."""
    rotated = [brokers[(partition + n) % len(brokers)] for n in range(len(brokers))]
    return [*present, *(b for b in rotated if b not in present)][:3]
