"""Members of one group that join and leave while its topic is in trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from connector.core.topic_names import sources_topic
from connector.kafka.member import MemberSettings
from connector.kafka.source import KafkaSource
from tests.support.kafka_beds import Bed, make_source
from tests.support.reading import Recorder


class Join(Protocol):
    async def __call__(
        self, recorder: Recorder | None = None, **settings: Any
    ) -> tuple[KafkaSource, Recorder]:
        """Another member that reads the test's topic, and what it is told; ``settings`` are those of
        :class:`~connector.kafka.member.MemberSettings` that are to be others."""


def make_topics(bed: Bed) -> None:
    """What a member needs: the sources topic, and the test's own with one partition."""
    bed.create_topic(sources_topic(bed.names.prefix))
    bed.create_topic(bed.names.topic())


@asynccontextmanager
async def joining(bed: Bed, **usual: Any) -> AsyncIterator[Join]:
    """Members on ``bed`` with the ``usual`` settings; in the end all are closed."""
    joined: list[KafkaSource] = []

    async def join(recorder: Recorder | None = None, **settings: Any) -> tuple[KafkaSource, Recorder]:
        wanted = {"group": bed.names.group, "start": "earliest", **usual, **settings}
        source = make_source(bed, MemberSettings(**wanted))
        joined.append(source)
        recorder = recorder or Recorder()
        recorder.own(source, [bed.names.topic()])
        return source, recorder

    yield join
    await asyncio.gather(*(source.close() for source in joined))
