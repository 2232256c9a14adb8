"""Where a member of a group reads on: at what was committed or noted, also when its log is another by now."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import KafkaError
from confluent_kafka import TopicPartition as ClientPartition

from connector.core.start import Entry, decode_entry, encode_value
from connector.core.topic_names import sources_topic
from connector.engine.ports import TopicPartition
from connector.kafka.mock_cluster import OFFSET_FETCH
from connector.kafka.source import KafkaSource
from tests.support.joining import Join
from tests.support.kafka_beds import BuiltInBed
from tests.support.names import Names
from tests.support.reading import Recorder

pytestmark = pytest.mark.slow


async def test_committed_offsets_that_cannot_be_read_are_asked_for_again_and_never_guessed(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    bed.produce(tp.topic, [b"1"])
    bed.mock.fail_requests(OFFSET_FETCH, [KafkaError.GROUP_AUTHORIZATION_FAILED] * 2)

    _, recorder = await join()
    await recorder.until_read(tp, 1)

    assert any("committed offsets cannot be read" in what for what, _ in recorder.faults)


async def test_records_that_retention_took_are_counted_as_lost_and_reading_goes_on(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    bed.produce(tp.topic, [b"%d" % n for n in range(10)])
    first, recorder = await join()
    await recorder.until_read(tp, 10)
    await recorder.commit(tp, 2)
    await first.close()
    bed.mock.delete_records(tp.topic, 0, 7)

    _, again = await join()
    await again.until_read(tp, 3)

    assert [record.offset for record in again.records[tp]] == [7, 8, 9]
    (jump,) = again.jumps
    assert (jump.from_offset, jump.to_offset, jump.lost, jump.reason) == (2, 7, 5, "retention")
    assert len(again.ever) == 1


async def test_a_position_beyond_the_end_is_held_with_the_command_that_mends_it(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    bed.produce(tp.topic, [b"1"])
    first, recorder = await join()
    await recorder.until_read(tp, 1)
    await recorder.commit(tp, 50)
    await first.close()

    _, again = await join()
    what = await again.until_fault("is held", "kafka-consumer-groups.sh", "--reset-offsets")
    await again.until(lambda: [w for w, _ in again.faults].count(what) >= 2, "the alert to be repeated")

    assert again.records[tp] == []
    assert bed.committed(tp)[0] == 50


async def held_beyond_the_end(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> tuple[KafkaSource, Recorder]:
    """A member that holds a partition: the group is at 10, and the log ends at 9."""
    bed.produce(tp.topic, [b"old"] * 9)
    first, recorder = await join()
    await recorder.until_read(tp, 9)
    await recorder.commit(tp, 10)
    await first.close()
    source, again = await join()
    await again.until_fault("is held", "--to-offset 9 ")
    return source, again


async def test_a_position_beyond_the_end_stays_held_when_the_log_grows_past_it(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    _, again = await held_beyond_the_end(bed, join, tp)

    bed.produce(tp.topic, [b"new"] * 5)
    again.faults.clear()
    await again.until(lambda: len(again.faults) >= 2, "the alert to be repeated")

    assert all("is held" in what and "--to-offset 9 " in what for what, _ in again.faults)
    assert again.records[tp] == []
    assert again.jumps == []


async def test_a_position_beyond_the_end_stays_held_after_a_restart_though_the_log_has_grown_past_it(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    holding, _ = await held_beyond_the_end(bed, join, tp)
    bed.produce(tp.topic, [b"new"] * 5)
    await holding.close()

    source, again = await join()
    await again.until_fault("is held", "--to-offset 9 ")
    source.resume(tp)  # as the engine does with all it is given
    again.faults.clear()
    await again.until(lambda: len(again.faults) >= 2, "the alert to be repeated")

    assert again.records[tp] == []
    assert again.held == {tp}
    assert bed.committed(tp)[0] == 10


async def test_a_held_partition_is_held_by_the_member_it_moves_to(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    holding, _ = await held_beyond_the_end(bed, join, tp)
    _, heir = await join()  # while the log is still too short
    await heir.until(lambda: heir.has_joined, "the second member to join")
    bed.produce(tp.topic, [b"new"] * 5)

    await holding.close()
    await heir.until_fault("is held", "--to-offset 9 ")

    assert heir.values(tp) == []


async def test_a_held_partition_that_retention_overtakes_is_read_on_and_what_it_took_is_counted(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    holding, _ = await held_beyond_the_end(bed, join, tp)
    bed.produce(tp.topic, [b"new-%d" % n for n in range(5)])
    await holding.close()
    bed.mock.delete_records(tp.topic, 0, 12)

    _, again = await join()
    await again.until_read(tp, 2)

    assert again.values(tp) == [b"new-3", b"new-4"]
    await again.until(lambda: not again.held, "the hold to end")
    (jump,) = again.jumps
    assert (jump.from_offset, jump.to_offset, jump.lost, jump.reason) == (10, 12, 3, "retention")


@pytest.mark.parametrize("settled", [3, 1])
async def test_a_log_that_the_client_found_cut_is_to_be_read_from_no_later_than_we_were_and_had_settled(
    bed: BuiltInBed, join: Join, tp: TopicPartition, settled: int
) -> None:
    bed.produce(tp.topic, [b"old"] * 3)
    source, recorder = await join()
    await recorder.until_read(tp, 3)
    await recorder.commit(tp, settled)
    paused = asyncio.Event()
    source.pause(tp)
    source._bridge.ask(lambda: source._bridge.tell(paused.set))
    await paused.wait()
    bed.produce(tp.topic, [b"new"] * 6)

    source._bridge.ask(lambda: source._member._changed_logs.unreadable(tp, is_cut=True))

    await recorder.until_fault("is held: the group is at offset 3", f"--to-offset {settled} ")


@pytest.mark.parametrize(("committed_offset", "read_from"), [(2, 2), (5, 4)])
async def test_a_log_that_turns_out_to_be_another_is_read_from_where_all_is_settled(
    bed: BuiltInBed, join: Join, tp: TopicPartition, committed_offset: int, read_from: int
) -> None:
    bed.produce(tp.topic, [b"%d" % n for n in range(6)])
    source, recorder = await join()
    await recorder.until_read(tp, 6)
    await recorder.commit(tp, committed_offset)

    again = ClientPartition(tp.topic, tp.partition, 4)  # an offset that nothing of ours explains
    source._bridge.ask(lambda: source._member._consumer.seek(again))
    await recorder.until(lambda: 5 in [record.offset for record in recorder.records[tp][6:]], "the rest")

    assert [record.offset for record in recorder.records[tp][6:]] == list(range(read_from, 6))
    (jump,) = recorder.jumps
    assert (jump.from_offset, jump.to_offset, jump.lost, jump.reason) == (6, read_from, 0, "truncated")
    assert [assignment.position for assignment in recorder.ever] == [0, read_from]


def entry(names: Names, *, watermark: int | None, started: int = 0) -> Entry:
    return Entry(
        group=names.group,
        topic=names.topic(),
        topic_id="",
        partition=0,
        started=started,
        partitions=1,
        watermark=watermark,
    )


def remember(bed: BuiltInBed, *values: bytes) -> None:
    bed.produce(sources_topic(bed.names.prefix), values)


async def test_a_group_whose_offsets_expired_resumes_at_the_noted_watermark(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    bed.produce(tp.topic, [b"1", b"2", b"3"])
    remember(bed, encode_value(entry(bed.names, watermark=2)))

    _, recorder = await join(start="latest")
    await recorder.until_read(tp, 1)

    assert recorder.values(tp) == [b"3"]
    (jump,) = recorder.jumps
    assert (jump.from_offset, jump.to_offset, jump.lost, jump.reason) == (-1, 2, 0, "expired")


async def test_a_topic_begun_but_never_committed_is_begun_where_it_was(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    bed.produce(tp.topic, [b"1", b"2", b"3"])
    remember(bed, encode_value(entry(bed.names, started=1, watermark=None)))

    _, recorder = await join(start="latest")
    await recorder.until_read(tp, 2)

    assert recorder.values(tp) == [b"2", b"3"]
    assert recorder.jumps == []


async def test_a_commit_is_noted_in_the_sources_topic(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    bed.produce(tp.topic, [b"1", b"2"])
    _, recorder = await join()
    await recorder.until_read(tp, 2)

    await recorder.commit(tp, 2)
    begun, noted = bed.read_back(sources_topic(bed.names.prefix), 2)

    assert decode_entry(begun.value or b"") == entry(bed.names, watermark=None)
    assert decode_entry(noted.value or b"") == entry(bed.names, watermark=2)


async def test_a_record_in_the_sources_topic_that_is_none_of_ours_stops_reading(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    remember(bed, b"not an entry")

    _, recorder = await join()
    await recorder.until_fault("was not written by this connector", "another prefix")

    assert recorder.live == {}


async def test_without_the_sources_topic_nothing_is_read(
    bed: BuiltInBed, join: Join, tp: TopicPartition
) -> None:
    bed.mock.delete_topic(sources_topic(bed.names.prefix))

    _, recorder = await join()
    await recorder.until_fault("remembers where reading began", "missing")

    assert recorder.live == {}
