"""From what a file declares to subscriptions: defaults filled in, secrets read, everything cross-checked.

All that can be wrong is found in one pass and told together. What a URL must be like is for the sender
to say, which is asked through :class:`Rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Protocol

from connector.core.dialect import DEFAULT_DIALECT, DIALECTS, Dialect, DialectError
from connector.core.http_names import header_value_fault
from connector.core.matching import Matcher
from connector.core.signing import SignEd25519, check_secret
from connector.core.subscription import Egress, Secrets, Subscription, TlsIdentity
from connector.declared.dialects import chosen_dialect
from connector.declared.document import Document
from connector.declared.problem import Path, Problem
from connector.declared.secret import FromFile, SecretSource, read_secret
from connector.subscriptions.form import Formed
from connector.subscriptions.model import NO_PROXY, SubscriptionDeclared, TlsDeclared


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a subscription gets that declares nothing of its own. ``proxy`` is empty where there is none.

    ``max_age_extra_ms`` is added to the ladder's sum: a delivery lives through its ladder and that much more.
    """

    in_flight_max: int
    queue_max: int
    body_bytes_max: int
    max_age_extra_ms: int
    dialect: Dialect = DEFAULT_DIALECT
    proxy: str = ""


class Identify(Protocol):
    """Reads a TLS identity from its files."""

    def __call__(
        self, *, certificate_file: FilePath | None, key_file: FilePath | None, ca_file: FilePath | None
    ) -> TlsIdentity:
        """Raises :class:`ValueError`, which names the file and the cure, for files that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the rest of the process says about subscriptions.

    ``url_fault`` and ``proxy_fault`` answer with a sentence that names rule and cure, empty when there is
    none. ``identify`` is asked once for the same files.
    ``known_types`` are the event types that can occur; a pattern that matches none of them is warned of,
    unless nothing is known at all. Without ``sign_ed25519`` a ``whsk_`` secret is refused.
    """

    defaults: Defaults
    url_fault: Callable[[str], str]
    proxy_fault: Callable[[str], str]
    identify: Identify
    dialects: Mapping[str, Dialect] = field(default_factory=lambda: DIALECTS)
    known_types: Sequence[str] = ()
    sign_ed25519: SignEd25519 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """``subscriptions`` are whole only when there are no ``problems``, here or of form. ``files`` are all
    that secrets, headers and TLS identities were, or should have been, read from."""

    subscriptions: tuple[Subscription, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    files: tuple[FilePath, ...]


def build(form: Formed, document: Document, rules: Rules, *, folder: FilePath) -> Built:
    """The subscriptions that ``form`` declares; relative secret files start at ``folder``. Nothing is said of
    what could not be read, nor of what depends on it."""
    building = _Building(document, rules, folder, form.unread)
    for index, each in enumerate(form.declared.subscriptions):
        building.add(index, each)
    return building.built()


class _Building:
    """Collects subscriptions and everything found wrong, in the order of the file."""

    def __init__(
        self, document: Document, rules: Rules, folder: FilePath, unread: frozenset[Path]
    ) -> None:
        self._document = document
        self._rules = rules
        self._folder = folder
        self._unread = unread
        self._subscriptions: list[Subscription] = []
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []
        self._files: dict[FilePath, None] = {}
        self._seen: dict[str, int] = {}
        self._is_known: dict[str, bool] = {}
        self._identities: dict[tuple[FilePath | None, ...], TlsIdentity | str] = {}

    def add(self, index: int, declared: SubscriptionDeclared) -> None:
        path: Path = ("subscriptions", index)
        defaults, limits = self._rules.defaults, declared.limits
        self._check_id(path, declared.id, index)
        if fault := self._rules.url_fault(declared.url):
            self._refuse((*path, "url"), fault)
        dialect = self._dialect(path, declared)
        secrets = self._secrets((*path, "secrets"), declared, dialect)
        headers = self._headers((*path, "headers"), declared, dialect)
        tls = self._tls(path, declared)
        egress = self._egress(path, declared)
        self._warn_of_unknown((*path, "events"), declared.events)
        if dialect is None or secrets is None:
            return
        ladder_ms = dialect.ladder_ms if declared.ladder is None else declared.ladder
        self._subscriptions.append(
            Subscription(
                id=declared.id,
                url=declared.url,
                events=declared.events,
                dialect=dialect,
                secrets=secrets,
                headers=headers,
                ladder_ms=ladder_ms,
                timeout_ms=limits.timeout or dialect.timeout_ms,
                max_age_ms=limits.max_age or sum(ladder_ms) + defaults.max_age_extra_ms,
                in_flight_max=limits.in_flight or defaults.in_flight_max,
                queue_max=limits.queue or defaults.queue_max,
                body_bytes_max=limits.body_size or defaults.body_bytes_max,
                paused=declared.paused,
                final_statuses=declared.final_statuses,
                rate_per_s=limits.rate_per_s,
                tls=tls,
                egress=egress,
            )
        )

    def built(self) -> Built:
        return Built(
            subscriptions=tuple(self._subscriptions),
            problems=tuple(self._problems),
            warnings=tuple(self._warnings),
            files=tuple(self._files),
        )

    def _check_id(self, path: Path, id_: str, index: int) -> None:
        if self._is_unread((*path, "id")):
            return
        first = self._seen.setdefault(id_, index)
        if first != index:
            place = self._document.place(("subscriptions", first, "id"))
            self._refuse((*path, "id"), f"{id_} is already the id of the one at {place}; give it another")

    def _dialect(self, path: Path, declared: SubscriptionDeclared) -> Dialect | None:
        """``None`` when nobody knows which: what it would ask for is not asked for then."""
        path = (*path, "dialect")
        if self._is_unread(path):
            return None
        if declared.dialect is None:
            return self._rules.defaults.dialect
        try:
            return chosen_dialect(declared.dialect, self._rules.dialects)
        except ValueError as error:
            self._refuse(path, str(error))
            return None

    def _secrets(
        self, path: Path, declared: SubscriptionDeclared, dialect: Dialect | None
    ) -> Secrets | None:
        current = self._secret((*path, "current"), declared.secrets.current, dialect)
        previous = None
        if declared.secrets.previous is not None:
            previous = self._secret((*path, "previous"), declared.secrets.previous, dialect)
        if current is None:
            return None
        return Secrets(current=current, previous=previous, sign_with=declared.secrets.sign_with)

    def _secret(self, path: Path, source: SecretSource, dialect: Dialect | None) -> str | None:
        text = self._read(path, source)
        if text is not None and dialect is not None:
            try:
                check_secret(dialect, text, sign_ed25519=self._rules.sign_ed25519)
            except DialectError as error:
                self._refuse(path, str(error))
        return text

    def _headers(
        self, path: Path, declared: SubscriptionDeclared, dialect: Dialect | None
    ) -> tuple[tuple[str, str], ...]:
        headers = []
        for name, source in declared.headers.items():
            if dialect is not None and name.lower() in dialect.header_names:
                self._refuse((*path, name), f"the dialect {dialect.name} sets this header; remove it")
            value = self._read((*path, name), source)
            if value is not None and (fault := header_value_fault(value)):
                self._refuse((*path, name), fault)
            headers.append((name, value or ""))
        return tuple(headers)

    def _tls(self, path: Path, declared: SubscriptionDeclared) -> TlsIdentity | None:
        tls = declared.tls
        if tls is None:
            return None
        if not declared.url.lower().startswith("https:") and not self._is_unread((*path, "url")):
            self._refuse((*path, "tls"), "is for https alone; remove it, or make the url https")
        identity = self._identity(tls)
        if isinstance(identity, str):
            self._refuse((*path, "tls"), identity)
            return None
        return identity

    def _egress(self, path: Path, declared: SubscriptionDeclared) -> Egress:
        proxy = declared.proxy
        if proxy is None:
            proxy = self._rules.defaults.proxy
        elif proxy == NO_PROXY:
            proxy = ""
        elif fault := self._rules.proxy_fault(proxy):
            self._refuse((*path, "proxy"), fault)
        is_https = declared.url.lower().startswith("https:") or self._is_unread((*path, "url"))
        if declared.http2 and not is_https:
            self._refuse((*path, "http2"), "is for https alone; remove it, or make the url https")
        return Egress(proxy=proxy, http2=declared.http2)

    def _identity(self, tls: TlsDeclared) -> TlsIdentity | str:
        """What is said against it, if it cannot be used. Thousands of subscriptions may share one."""
        names = (tls.client_certificate_file, tls.client_key_file, tls.ca_file)
        files = tuple(None if name is None else self._folder / name for name in names)
        if files not in self._identities:
            self._files.update((file, None) for file in files if file is not None)
            certificate_file, key_file, ca_file = files
            try:
                self._identities[files] = self._rules.identify(
                    certificate_file=certificate_file, key_file=key_file, ca_file=ca_file
                )
            except ValueError as error:
                self._identities[files] = str(error)
        return self._identities[files]

    def _read(self, path: Path, source: SecretSource) -> str | None:
        if isinstance(source, FromFile):
            self._files[self._folder / source.path] = None
        try:
            return read_secret(source, folder=self._folder)
        except ValueError as error:
            self._refuse(path, str(error))
            return None

    def _warn_of_unknown(self, path: Path, events: Sequence[str]) -> None:
        known = self._rules.known_types
        for position, pattern in enumerate(events):
            if not known:
                return
            if pattern not in self._is_known:
                matcher = Matcher([((pattern,), pattern)])
                self._is_known[pattern] = any(matcher.match(event_type) for event_type in known)
            if not self._is_known[pattern]:
                text = f"{pattern} matches no event type known here; it is kept, check its spelling"
                self._warnings.append(self._problem((*path, position), text))

    def _is_unread(self, path: Path) -> bool:
        return bool(self._unread) and any(path[:end] in self._unread for end in range(2, len(path) + 1))

    def _refuse(self, path: Path, text: str) -> None:
        if self._is_unread(path):
            return
        self._problems.append(self._problem(path, text))

    def _problem(self, path: Path, text: str) -> Problem:
        return Problem(place=self._document.place(path), path=path, text=text)
