"""A subscription: which events, to which endpoint, signed and retried how."""

from __future__ import annotations

from dataclasses import dataclass, field

from connector.core.dialect import Dialect, SignWith


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """The signing secrets as the partner was shown them.

    ``previous`` is set while a secret rotates. Single-valued dialects then sign with the secret
    that ``sign_with`` names; standard-webhooks sends a signature of each. Never printed.
    """

    current: str = field(repr=False)
    previous: str | None = field(default=None, repr=False)
    sign_with: SignWith = "old"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsIdentity:
    """Who we are to a receiver, and by whom we know it: paths of PEM files, empty where the deployment's
    own ways hold. Certificate and key are both given or neither. ``digest`` stands for what the files hold,
    so that a rotated file makes another identity."""

    certificate_file: str = ""
    key_file: str = ""
    ca_file: str = ""
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """By which way POSTs leave: through ``proxy`` (http://host:port, empty: directly), and whether HTTP/2 is
    spoken where the receiver offers it. Anything but the default is for the second sender."""

    proxy: str = ""
    http2: bool = False


DIRECT = Egress()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One validated subscription. Two are equal when nothing about them differs.

    ``events`` are patterns (:mod:`connector.core.matching`). ``ladder_ms`` are the delays before
    each further try; its length plus one is the number of attempts. ``in_flight_max`` bounds the
    POSTs under way to this endpoint, ``queue_max`` the fresh deliveries waiting for one of
    them, and as many retries.
    ``max_age_ms`` counts from the first attempt; past it a failed delivery is ``expired``.
    ``final_statuses`` are replies that no retry helps. ``rate_per_s`` bounds the POSTs that start, of all
    workers together; ``None``: no bound.
    ``tls`` is ``None`` where the deployment's own identity does.
    """

    id: str
    url: str = field(repr=False)
    events: tuple[str, ...]
    dialect: Dialect
    secrets: Secrets | None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ladder_ms: tuple[int, ...]
    timeout_ms: int
    max_age_ms: int
    in_flight_max: int
    queue_max: int
    body_bytes_max: int
    paused: bool = False
    final_statuses: frozenset[int] = frozenset()
    rate_per_s: float | None = None
    egress: Egress = DIRECT
    tls: TlsIdentity | None = None

    @property
    def shown_url(self) -> str:
        """Its URL for people to see: without the query, where some receivers expect a secret."""
        place, question_mark, _ = self.url.partition("?")
        return f"{place}?..." if question_mark else place
