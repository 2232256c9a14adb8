"""Schema references: one self-contained Avro text out of a schema and those it refers to.

A registry hands out such schemas in pieces. Each referred type is written out where it is first
named, as the Avro specification wants definitions to stand before uses. Whether the result is sound
Avro is for whoever compiles it to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from connector.core.event import Poison

_DEPTH_MAX: Final = 64
_NAMED: Final = ("record", "error", "enum", "fixed")


@dataclass(frozen=True, slots=True)
class Reference:
    """A version of a subject that a schema refers to."""

    subject: str
    version: int

    @staticmethod
    def of(document: Any) -> Reference | None:  # Any: JSON of unknown shape
        """``None`` when ``document`` is not a reference."""
        match document:
            case {"subject": str(subject), "version": int(version)}:
                return Reference(subject, version)
            case _:
                return None


def inline(schema_text: str, referred_texts: Sequence[str]) -> str | Poison:
    """``schema_text`` with every type that ``referred_texts`` define written out at its first use."""
    try:
        schema = orjson.loads(schema_text)
        referred = [orjson.loads(text) for text in referred_texts]
    except orjson.JSONDecodeError:
        return Poison("bad-schema", "The schema, or one that it refers to, is not JSON.")
    types = {_full_name(each, ""): each for each in referred if isinstance(each, dict) and "name" in each}
    try:
        return orjson.dumps(_Inliner(types).inline(schema, "", 0)).decode()
    except _TooDeep:
        return Poison("bad-schema", f"The schema, with those it refers to, nests over {_DEPTH_MAX} levels.")


class _TooDeep(Exception):
    pass


class _Inliner:
    """Walks schemas in reading order; ``pending`` are the referred types not yet written out."""

    def __init__(self, pending: dict[str, Any]) -> None:  # Any: Avro in JSON form, here and below
        self._pending = pending

    def inline(self, schema: Any, namespace: str, depth: int) -> Any:
        if depth > _DEPTH_MAX:
            raise _TooDeep
        match schema:
            case str():
                return self._named(schema, namespace, depth)
            case list():
                return [self.inline(branch, namespace, depth + 1) for branch in schema]
            case dict():
                return self._complex(schema, namespace, depth)
            case _:
                return schema

    def _named(self, name: str, namespace: str, depth: int) -> Any:
        full_name = name if "." in name or not namespace else f"{namespace}.{name}"
        for candidate in (full_name, name):
            if candidate in self._pending:
                definition = self._pending.pop(candidate)
                return self.inline(_anchored(definition, candidate), "", depth + 1)
        return name

    def _complex(self, schema: dict[str, Any], namespace: str, depth: int) -> dict[str, Any]:
        inlined = dict(schema)
        if schema.get("type") in _NAMED and "name" in schema:
            full_name = _full_name(schema, namespace)
            namespace = full_name.rpartition(".")[0]
            self._pending.pop(full_name, None)
        elif "type" in schema:
            inlined["type"] = self.inline(schema["type"], namespace, depth + 1)
        for inner in ("items", "values"):
            if inner in schema:
                inlined[inner] = self.inline(schema[inner], namespace, depth + 1)
        if isinstance(schema.get("fields"), list):
            inlined["fields"] = [self._field(each, namespace, depth + 1) for each in schema["fields"]]
        return inlined

    def _field(self, field: Any, namespace: str, depth: int) -> Any:
        if not isinstance(field, dict) or "type" not in field:
            return field
        return {**field, "type": self.inline(field["type"], namespace, depth)}


def _full_name(schema: dict[str, Any], namespace: str) -> str:
    name = str(schema["name"])
    namespace = str(schema.get("namespace", namespace) or "")
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _anchored(definition: dict[str, Any], full_name: str) -> dict[str, Any]:
    """The definition with its namespace spelled out, so that where it is put does not rename it."""
    namespace, _, name = full_name.rpartition(".")
    return {**definition, "name": name, "namespace": namespace}
