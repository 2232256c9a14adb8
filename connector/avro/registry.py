"""Schemas by registry id: fetched once, shared by all who wait, kept.

Promises that an id is called unknown only when the registry says so in its own words (404 with
``error_code`` 40403); every other trouble is "unreachable", a fault of ours and never the record's.
A known schema is kept for ever, since ids are never reused; an unknown id is remembered for 30
seconds, since its producer may be about to register it. Speaks the Confluent API.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from typing import Any, Final
from urllib.parse import quote

import orjson

from connector.avro.references import Reference, inline
from connector.avro.registry_http import Answer, RegistryHttp, RegistrySettings
from connector.core.event import Poison
from connector.engine.ports import SchemaAnswer, SchemaReady, SchemaUnknown, SchemaUnreachable

SCHEMAS_MAX: Final = 10_000
"""Schemas kept, the latest used; a cluster in practice has hundreds."""
UNKNOWN_MAX: Final = 10_000
"""Unknown ids remembered, the latest; records can name any number of them."""
UNKNOWN_MS: Final = 30_000
"""How long an unknown id is not asked for again."""
REFERENCES_MAX: Final = 100
"""Schemas that one schema may refer to, directly or through others."""

_NOT_FOUND: Final = 40403


@dataclass(frozen=True, slots=True)
class _Unknown:
    until_ms: int
    answer: SchemaUnknown


class RegistrationFailed(RuntimeError):
    """The registry did not take a schema; the message says what it answered."""


class SchemaRegistry:
    """A client of one registry. Invariants: at most one request per id is under way; neither cache
    outgrows its bound (held by tests/avro/test_registry.py)."""

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        monotonic_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        """Raises :class:`~connector.avro.registry_http.BadRegistrySettings`."""
        self._http = RegistryHttp(settings)
        self._monotonic_ms = monotonic_ms
        self._schemas: OrderedDict[int, str | Poison] = OrderedDict()
        self._unknown: dict[int, _Unknown] = {}
        self._under_way: dict[int, asyncio.Task[SchemaAnswer]] = {}

    def schema(self, schema_id: int) -> str | Poison | None:
        """The schema's Avro text, referenced types written out; poison when it is not an Avro schema
        at all; ``None`` when it has to be fetched first."""
        found = self._schemas.get(schema_id)
        if found is not None:
            self._schemas.move_to_end(schema_id)
        return found

    async def fetch(self, schema_id: int) -> SchemaAnswer:
        """Make ``schema`` able to answer. At once when it is, or when the id was unknown a moment ago.

        Cancelling one caller does not cancel the request that others wait for.
        """
        if schema_id in self._schemas:
            return SchemaReady()
        unknown = self._unknown.get(schema_id)
        if unknown is not None and self._monotonic_ms() < unknown.until_ms:
            return unknown.answer
        task = self._under_way.get(schema_id)
        if task is None:
            task = asyncio.create_task(self._fetch(schema_id), name=f"schema {schema_id}")
            self._under_way[schema_id] = task
            task.add_done_callback(lambda _: self._under_way.pop(schema_id))
        return await asyncio.shield(task)

    async def subjects(self) -> tuple[str, ...] | SchemaUnreachable:
        """The subjects the registry shows us: a look at whether it can be reached and lets us in."""
        answer = await self._http.request("GET", "/subjects")
        if isinstance(answer, SchemaUnreachable):
            return answer
        names = answer.document
        if answer.status != 200 or not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            return _unusable(answer, "the list of subjects")
        return tuple(names)

    async def clock_s(self) -> int | None:
        """The registry's clock in UNIX seconds, by the ``Date`` of an answer; ``None`` when it has none."""
        answer = await self._http.request("GET", "/subjects")
        found = None if isinstance(answer, SchemaUnreachable) else parsedate_tz(answer.date)
        return None if found is None else mktime_tz(found)

    async def register(self, subject: str, schema_text: str) -> int:
        """Register an Avro schema and give its id; the same text again gives the same id.

        Raises :class:`RegistrationFailed`.
        """
        answer = await self._http.request(
            "POST",
            f"/subjects/{quote(subject, safe='')}/versions",
            content=orjson.dumps({"schema": schema_text}),
        )
        if isinstance(answer, SchemaUnreachable):
            raise RegistrationFailed(answer.detail)
        schema_id = _member(answer.document, "id")
        if answer.status != 200 or type(schema_id) is not int:
            raise RegistrationFailed(_unusable(answer, f"registering {subject}").detail)
        return schema_id

    async def close(self) -> None:
        """Give up what is under way and close all connections."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.close()

    async def _fetch(self, schema_id: int) -> SchemaAnswer:
        answer = await self._http.request("GET", f"/schemas/ids/{schema_id}")
        if isinstance(answer, SchemaUnreachable):
            return answer
        if answer.status == 404 and _member(answer.document, "error_code") == _NOT_FOUND:
            return self._remember_unknown(schema_id)
        written = _Written.of(answer)
        if written is None:
            return _unusable(answer, f"schema {schema_id}")
        schema = await self._with_references(schema_id, written)
        if isinstance(schema, SchemaUnreachable):
            return schema
        self._remember(schema_id, schema)
        return SchemaReady()

    async def _with_references(self, schema_id: int, written: _Written) -> str | Poison | SchemaUnreachable:
        """The text of ``written`` made self-contained."""
        if written.kind != "AVRO":
            return Poison("bad-schema", f"Schema {schema_id} is {written.kind}, not AVRO.")
        referred: dict[Reference, str] = {}
        pending = list(written.references)
        while pending:
            reference = pending.pop()
            if reference in referred:
                continue
            if len(referred) == REFERENCES_MAX:
                return Poison("bad-schema", f"Schema {schema_id} refers to over {REFERENCES_MAX} others.")
            path = f"/subjects/{quote(reference.subject, safe='')}/versions/{reference.version}"
            answer = await self._http.request("GET", path)
            if isinstance(answer, SchemaUnreachable):
                return answer
            other = _Written.of(answer)
            if other is None:
                return _unusable(answer, f"{reference.subject} version {reference.version}")
            referred[reference] = other.text
            pending.extend(other.references)
        return inline(written.text, list(referred.values())) if referred else written.text

    def _remember(self, schema_id: int, schema: str | Poison) -> None:
        self._unknown.pop(schema_id, None)
        self._schemas[schema_id] = schema
        if len(self._schemas) > SCHEMAS_MAX:
            self._schemas.popitem(last=False)

    def _remember_unknown(self, schema_id: int) -> SchemaUnknown:
        answer = SchemaUnknown(f"The registry knows no schema {schema_id} (404, error_code {_NOT_FOUND}).")
        self._unknown.pop(schema_id, None)
        self._unknown[schema_id] = _Unknown(self._monotonic_ms() + UNKNOWN_MS, answer)
        if len(self._unknown) > UNKNOWN_MAX:
            del self._unknown[next(iter(self._unknown))]
        return answer


@dataclass(frozen=True, slots=True)
class _Written:
    """A schema as the registry gives it."""

    text: str
    kind: str
    references: tuple[Reference, ...]

    @staticmethod
    def of(answer: Answer) -> _Written | None:
        """``None`` when the answer is not a schema."""
        text = _member(answer.document, "schema")
        kind = _member(answer.document, "schemaType") or "AVRO"
        listed = _member(answer.document, "references") or []
        if answer.status != 200 or not isinstance(text, str) or not isinstance(kind, str):
            return None
        references = [Reference.of(each) for each in listed] if isinstance(listed, list) else [None]
        if None in references:
            return None
        return _Written(text, kind, tuple(each for each in references if each is not None))


def _member(document: Any, name: str) -> Any:  # Any: JSON of unknown shape
    return document.get(name) if isinstance(document, dict) else None


def _unusable(answer: Answer, what: str) -> SchemaUnreachable:
    code = _member(answer.document, "error_code")
    shown = f" with error_code {code}" if isinstance(code, int) else ""
    return SchemaUnreachable(f"Schema registry: {answer.status}{shown} is no usable answer for {what}.")
