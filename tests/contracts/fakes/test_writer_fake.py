"""The writer that the engine is tested on keeps the contract of the real one."""

from __future__ import annotations

import pytest

from tests.support.fake_bed import FakeBed
from tests.support.names import Names
from tests.support.writer_contract import WriterContract


class TestInMemory(WriterContract):
    @pytest.fixture
    def bed(self, names: Names) -> FakeBed:
        return FakeBed(names)
