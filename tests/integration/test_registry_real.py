"""The real registry keeps the contract, and its going away is never taken for an answer."""

from __future__ import annotations

import pytest

from connector.avro.registry import SchemaRegistry
from connector.avro.registry_http import RegistrySettings
from connector.engine.ports import SchemaReady, SchemaUnreachable
from deploy.testbed import Registry
from schemas import schema_text
from tests.support.names import Names
from tests.support.registry_contract import RegistryContract

pytestmark = pytest.mark.registry


class TestRealRegistry(RegistryContract):
    @pytest.fixture
    def registry_url(self, registry: Registry) -> str:
        return registry.url


@pytest.mark.parametrize("away", ["kill", "pause"])
async def test_a_registry_that_is_away_is_unreachable_and_answers_again_when_back(
    registry: Registry, names: Names, away: str
) -> None:
    first = SchemaRegistry(RegistrySettings(urls=(registry.url,), timeout_ms=2_000, retry_pause_ms=0))
    schema_id = await first.register(f"{names.stem}-value", schema_text("post.created"))
    second = SchemaRegistry(RegistrySettings(urls=(registry.url,), timeout_ms=2_000, retry_pause_ms=0))

    getattr(registry, away)()
    while_away = await second.fetch(schema_id)
    registry.mend()
    for _ in range(20):  # it may be slow at first, on a busy machine
        when_back = await second.fetch(schema_id)
        if when_back == SchemaReady():
            break
    await first.close()
    await second.close()

    assert isinstance(while_away, SchemaUnreachable)
    assert when_back == SchemaReady()
