"""The records of a simulation: what they hold, the decoder that reads them, and the registry that it asks."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from connector.core.event import Decoded, Event, NeedsSchema, Poison, Skipped
from connector.core.record import Record
from connector.engine.ports import SchemaAnswer, SchemaReady, SchemaUnknown, SchemaUnreachable


def event_type(record: Record) -> str:
    """Its topic's name; of a rare one, of a kind of its own."""
    return f"{record.topic}.rare" if record.value == b"rare" else record.topic


class Registry:
    """What the schema registry knows, for all workers."""

    def __init__(self) -> None:
        self.known: set[Hashable] = set()
        self.is_reachable = True


class SimulatedDecoder:
    """Values begin with what they are: ``poison``, ``skip``, ``schema <ref>``, ``rare``, or data."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.cached: set[Hashable] = set()

    def decode(self, record: Record) -> Decoded:
        kind, _, rest = (record.value or b"poison").partition(b" ")
        if kind == b"poison":
            return Poison("corrupt", "simulated")
        if kind == b"skip":
            return Skipped("simulated")
        if kind == b"schema" and rest not in self.cached:
            return NeedsSchema(rest)
        name = f"{record.topic}-{record.partition}-{record.offset}".replace(".", "_")
        return Event(event_type(record), name, record.timestamp_ms * 1_000, 3, b"1")

    async def fetch(self, ref: Hashable) -> SchemaAnswer:
        await asyncio.sleep(0.02)
        if not self.registry.is_reachable:
            return SchemaUnreachable("simulated")
        if ref not in self.registry.known:
            return SchemaUnknown("simulated")
        self.cached.add(ref)
        return SchemaReady()
