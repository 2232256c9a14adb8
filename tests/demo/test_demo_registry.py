from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from connector.avro.registry import SchemaRegistry
from connector.avro.registry_http import RegistrySettings
from connector.demo.registry import registry_app
from connector.demo.serving import LoopbackServer
from connector.engine.ports import SchemaReady, SchemaUnknown


@pytest.fixture
async def registry() -> AsyncIterator[SchemaRegistry]:
    server = LoopbackServer(registry_app())
    client = SchemaRegistry(RegistrySettings(urls=(await server.start(),)))
    yield client
    await client.close()
    await server.stop()


async def test_a_schema_is_found_by_the_id_it_was_registered_with(registry: SchemaRegistry) -> None:
    await registry.register("a-value", '"long"')
    schema_id = await registry.register("b-value", '"string"')

    assert await registry.fetch(schema_id) == SchemaReady()
    assert registry.schema(schema_id) == '"string"'


async def test_the_same_text_has_the_same_id_under_every_subject(registry: SchemaRegistry) -> None:
    first = await registry.register("a-value", '"long"')

    assert await registry.register("b-value", '"long"') == first
    assert await registry.subjects() == ("a-value", "b-value")


async def test_an_id_nobody_registered_is_unknown(registry: SchemaRegistry) -> None:
    assert isinstance(await registry.fetch(1), SchemaUnknown)
