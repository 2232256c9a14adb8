"""What a reader outside every group must do, on any cluster. A subclass gives the fixture ``bed``."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from confluent_kafka.admin import AdminClient

from connector.engine.ports import TopicPartition
from connector.kafka.peek import PeekSource
from tests.support.kafka_beds import Bed
from tests.support.reading import Recorder


class PeekContract:
    @pytest.fixture
    def four(self, bed: Bed) -> list[TopicPartition]:
        bed.create_topic(bed.names.topic(), 4)
        return [TopicPartition(bed.names.topic(), p) for p in range(4)]

    @pytest.fixture
    async def peek(self, bed: Bed) -> AsyncIterator[PeekSource]:
        source = PeekSource(bed.access, start="earliest", capabilities=bed.capabilities)
        yield source
        await source.close()

    async def test_every_partition_is_read_and_no_group_comes_to_be(
        self, bed: Bed, peek: PeekSource, four: list[TopicPartition]
    ) -> None:
        for tp in four:
            bed.produce(tp.topic, [b"1", b"2"], partition=tp.partition)
        recorder = Recorder()

        recorder.own(peek, [four[0].topic])
        await recorder.until(lambda: all(len(recorder.records[tp]) == 2 for tp in four), "all records")

        assert sorted(recorder.live) == four
        admin = AdminClient({"bootstrap.servers": bed.access.bootstrap_servers})
        groups = admin.list_consumer_groups(request_timeout=10).result().valid
        assert [group.group_id for group in groups if "dry-run" in group.group_id] == []

    async def test_a_commit_is_answered_and_not_made(
        self, bed: Bed, peek: PeekSource, four: list[TopicPartition]
    ) -> None:
        recorder = Recorder()
        recorder.own(peek, [four[0].topic])
        await recorder.until_assigned(4)

        peek.commit([recorder.commit_of(four[0], 1)])
        await recorder.until(lambda: bool(recorder.results), "the answer")

        assert recorder.results[0].error == ""

    async def test_latest_reads_only_what_comes(self, bed: Bed, four: list[TopicPartition]) -> None:
        bed.produce(four[0].topic, [b"old"])
        source = PeekSource(bed.access, start="latest", capabilities=bed.capabilities)
        recorder = Recorder()
        recorder.own(source, [four[0].topic])
        await recorder.until_assigned(4)

        bed.produce(four[0].topic, [b"new"])
        await recorder.until_read(four[0], 1)
        await source.close()

        assert recorder.values(four[0]) == [b"new"]

    async def test_a_missing_topic_is_told(self, bed: Bed, peek: PeekSource) -> None:
        recorder = Recorder()

        recorder.own(peek, [bed.names.topic("missing")])

        await recorder.until_fault("missing")

    async def test_without_a_grant_nothing_is_fetched_and_a_paused_partition_is_silent(
        self, bed: Bed, peek: PeekSource, four: list[TopicPartition]
    ) -> None:
        bed.produce(four[0].topic, [b"1"], partition=0)
        bed.produce(four[0].topic, [b"2"], partition=1)
        recorder = Recorder(is_granting=False)
        recorder.own(peek, [four[0].topic])
        await recorder.until_assigned(4)

        peek.pause(four[0])
        recorder.is_granting = True
        peek.grant()
        await recorder.until_read(four[1], 1)
        before = recorder.values(four[0])
        peek.resume(four[0])
        await recorder.until_read(four[0], 1)

        assert before == []
