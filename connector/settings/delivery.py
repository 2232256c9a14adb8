"""How much is in hand at once, what a subscription gets by default, and where nothing is ever sent."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, FilePath, PlainValidator

from connector.core.dialect import DEFAULT_DIALECT
from connector.declared.kinds import Bytes, Declared, Milliseconds
from connector.settings.lists import Commas


def _network(declared: object) -> IPv4Network | IPv6Network:
    if isinstance(declared, IPv4Network | IPv6Network):
        return declared
    try:
        return ip_network(str(declared))
    except ValueError as error:
        raise ValueError(f"must be a network such as 10.1.0.0/16: {error}") from None


_Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network)]


def _authorities(file: Path) -> Path:
    from connector.webhook.identity import read_identity  # loads TLS, for which help has no use

    read_identity(certificate_file=None, key_file=None, ca_file=file)
    return file


class LaneSettings(Declared):
    """What each subscription gets that declares no limits of its own."""

    in_flight_max: int = Field(
        default=16,
        ge=1,
        le=10_000,
        description="POSTs under way to one endpoint at once. 16 give 320 deliveries a second at 50 ms each,"
        " and 128 endpoints that hang use up what one process may have under way.",
    )
    queue_max: int = Field(
        default=200,
        ge=1,
        le=1_000_000,
        description="Fresh deliveries that may wait for such a place, and as many retries besides; more go "
        "to a retry topic. A fast endpoint gets what it makes in a second instead, and of retries what it "
        "makes in 6.5 s, up to 2,000, if that is more.",
    )


class BreakerSettings(Declared):
    failures_to_open: int = Field(
        default=5,
        ge=0,
        le=1_000,
        description="Failed attempts in a row after which an endpoint is left alone for a while. Fewer would "
        "take a few unlucky events for a dead endpoint. 0: never.",
    )
    cool_down_ms: Milliseconds = Field(
        default=30_000,
        ge=100,
        le=24 * 60 * 60 * 1000,
        description="For how long, in ms; then one delivery probes it. A restart takes about as long.",
    )
    cool_down_max_ms: Milliseconds = Field(
        default=5 * 60 * 1000,
        ge=100,
        le=24 * 60 * 60 * 1000,
        description="The cool-down doubles with each probe that fails, up to this, in ms. A probe every "
        "5 minutes costs nothing, and no backlog waits longer for an endpoint that is well again.",
    )


class DisableSettings(Declared):
    after_ms: Milliseconds = Field(
        default=5 * 24 * 60 * 60 * 1000,
        ge=1_000,
        description="A subscription is disabled by itself when its endpoint has accepted nothing for so "
        "long, in ms. Five days outlast a long weekend.",
    )
    attempts: int = Field(
        default=20,
        ge=0,
        description="And when so many attempts in a row have failed. 20, so that an endpoint that is called "
        "once a day is not disabled after one bad week. 0: never.",
    )
    probe_first_ms: Milliseconds = Field(
        default=60 * 60 * 1000,
        ge=1_000,
        le=24 * 60 * 60 * 1000,
        description="After so long, in ms, one delivery finds out whether a disabled endpoint works again; "
        "the wait doubles up to a day. An hour is soon enough for what was down for days.",
    )
    probes_gone: bool = Field(
        default=False,
        description="Whether an endpoint is probed too that answered 410 where its dialect says that this "
        "means gone for good. It has asked never to be called again, so by default nothing is sent until "
        "`subscriptions reset`, or a new URL.",
    )


class DeliverySettings(Declared):
    in_flight_max: int = Field(
        default=2_048,
        ge=1,
        le=50_000,
        description="POSTs under way in this process. 2,048 keep one core busy at 50 ms each; a connection "
        "costs a file descriptor and some 20 kB. No more than 80 % of the files that may be open.",
    )
    host_in_flight_max: int = Field(
        default=256,
        ge=1,
        le=50_000,
        description="POSTs under way to one scheme, host and port by one way (directly, or through one "
        "proxy), however many subscriptions lead there and however they spell it. 256 are what common "
        "servers serve at once, and an eighth of what one process may have under way.",
    )
    in_hand_max: int = Field(
        default=20_000,
        ge=1,
        le=1_000_000,
        description="Deliveries taken and not settled in this process; past it reading waits. 20,000 of 1 kB"
        " are some 40 MB, and half a second to a second of work.",
    )
    window_records_max: int = Field(
        default=2_000,
        ge=1,
        le=8_000,
        description="Records of one partition between the committed offset and the last one taken. What was "
        "done among 2,000 fits into the commit's metadata in any order; it bounds what is sent "
        "twice after a crash.",
    )
    window_bytes_max: Bytes = Field(
        default=16 << 20,
        ge=64 << 10,
        le=1 << 30,
        description="The same window in bytes of unsettled records. 16 MiB hold 2,000 records of 8 kB; a "
        "larger record is taken alone.",
    )
    body_bytes_max: Bytes = Field(
        default=1 << 20,
        ge=1 << 10,
        le=64 << 20,
        description="A larger body is a dead letter. Common receivers refuse more than 1 MiB, or even 100 "
        "kB.",
    )
    max_age_extra_ms: Milliseconds = Field(
        default=24 * 60 * 60 * 1000,
        ge=0,
        description="How much longer than its ladder a delivery may take before it expires, in ms. A day "
        "covers an endpoint that asks for later tries, and a backlog in the tiers.",
    )
    revoke_drain_ms: Milliseconds = Field(
        default=10_000,
        ge=0,
        le=100_000,
        description="How long a partition that is taken away waits for what is in flight, in ms. It stalls "
        "the group, so it stays far below a third of max.poll.interval.ms (300 s).",
    )
    stop_drain_ms: Milliseconds = Field(
        default=35_000,
        ge=0,
        le=600_000,
        description="How long a stop waits for what is in flight, in ms. Longer than the longest request of "
        "a built-in dialect (30 s). Its last commits may take 5 s more: give the container 10 s more "
        "than this.",
    )
    dialect: str = Field(
        default=DEFAULT_DIALECT.name, description="What a subscription speaks that names no dialect."
    )
    lane: LaneSettings = LaneSettings()
    breaker: BreakerSettings = BreakerSettings()
    disable: DisableSettings = DisableSettings()


class GuardSettings(Declared):
    """Webhooks go to public addresses over https, unless the deployment says otherwise."""

    allow_http: bool = Field(
        default=False,
        description="Accept http:// endpoints. Bodies are signed, but anyone on the way can read them.",
    )
    ca_file: Annotated[FilePath, AfterValidator(_authorities)] | None = Field(
        default=None,
        description="Authorities to trust beside the system's, as PEM, for https receivers inside the house.",
    )
    allow_networks: Annotated[tuple[_Network, ...], Commas] = Field(
        default=(),
        max_length=100,
        description="Networks that may be sent to although they are not public, such as 10.1.0.0/16, for "
        "receivers inside the house. The name localhost usually means both 127.0.0.0/8 and ::1/128.",
    )
    forbid_networks: Annotated[tuple[_Network, ...], Commas] = Field(
        default=(),
        max_length=100,
        description="Networks that may not be sent to although they are public or allowed, such as the "
        "house's own public range, or its NAT64 prefix.",
    )
