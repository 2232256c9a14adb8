"""The letter log that the engine is tested on keeps the contract of the real one."""

from __future__ import annotations

import pytest

from tests.contracts.letter_log_contract import LetterLogContract
from tests.support.fake_bed import FakeBed
from tests.support.fake_letter_log import FakeLetterLog
from tests.support.names import Names


class TestInMemory(LetterLogContract):
    @pytest.fixture
    async def bed(self, names: Names) -> FakeBed:
        return FakeBed(names)

    @pytest.fixture
    async def letters(self, bed: FakeBed) -> FakeLetterLog:
        return FakeLetterLog(bed.cluster)
