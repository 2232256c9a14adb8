"""The fake registry keeps the contract that the real one keeps (tests/integration/test_registry_real.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.fake_registry import FakeRegistry
from tests.support.registry_contract import RegistryContract


class TestFakeRegistry(RegistryContract):
    @pytest.fixture
    async def registry_url(self) -> AsyncIterator[str]:
        async with FakeRegistry() as registry:
            yield registry.url
