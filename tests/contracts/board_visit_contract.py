"""What a visitor of the board may rely on, whatever the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from connector.kafka.board_visit import read_board, write_board
from connector.kafka.cluster import Cluster
from connector.kafka.errors import KafkaTrouble
from tests.support.kafka_beds import Bed


class BoardVisitContract:
    """``bed`` is a cluster with an empty board, ``topic``."""

    @pytest.fixture
    def cluster(self, bed: Bed) -> Cluster:
        return Cluster(bed.access, bed.capabilities)

    async def test_an_empty_board_has_nothing_to_say(self, topic: str, cluster: Cluster) -> None:
        assert (await read_board(topic, cluster)).newest == {}

    async def test_what_was_written_last_of_each_key_is_read(
        self, bed: Bed, topic: str, cluster: Cluster
    ) -> None:
        await write_board(topic, bed.access, [(b"%d" % n, b"old") for n in range(1_200)])
        await write_board(topic, bed.access, [(b"7", b"new")])

        visit = await read_board(topic, cluster)

        assert visit.fresh == set()
        assert visit.newest == {b"%d" % n: b"old" for n in range(1_200)} | {b"7": b"new"}

    async def test_it_listens_until_there_is_fresh_news_of_those_that_are_awaited(
        self, bed: Bed, topic: str, cluster: Cluster
    ) -> None:
        await write_board(topic, bed.access, [(b"alive", b"1"), (b"dead", b"1"), (b"silent", b"1")])
        has_read = asyncio.Event()

        def awaited(newest: Mapping[bytes, bytes]) -> set[bytes]:
            assert set(newest) == {b"alive", b"dead", b"silent"}
            has_read.set()
            return {b"alive", b"silent"}

        visiting = asyncio.create_task(read_board(topic, cluster, awaited=awaited, listen_ms=60_000))
        await has_read.wait()
        await write_board(topic, bed.access, [(b"alive", b"1")])
        await write_board(topic, bed.access, [(b"silent", b"2")])
        visit = await visiting

        assert visit.fresh == {b"alive", b"silent"}
        assert visit.newest == {b"alive": b"1", b"dead": b"1", b"silent": b"2"}

    async def test_it_listens_no_longer_than_it_was_told(
        self, bed: Bed, topic: str, cluster: Cluster
    ) -> None:
        await write_board(topic, bed.access, [(b"dead", b"1")])

        visit = await read_board(topic, cluster, awaited=lambda newest: newest.keys(), listen_ms=100)

        assert visit.fresh == set()

    async def test_a_board_that_is_missing_is_told(self, bed: Bed, cluster: Cluster) -> None:
        with pytest.raises(KafkaTrouble, match="is missing: create it"):
            await read_board(bed.names.topic("none"), cluster)

    async def test_no_news_needs_no_topic(self, bed: Bed) -> None:
        await write_board(bed.names.topic("none"), bed.access, [])
