"""The conversation with a schema registry: several URLs, one deadline, capped JSON answers.

Promises that whatever happens on the wire comes back as a value: a JSON document the registry
answered with, or one sentence on why there is none. What a document means is
:mod:`connector.avro.registry`'s business.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import orjson
from tenacity import (
    AsyncRetrying,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from connector.engine.ports import SchemaUnreachable

ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
"""Far above any schema; what is longer is not a registry's answer."""

_CONCURRENT_MAX: Final = 8
"""Requests at once, so that a flood of unknown ids does not become a flood at the registry."""

_ROUNDS_MAX: Final = 3
_PAUSE_MAX_S: Final = 2.0
_PASSING_STATUSES: Final = frozenset({408, 425, 429})
_MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """Where the registry is and how to be let in.

    ``urls`` are tried in order, beginning with the one that answered last. Either ``username`` and
    ``password``, or ``bearer_token``, or neither. ``ca_file`` replaces the system's authorities; a
    client certificate needs both of its files. ``timeout_ms`` bounds each request from connecting to
    the last byte: a healthy registry answers in milliseconds. ``retry_pause_ms`` is the most that is
    waited before the second of three rounds, doubled before the third; no round starts later than
    ``timeout_ms`` after the first.
    """

    urls: tuple[str, ...]
    username: str = ""
    password: str = field(default="", repr=False)
    bearer_token: str = field(default="", repr=False)
    ca_file: str = ""
    client_certificate_file: str = ""
    client_key_file: str = ""
    timeout_ms: int = 5_000
    retry_pause_ms: int = 200


class BadRegistrySettings(ValueError):
    """The registry cannot be spoken to this way; the message names the setting and the cure."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON document, with a status that is 2xx, or 4xx where asking again would not help. ``date`` is the
    header as it came, empty when it did not."""

    status: int
    document: Any  # Any: JSON, judged by whoever asked
    date: str = ""


class RegistryHttp:
    """An HTTP client bound to one registry. Opened at once, connects when first asked.

    Raises :class:`BadRegistrySettings` for settings that cannot work.
    """

    def __init__(self, settings: RegistrySettings) -> None:
        self._urls = [_base_url(url) for url in settings.urls]
        if not self._urls:
            raise BadRegistrySettings("no registry URL: give at least one")
        if settings.bearer_token and settings.username:
            raise BadRegistrySettings("give the registry a bearer token or a user name, not both")
        self._last_good = 0
        self._timeout_s = settings.timeout_ms / 1000
        self._pause_s = settings.retry_pause_ms / 1000
        self._turn = asyncio.Semaphore(_CONCURRENT_MAX)
        # An encoded answer is refused instead of unpacked, so that the cap cannot be got around.
        headers = {"accept": f"{_MEDIA_TYPE}, application/json", "accept-encoding": "identity"}
        if settings.bearer_token:
            headers["authorization"] = f"Bearer {settings.bearer_token}"
        self._client = httpx.AsyncClient(
            headers=headers,
            auth=httpx.BasicAuth(settings.username, settings.password) if settings.username else None,
            verify=_tls(settings),
            timeout=None,  # noqa: S113  one deadline over the whole request, in _ask; httpx counts per phase
            follow_redirects=False,
            trust_env=False,
        )

    async def request(
        self, method: str, path: str, *, content: bytes | None = None
    ) -> Answer | SchemaUnreachable:
        """Ask each URL in turn, up to three times round, until one gives an answer."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(_ROUNDS_MAX) | stop_after_delay(self._timeout_s),
            wait=wait_random_exponential(multiplier=self._pause_s, max=_PAUSE_MAX_S),
            retry=retry_if_result(lambda answer: isinstance(answer, SchemaUnreachable)),
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )
        async with self._turn:
            answer: Answer | SchemaUnreachable = await retrying(self._round, method, path, content)
        return answer

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _round(self, method: str, path: str, content: bytes | None) -> Answer | SchemaUnreachable:
        faults = []
        for step in range(len(self._urls)):
            index = (self._last_good + step) % len(self._urls)
            answer = await self._ask(self._urls[index], method, path, content)
            if isinstance(answer, Answer):
                self._last_good = index
                return answer
            faults.append(answer.detail)
        return SchemaUnreachable(" ".join(faults))

    async def _ask(
        self, base_url: str, method: str, path: str, content: bytes | None
    ) -> Answer | SchemaUnreachable:
        body = bytearray()
        headers = {"content-type": _MEDIA_TYPE} if content is not None else None
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream(method, base_url + path, content=content, headers=headers) as reply,
            ):
                async for chunk in reply.aiter_raw():
                    body += chunk
                    if len(body) > ANSWER_BYTES_MAX:
                        return _unreachable(base_url, f"its answer is over {ANSWER_BYTES_MAX} bytes")
        except TimeoutError:
            return _unreachable(base_url, f"no answer within {self._timeout_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return _unreachable(base_url, f"{type(error).__name__}: {error}")
        return _read(base_url, reply, bytes(body))


def _read(base_url: str, reply: httpx.Response, body: bytes) -> Answer | SchemaUnreachable:
    status = reply.status_code
    is_final = 200 <= status < 300 or (400 <= status < 500 and status not in _PASSING_STATUSES)
    if not is_final:
        return _unreachable(base_url, f"it answered {status}")
    if reply.headers.get("content-encoding", "identity") != "identity":
        return _unreachable(base_url, f"it answered {status}, compressed though not asked to")
    try:
        return Answer(status, orjson.loads(body), reply.headers.get("date", ""))
    except orjson.JSONDecodeError:
        return _unreachable(base_url, f"it answered {status} without JSON")


def _unreachable(base_url: str, why: str) -> SchemaUnreachable:
    return SchemaUnreachable(f"Schema registry {base_url}: {why}.")


def _base_url(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise BadRegistrySettings(f"registry URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise BadRegistrySettings("registry URL: write it as http://host:port or https://host:port/path")
    if url.userinfo:
        raise BadRegistrySettings("registry URL: give user name and password as settings, not in the URL")
    if url.query or url.fragment:
        raise BadRegistrySettings("registry URL: a query or fragment has no meaning here")
    return str(url).rstrip("/")


def _tls(settings: RegistrySettings) -> ssl.SSLContext:
    if bool(settings.client_certificate_file) != bool(settings.client_key_file):
        raise BadRegistrySettings("a client certificate needs its key, and a key its certificate")
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.client_certificate_file:
            context.load_cert_chain(settings.client_certificate_file, settings.client_key_file)
    except OSError as error:
        raise BadRegistrySettings(f"TLS files of the registry: {error}") from error
    return context
