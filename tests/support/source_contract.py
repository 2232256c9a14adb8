"""What every :class:`~connector.engine.ports.Source` of a consumer group must do: the real ones on any
cluster, and the one in memory that the engine is tested on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Protocol

import pytest

from connector.core.topic_names import sources_topic
from connector.engine.ports import Capabilities, Commit, Source, TopicPartition
from connector.kafka.member import GroupProtocol, MemberSettings, Strategy
from tests.support.kafka_beds import Bed, Header, make_source
from tests.support.names import Names
from tests.support.reading import Recorder

Join = Callable[..., Awaitable[tuple[Source, Recorder]]]


class SourceBed(Protocol):
    """A cluster under test, the names this test may use on it, and what another client does and sees."""

    names: Names
    capabilities: Capabilities

    def create_topic(self, name: str, partitions: int = 1) -> None: ...

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        *,
        partition: int = 0,
        headers: Sequence[Header] = (),
    ) -> None: ...

    def committed(self, tp: TopicPartition) -> tuple[int, str]: ...


class SourceContract:
    """A subclass gives the fixtures ``bed`` and ``join``. ``join`` starts a member that reads the test's
    topic, for a recorder of the test's own if it has one, with batches of ``batch_records_max``; the
    member leaves at the end of the test. Partitions are spread evenly, and 2 s are given to hand one back."""

    @pytest.fixture
    def tp(self, bed: SourceBed) -> TopicPartition:
        """The first partition of a topic with one."""
        bed.create_topic(bed.names.topic())
        return TopicPartition(bed.names.topic(), 0)

    @pytest.fixture
    def four(self, bed: SourceBed) -> list[TopicPartition]:
        """The partitions of a topic with four."""
        bed.create_topic(bed.names.topic(), 4)
        return [TopicPartition(bed.names.topic(), p) for p in range(4)]

    # ── reading ─────────────────────────────────────────────────────────────────────────────────

    async def test_a_record_arrives_with_its_coordinates_headers_and_time(
        self, bed: SourceBed, join: Join, tp: TopicPartition
    ) -> None:
        bed.produce(tp.topic, [b"one", None], headers=[("a", b"1"), ("a", None), ("ü", b"\xff")])

        _, recorder = await join()
        one, two = await recorder.until_read(tp, 2)

        assert (one.topic, one.partition, one.offset, one.value) == (tp.topic, 0, 0, b"one")
        assert list(one.headers) == [("a", b"1"), ("a", None), ("ü", b"\xff")]
        assert one.timestamp_ms > 1_600_000_000_000
        assert one.leader_epoch >= 0
        assert bool(one.topic_id) is bed.capabilities.has_topic_ids
        assert (two.offset, two.value) == (1, None)

    async def test_records_of_a_partition_come_in_order_without_gaps(
        self, bed: SourceBed, join: Join, tp: TopicPartition
    ) -> None:
        bed.produce(tp.topic, [b"%d" % n for n in range(3_000)])

        _, recorder = await join(batch_records_max=100)
        records = await recorder.until_read(tp, 3_000)

        assert [record.offset for record in records] == list(range(3_000))
        assert max(len(part.records) for batch in recorder.batches for part in batch) <= 100

    async def test_the_end_of_a_partition_is_told(
        self, bed: SourceBed, join: Join, tp: TopicPartition
    ) -> None:
        bed.produce(tp.topic, [b"1", b"2", b"3"])

        _, recorder = await join()
        await recorder.until(lambda: recorder.ends.get(tp) == 3, "the end of the partition")

        assert len(recorder.records[tp]) == 3

    async def test_the_end_of_an_empty_partition_is_told_too(
        self, bed: SourceBed, join: Join, tp: TopicPartition
    ) -> None:
        _, recorder = await join()

        await recorder.until(lambda: recorder.ends.get(tp) == 0, "the end of the partition")

    async def test_where_the_log_ends_is_known_with_the_first_batches_already(
        self, bed: SourceBed, join: Join, tp: TopicPartition
    ) -> None:
        bed.produce(tp.topic, [b"%d" % n for n in range(300)])

        _, recorder = await join(batch_records_max=100)
        await recorder.until_read(tp, 300)

        parts = [part for batch in recorder.batches for part in batch if part.records]
        assert all(part.records[-1].offset < part.log_end <= 300 for part in parts)
        assert parts[0].records[-1].offset < 100
        assert parts[0].log_end == 300

    async def test_without_a_grant_nothing_is_fetched(
        self, bed: SourceBed, join: Join, tp: TopicPartition
    ) -> None:
        bed.produce(tp.topic, [b"1"])
        recorder = Recorder(is_granting=False)

        source, _ = await join(recorder)
        await recorder.until_assigned(1)
        await asyncio.sleep(0.3)  # nothing may happen: only time can show it
        assert recorder.batches == []
        source.grant()
        await recorder.until_read(tp, 1)
        bed.produce(tp.topic, [b"2"])
        await asyncio.sleep(0.3)  # the grant is spent

        assert len(recorder.batches) == 1

    async def test_a_paused_partition_is_silent_and_goes_on_where_it_was(
        self, bed: SourceBed, join: Join, four: list[TopicPartition]
    ) -> None:
        source, recorder = await join()
        await recorder.until_assigned(4)
        bed.produce(four[0].topic, [b"a"], partition=0)
        await recorder.until_read(four[0], 1)

        source.pause(four[0])
        bed.produce(four[1].topic, [b"x"], partition=1)
        await recorder.until_read(four[1], 1)  # the poll that was under way is over: the pause holds
        bed.produce(four[0].topic, [b"b", b"c"], partition=0)
        bed.produce(four[1].topic, [b"y"], partition=1)
        await recorder.until_read(four[1], 2)
        before = recorder.values(four[0])
        source.resume(four[0])
        await recorder.until_read(four[0], 3)

        assert before == [b"a"]
        assert recorder.values(four[0]) == [b"a", b"b", b"c"]

    # ── commits ─────────────────────────────────────────────────────────────────────────────────

    async def test_a_commit_is_kept_with_its_metadata_and_given_back(
        self, bed: SourceBed, join: Join, tp: TopicPartition
    ) -> None:
        bed.produce(tp.topic, [b"1", b"2", b"3"])
        first, recorder = await join()
        await recorder.until_read(tp, 3)

        first.commit([recorder.commit_of(tp, 2, "done-set")])
        await recorder.until(lambda: bool(recorder.results), "an answer to the commit")
        await first.close()
        _, again = await join()
        await again.until_read(tp, 1)

        assert recorder.results[0].error == ""
        assert bed.committed(tp) == (2, "done-set")
        assert (again.ever[0].position, again.ever[0].committed_metadata) == (2, "done-set")
        assert again.values(tp) == [b"3"]

    async def test_the_same_offset_can_be_committed_again_with_other_metadata(
        self, bed: SourceBed, join: Join, tp: TopicPartition
    ) -> None:
        source, recorder = await join()
        await recorder.until_assigned(1)

        source.commit([recorder.commit_of(tp, 0, "one")])
        source.commit([recorder.commit_of(tp, 0, "two")])
        await recorder.until(lambda: len(recorder.results) == 2, "both answers")

        assert [result.error for result in recorder.results] == ["", ""]
        assert bed.committed(tp) == (0, "two")

    async def test_a_commit_never_moves_backwards(
        self, bed: SourceBed, join: Join, tp: TopicPartition
    ) -> None:
        bed.produce(tp.topic, [b"1", b"2"])
        source, recorder = await join()
        await recorder.until_read(tp, 2)

        source.commit([recorder.commit_of(tp, 2)])
        await recorder.until(lambda: len(recorder.results) == 1, "the first answer")
        source.commit([recorder.commit_of(tp, 1)])
        await recorder.until(lambda: len(recorder.results) == 2, "the second answer")

        assert "behind" in recorder.results[1].error
        assert bed.committed(tp)[0] == 2

    async def test_a_commit_of_another_epoch_is_dropped(
        self, bed: SourceBed, join: Join, tp: TopicPartition
    ) -> None:
        bed.produce(tp.topic, [b"1", b"2"])
        source, recorder = await join()
        await recorder.until_read(tp, 2)
        stale = Commit(tp=tp, epoch=recorder.live[tp].epoch + 7, offset=1, metadata="stale")

        source.commit([stale])
        source.commit([recorder.commit_of(tp, 2, "live")])
        await recorder.until(lambda: bool(recorder.results), "an answer")

        assert [result.commit.metadata for result in recorder.results] == ["live"]
        assert bed.committed(tp) == (2, "live")

    # ── rebalancing ─────────────────────────────────────────────────────────────────────────────

    async def test_partitions_move_to_a_second_member_with_their_last_commit(
        self, bed: SourceBed, join: Join, four: list[TopicPartition]
    ) -> None:
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
        assert first.faults == [], first.faults
        assert [bed.committed(tp) for tp in moved] == [(2, "last"), (2, "last")]
        assert all(second.live[tp].position == 2 for tp in moved)
        assert first.budgets_ms[0] == 2_000

    async def test_a_late_commit_cannot_rewind_the_next_owner(
        self, bed: SourceBed, join: Join, four: list[TopicPartition]
    ) -> None:
        for tp in four:
            bed.produce(tp.topic, [b"%d" % n for n in range(20)], partition=tp.partition)
        source, first = await join()
        await first.until(lambda: all(len(first.records[tp]) == 20 for tp in four), "all records")
        late = [first.commit_of(tp, 4, "late") for tp in four]
        heir, second = await join()
        await second.until_assigned(2)
        await first.until_assigned(2)
        moved = sorted(second.live)

        heir.commit([second.commit_of(tp, 15, "new") for tp in moved])
        await second.until(lambda: len(second.results) == 2, "the new owner's answers")
        source.commit(late)
        source.commit([first.commit_of(sorted(first.live)[0], 20, "after")])
        await first.until(
            lambda: any(r.commit.metadata == "after" for r in first.results), "an answer to the later commit"
        )

        assert [bed.committed(tp) for tp in moved] == [(15, "new"), (15, "new")]

    async def test_a_partition_that_was_paused_is_not_left_paused_when_it_comes_back(
        self, bed: SourceBed, join: Join, four: list[TopicPartition]
    ) -> None:
        source, first = await join()
        await first.until_assigned(4)
        for tp in four:
            source.pause(tp)
        heir, second = await join()
        await second.until_assigned(2)
        moved = sorted(second.live)

        await heir.close()
        await first.until_assigned(4)
        for tp in moved:
            bed.produce(tp.topic, [b"x"], partition=tp.partition)

        for tp in moved:
            await first.until_read(tp, 1)

    async def test_each_epoch_is_assigned_then_read_then_ended(
        self, bed: SourceBed, join: Join, tp: TopicPartition
    ) -> None:
        bed.produce(tp.topic, [b"1"])
        source, recorder = await join()
        await recorder.until_read(tp, 1)

        await source.close()

        calls = [what for what, where in recorder.log if where == tp]
        assert calls[0] == "assigned"
        assert calls[-1] == "revoking"
        assert set(calls[1:-1]) == {"fetched"}

    async def test_a_member_without_partitions_has_joined_too(
        self, bed: SourceBed, join: Join, tp: TopicPartition
    ) -> None:
        _, first = await join()
        await first.until_assigned(1)

        _, second = await join()
        await second.until(lambda: second.has_joined, "the second member to join")

        await first.until(lambda: len(first.live) + len(second.live) == 1, "one of them to hold it")


class KafkaSourceContract(SourceContract):
    """On a Kafka, with what belongs to it: where a first start begins, missing topics, an engine that
    is late. ``protocol`` and ``strategy`` say how the group is balanced; a subclass gives ``bed`` and may
    choose others."""

    protocol: GroupProtocol = "classic"
    strategy: Strategy = "cooperative-sticky"

    @pytest.fixture
    async def join(self, bed: Bed) -> AsyncIterator[Join]:
        joined: list[Source] = []

        async def start(recorder: Recorder | None = None, **settings: object) -> tuple[Source, Recorder]:
            wanted: dict[str, object] = {
                "group": bed.names.group,
                "start": "earliest",
                "protocol": self.protocol,
                "strategy": self.strategy,
                "revoke_budget_ms": 2_000,
                "look_every_ms": 300,
            }
            member = MemberSettings(**(wanted | settings))  # type: ignore[arg-type]
            source = make_source(bed, member)
            joined.append(source)
            recorder = recorder or Recorder()
            recorder.own(source, [bed.names.topic()])
            return source, recorder

        bed.create_topic(sources_topic(bed.names.prefix))
        yield start
        await asyncio.gather(*(source.close() for source in joined))

    async def test_an_engine_that_does_not_drain_in_time_does_not_stop_the_group(
        self, bed: Bed, join: Join, four: list[TopicPartition]
    ) -> None:
        _, first = await join(revoke_budget_ms=50)
        await first.until_assigned(4)
        first.is_draining_for_ever = True

        _, second = await join()
        await second.until_assigned(2)

        await first.until_fault("before they were drained")

    # ── start ───────────────────────────────────────────────────────────────────────────────────

    async def test_latest_skips_what_is_there_and_reads_what_comes(
        self, bed: Bed, join: Join, tp: TopicPartition
    ) -> None:
        bed.produce(tp.topic, [b"old"])
        _, recorder = await join(start="latest")
        await recorder.until_assigned(1)

        bed.produce(tp.topic, [b"new"])
        await recorder.until_read(tp, 1)

        assert recorder.values(tp) == [b"new"]

    async def test_start_counts_only_once(self, bed: Bed, join: Join, tp: TopicPartition) -> None:
        first, recorder = await join(start="latest")
        await recorder.until_assigned(1)
        await first.close()
        bed.produce(tp.topic, [b"while away"])

        _, again = await join(start="latest")
        await again.until_read(tp, 1)

        assert again.values(tp) == [b"while away"]
        assert again.jumps == []

    async def test_a_group_that_never_read_the_topic_refuses_to_guess(
        self, bed: Bed, join: Join, tp: TopicPartition
    ) -> None:
        _, recorder = await join(start=None)
        what = await recorder.until_fault("never read", "earliest", "latest")

        assert (what, True) in recorder.faults
        assert recorder.live == {}

    async def test_a_prefix_of_another_group_is_refused(
        self, bed: Bed, join: Join, tp: TopicPartition
    ) -> None:
        first, recorder = await join()
        await recorder.until_assigned(1)
        await first.close()

        _, other = await join(group=f"{bed.names.group}.other")
        what = await other.until_fault("prefix", bed.names.group)

        assert (what, True) in other.faults
        assert other.live == {}

    async def test_a_missing_topic_is_told_again_and_again_while_the_others_flow(
        self, bed: Bed, join: Join, tp: TopicPartition
    ) -> None:
        bed.produce(tp.topic, [b"1"])
        missing = bed.names.topic("missing")
        source, recorder = await join()

        source.subscribe([tp.topic, missing])
        await recorder.until_read(tp, 1)
        await recorder.until(
            lambda: sum(missing in what for what, _ in recorder.faults) >= 2, "the fault to be repeated"
        )
        absent = recorder.absent_topics
        bed.create_topic(missing)
        bed.produce(missing, [b"late"])
        late = await recorder.until_read(TopicPartition(missing, 0), 1)
        await recorder.until(lambda: not recorder.absent_topics, "no topic to be absent")

        assert absent == {missing}
        assert late[0].value == b"late"
        assert not any(is_fatal for _, is_fatal in recorder.faults)
