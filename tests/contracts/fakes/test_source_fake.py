"""The source that the engine is tested on keeps the contract of the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.fake_bed import FakeBed, FakeMember
from tests.support.names import Names
from tests.support.reading import Recorder
from tests.support.source_contract import Join, SourceContract


class TestInMemory(SourceContract):
    @pytest.fixture
    def bed(self, names: Names) -> FakeBed:
        return FakeBed(names)

    @pytest.fixture
    async def join(self, bed: FakeBed) -> AsyncIterator[Join]:
        joined: list[FakeMember] = []

        async def start(recorder: Recorder | None = None, **settings: int) -> tuple[FakeMember, Recorder]:
            source = bed.member(**settings)
            joined.append(source)
            recorder = recorder or Recorder()
            recorder.own(source, [bed.names.topic()])
            return source, recorder

        yield start
        await asyncio.gather(*(source.close() for source in joined))
