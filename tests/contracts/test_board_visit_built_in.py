"""A visitor of the board gets what the contract says on the built-in cluster, and is told of trouble."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, Producer

from connector.kafka.board_visit import read_board, write_board
from connector.kafka.cluster import Cluster
from connector.kafka.errors import KafkaTrouble
from connector.kafka.mock_cluster import FETCH, PRODUCE, MockCluster
from tests.contracts.board_visit_contract import BoardVisitContract
from tests.support.kafka_beds import BuiltInBed
from tests.support.mock_kafka import mock_kafka
from tests.support.names import Names

__all__ = ["mock_kafka"]


class TestBuiltIn(BoardVisitContract):
    @pytest.fixture
    def bed(self, mock_kafka: MockCluster, names: Names) -> BuiltInBed:
        return BuiltInBed(mock_kafka, names)

    @pytest.fixture
    def topic(self, bed: BuiltInBed) -> str:
        topic = f"{bed.names.prefix}.shared"
        bed.create_topic(topic)
        return topic

    async def test_a_key_that_was_removed_is_not_there(
        self, bed: BuiltInBed, topic: str, cluster: Cluster
    ) -> None:
        await write_board(topic, bed.access, [(b"key", b"x"), (b"other", b"y")])
        producer = Producer({"bootstrap.servers": bed.access.bootstrap_servers})
        producer.produce(topic, key=b"key", value=None)
        assert producer.flush(20) == 0

        assert (await read_board(topic, cluster)).newest == {b"other": b"y"}

    async def test_a_cluster_that_does_not_answer_is_told(
        self, bed: BuiltInBed, topic: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("connector.kafka.cluster.CALL_TIMEOUT_S", 0.3)
        bed.mock.take_down([1])

        with pytest.raises(KafkaTrouble, match="the cluster does not answer"):
            await read_board(topic, cluster)

    async def test_reading_ends_though_no_record_comes(
        self, bed: BuiltInBed, topic: str, cluster: Cluster
    ) -> None:
        await write_board(topic, bed.access, [(b"key", b"x")])
        bed.mock.fail_requests(FETCH, [KafkaError.NOT_LEADER_FOR_PARTITION] * 1_000)

        with pytest.raises(KafkaTrouble, match=r"could not be read to its end within 0.3 s|NOT_LEADER"):
            await read_board(topic, cluster, within_s=0.3)

    async def test_what_the_broker_will_not_take_is_told(self, bed: BuiltInBed, topic: str) -> None:
        bed.mock.fail_requests(PRODUCE, [KafkaError.TOPIC_AUTHORIZATION_FAILED])

        with pytest.raises(KafkaTrouble, match=f"topic {topic} cannot be written: .*authorization") as told:
            await write_board(topic, bed.access, [(b"key", b"x")])

        assert told.value.is_fatal

    async def test_what_is_not_acknowledged_in_time_is_told(self, bed: BuiltInBed, topic: str) -> None:
        bed.mock.take_down([1])

        with pytest.raises(KafkaTrouble, match="cannot be written") as told:
            await write_board(topic, bed.access, [(b"key", b"x")], within_ms=300)

        assert not told.value.is_fatal
