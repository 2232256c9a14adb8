"""What a subscriptions file may say: its members, their kinds and their bounds.

Everything that can be judged by looking at one member is judged here; what needs the dialect, the
environment or the rest of the file is judged in :mod:`connector.subscriptions.build`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    StringConstraints,
    field_validator,
    model_validator,
)

from connector.core.http_names import header_name_fault
from connector.core.matching import check_pattern
from connector.declared.dialects import DialectChoice, dialect_choice
from connector.declared.kinds import Declared, Duration, Size
from connector.declared.secret import SecretSource, secret_source
from connector.declared.statuses import final_statuses

SUBSCRIPTIONS_MAX = 20_000
"""Twice what one deployment is built for; more is a template gone wrong."""

NO_PROXY = "none"
"""What a subscription declares as its proxy that has none, whatever the default."""

_DAY_MS = 24 * 60 * 60 * 1000


def _checked_pattern(pattern: str) -> str:
    if fault := check_pattern(pattern):
        raise ValueError(fault)
    return pattern


def _checked_header_name(name: str) -> str:
    if fault := header_name_fault(name):
        raise ValueError(fault)
    return name


_Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
_Pattern = Annotated[str, AfterValidator(_checked_pattern)]
_Text = Annotated[SecretSource, PlainValidator(secret_source)]
_Dialect = Annotated[DialectChoice, PlainValidator(dialect_choice)]
_File = Annotated[str, StringConstraints(min_length=1)]
_FinalStatuses = Annotated[frozenset[int], PlainValidator(final_statuses)]
_Delay = Annotated[Duration, Field(ge=1_000, le=7 * _DAY_MS)]


class SecretsDeclared(Declared):
    current: _Text = Field(description="The signing secret as the partner was shown it.")
    previous: _Text | None = Field(default=None, description="The one before it, while a secret rotates.")
    sign_with: Literal["old", "new"] = Field(
        default="old",
        description="Which one signs where only one signature can be sent, while both are declared.",
    )


class LimitsDeclared(Declared):
    in_flight: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="POSTs under way to this endpoint at once."
    )
    queue: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None,
        description="Fresh deliveries that may wait for such a place, and as many retries besides; more go "
        "to a retry topic.",
    )
    rate_per_s: Annotated[float, Field(strict=True, ge=0.001, le=100_000)] | None = Field(
        default=None, description="POSTs that start per second, of all workers together; no bound by default."
    )
    timeout: Annotated[Duration, Field(ge=100, le=120_000)] | None = Field(
        default=None, description="Of a whole request: name look-up, connect, TLS, request and reply."
    )
    body_size: Annotated[Size, Field(ge=1_024, le=64 << 20)] | None = Field(
        default=None, description="A larger body is a dead letter."
    )
    max_age: Annotated[Duration, Field(ge=1_000, le=90 * _DAY_MS)] | None = Field(
        default=None, description="Since the first attempt; what fails when it is older is a dead letter."
    )


class TlsDeclared(Declared):
    client_certificate_file: _File | None = Field(
        default=None, description="Shown to a receiver that asks for one (mTLS), as PEM."
    )
    client_key_file: _File | None = Field(
        default=None, description="The key of that certificate, as PEM without a password."
    )
    ca_file: _File | None = Field(
        default=None, description="The only authorities to trust at this endpoint, as PEM."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.client_certificate_file is None) != (self.client_key_file is None):
            raise ValueError("client_certificate_file and client_key_file go together; give both or neither")
        if self.client_certificate_file is None and self.ca_file is None:
            raise ValueError("names no file; name a client certificate and its key, a ca_file, or all three")
        return self


class SubscriptionDeclared(Declared):
    id: _Id = Field(description="Its name for ever: retries, dead letters and metrics carry it.")
    url: str = Field(min_length=1, description="Where events are POSTed.")
    events: tuple[_Pattern, ...] = Field(
        min_length=1, max_length=1_000, description="Event types or patterns: *, post.*, friend.**"
    )
    dialect: _Dialect | None = Field(
        default=None, description="What the receiver expects: a dialect's name, or {base: NAME} and options."
    )
    secrets: SecretsDeclared
    headers: dict[Annotated[str, AfterValidator(_checked_header_name)], _Text] = Field(
        default_factory=dict, max_length=50, description="Sent with every POST, such as Authorization."
    )
    ladder: tuple[_Delay, ...] | None = Field(
        default=None,
        max_length=30,
        description="The delays before each further try; the dialect's own by default.",
    )
    final_statuses: _FinalStatuses = Field(
        default="none",
        validate_default=True,
        description="Replies after which no further try is made: none, standard (400, 401, 403, 404, 413, "
        "415, 422), or a list. What gets one is a dead letter at once.",
    )
    limits: LimitsDeclared = LimitsDeclared()
    tls: TlsDeclared | None = None
    proxy: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        default=None,
        description="The egress proxy that POSTs leave through, as http://host:port; sender.proxy by "
        "default, none for no proxy whatever that says.",
    )
    http2: bool = Field(
        default=False, description="Speak HTTP/2 where the receiver offers it, else HTTP/1.1; https only."
    )
    paused: bool = Field(default=False, description="Events are kept aside until this is false again.")

    @field_validator("headers")
    @classmethod
    def _headers(cls, headers: dict[str, SecretSource]) -> dict[str, SecretSource]:
        names = [name.lower() for name in headers]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{min(twice)} is declared twice; header names do not depend on case")
        return headers


class SubscriptionsFile(Declared):
    subscriptions: tuple[SubscriptionDeclared, ...] = Field(max_length=SUBSCRIPTIONS_MAX)
