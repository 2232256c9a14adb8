"""What a visitor of the board may rely on, whatever the cluster."""

from __future__ import annotations

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
        assert await read_board(topic, cluster) == {}

    async def test_what_was_written_last_of_each_key_is_read(
        self, bed: Bed, topic: str, cluster: Cluster
    ) -> None:
        await write_board(topic, bed.access, [(b"%d" % n, b"old") for n in range(1_200)])
        await write_board(topic, bed.access, [(b"7", b"new")])

        newest = await read_board(topic, cluster)

        assert newest == {b"%d" % n: b"old" for n in range(1_200)} | {b"7": b"new"}

    async def test_a_board_that_is_missing_is_told(self, bed: Bed, cluster: Cluster) -> None:
        with pytest.raises(KafkaTrouble, match="is missing: create it"):
            await read_board(bed.names.topic("none"), cluster)

    async def test_no_news_needs_no_topic(self, bed: Bed) -> None:
        await write_board(bed.names.topic("none"), bed.access, [])
