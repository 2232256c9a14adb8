"""What the connector's own topics are like where it creates them."""

from __future__ import annotations

from pydantic import Field

from connector.declared.kinds import Bytes, Declared, Milliseconds

_DAY_MS = 24 * 60 * 60 * 1000


class OwnTopicsSettings(Declared):
    create: bool = Field(
        default=True,
        description="Create own topics that are missing. Where topics are made by others, say false: what is "
        "missing is then named, with the command that makes it.",
    )
    partitions: int = Field(
        default=6,
        ge=1,
        le=1_000,
        description="Of each topic created. As many workers can share the work on one retry tier; 6 divides "
        "evenly among 1, 2, 3 and 6 of them.",
    )
    replication_factor: int = Field(
        default=3,
        ge=1,
        le=32,
        description="Of each topic created, with min.insync.replicas one less. 3 lets one broker be lost "
        "without losing or stopping anything.",
    )
    allow_single_replica: bool = Field(
        default=False,
        description="Accept own topics on fewer than 3 replicas, and create them with as many as there are "
        "brokers. For trying out: the loss of one disk then loses what waits for a retry.",
    )
    max_message_bytes: Bytes = Field(
        default=2 << 20,
        ge=1 << 20,
        le=1 << 30,
        description="Largest record of each topic created, in bytes. 2 MiB holds the largest record of an "
        "ordinary source topic (1,048,588 bytes) with the headers added to it; a larger one is kept "
        "as a pointer to its source.",
    )
    tier_retention_min_ms: Milliseconds = Field(
        default=7 * _DAY_MS,
        ge=7 * _DAY_MS,
        description="Least retention of a retry tier, in ms; a tier keeps four times its delay if that is "
        "more. 7 days outlast a connector that stood still over a long weekend.",
    )
    dead_letters_retention_ms: Milliseconds = Field(
        default=30 * _DAY_MS,
        ge=_DAY_MS,
        description="Retention of the dead letters, in ms. 30 days leave a partner time to notice and ask.",
    )
