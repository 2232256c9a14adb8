"""News that cannot be read: they are counted, and told once."""

from __future__ import annotations

import asyncio

from connector.engine.hearing import UNREADABLE_MAX
from tests.support.team import Team
from tests.support.virtual_time import virtual


@virtual
async def test_news_that_cannot_be_read_are_told_once_for_each_key():
    team = await Team.of(1)
    world = team.worlds[0]

    for _ in range(30):
        team.topic.append(b"worker/of-another-version", b'{"v":99}')
        team.topic.append(b"endpoint/a", b"garbage")
        await asyncio.sleep(1)

    told = [facts["key"] for facts in world.log.said("news that cannot be read")]
    assert sorted(told) == ["endpoint/a", "worker/of-another-version"]
    assert world.worker.hearing.faults == 60


@virtual
async def test_no_more_unreadable_keys_are_remembered_than_there_may_be():
    team = await Team.of(1)

    for number in range(UNREADABLE_MAX + 1):
        team.topic.append(b"endpoint/%d" % number, b"garbage")
    team.topic.append(b"endpoint/0", b"garbage")
    await asyncio.sleep(2)

    assert len(team.worlds[0].log.said("news that cannot be read")) == UNREADABLE_MAX + 2
