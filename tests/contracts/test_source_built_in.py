"""A member of a consumer group keeps the source contract on the built-in cluster."""

from __future__ import annotations

import pytest

from connector.engine.ports import TopicPartition
from connector.kafka.mock_cluster import MockCluster
from tests.support.kafka_beds import Bed, BuiltInBed
from tests.support.mock_kafka import shared_mock_kafka
from tests.support.names import Names
from tests.support.source_contract import Join, KafkaSourceContract

__all__ = ["shared_mock_kafka"]


class BuiltIn:
    @pytest.fixture
    def bed(self, shared_mock_kafka: MockCluster, names: Names) -> BuiltInBed:
        return BuiltInBed(shared_mock_kafka, names)


class TestCooperative(BuiltIn, KafkaSourceContract):
    async def test_partitions_move_to_a_second_member_with_their_last_commit(
        self, bed: Bed, join: Join, four: list[TopicPartition]
    ) -> None:
        """This cluster takes no commit while any member still has to join again, as a real one does: then
        it is said, and what was not committed is read again."""
        for tp in four:
            bed.produce(tp.topic, [b"1", b"2"], partition=tp.partition)
        _, first = await join()
        await first.until(lambda: all(len(first.records[tp]) == 2 for tp in four), "all records")
        first.last_commits = lambda tps: [first.commit_of(tp, 2, "last") for tp in tps]

        _, second = await join()
        await second.until_assigned(2)
        await first.until_assigned(2)

        moved = sorted(second.live)
        assert sorted([*first.live, *moved]) == four
        assert all("the last commit before handing back failed" in what for what, _ in first.faults)
        if first.faults:
            await second.until(lambda: all(len(second.records[tp]) == 2 for tp in moved), "all again")
        else:
            assert [bed.committed(tp) for tp in moved] == [(2, "last"), (2, "last")]
            assert all(second.live[tp].position == 2 for tp in moved)
        assert first.budgets_ms[0] == 2_000


@pytest.mark.slow
class TestEager(BuiltIn, KafkaSourceContract):
    strategy = "range"

    async def test_partitions_move_to_a_second_member_with_their_last_commit(
        self, bed: Bed, join: Join, four: list[TopicPartition]
    ) -> None:
        """This cluster takes no commit during an eager rebalance, as a real one does: then it is said."""
        _, first = await join()
        await first.until_assigned(4)
        first.last_commits = lambda tps: [first.commit_of(tp, 0) for tp in tps]

        _, second = await join()
        await second.until_assigned(2)

        await first.until_fault("last commit", "come twice")


@pytest.mark.slow
class TestConsumerProtocol(BuiltIn, KafkaSourceContract):
    protocol = "consumer"
