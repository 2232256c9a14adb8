"""Where reading begins."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.start import (
    BadEntry,
    Beginning,
    BeyondEnd,
    Entry,
    EntryKey,
    MadeAnew,
    Overtaken,
    Place,
    Readable,
    after_reset,
    begin,
    cut,
    decode_entry,
    encode_key,
    encode_value,
    fold,
    other_groups,
    place,
    uncut,
)

ENTRY = Entry(group="g", topic="t", topic_id="id-1", partition=0, started=10, partitions=2)


def entries(*found: Entry) -> dict[EntryKey, Entry]:
    return fold(found)


def beginning(
    known: dict[EntryKey, Entry],
    *,
    partitions: int = 2,
    committed: dict[int, int] | None = None,
    topic_id: str = "id-1",
) -> Beginning:
    return begin(
        known, group="g", topic="t", topic_id=topic_id, partitions=partitions, committed=committed or {}
    )


# ── entries ─────────────────────────────────────────────────────────────────────────────────────


def test_an_entry_is_written_as_json_and_keyed_by_group_topic_id_and_partition() -> None:
    assert encode_key(ENTRY) == b'["g","id-1",0]'
    assert encode_value(ENTRY) == (
        b'{"group":"g","topic":"t","topic_id":"id-1","partition":0,"started":10,"partitions":2,"watermark":null,'
        b'"cut_at":null,"cut_position":null}'
    )


def test_without_topic_ids_the_name_is_the_key() -> None:
    assert encode_key(replace(ENTRY, topic_id="")) == b'["g","t",0]'


@given(
    st.builds(
        Entry,
        group=st.text(),
        topic=st.text(),
        topic_id=st.text(),
        partition=st.integers(0, 2**31),
        started=st.integers(0, 2**63 - 1),
        partitions=st.integers(0, 2**31),
        watermark=st.none() | st.integers(0, 2**63 - 1),
        cut_at=st.none() | st.integers(0, 2**63 - 1),
        cut_position=st.none() | st.integers(0, 2**63 - 1),
    )
)
def test_every_entry_is_read_back_as_it_was_written(entry: Entry) -> None:
    assert decode_entry(encode_value(entry)) == entry


def test_members_of_a_later_version_are_ignored() -> None:
    value = encode_value(ENTRY)[:-1] + b',"colour":"red"}'

    assert decode_entry(value) == ENTRY


def test_an_entry_of_a_version_that_knew_no_cuts_is_an_entry() -> None:
    value = encode_value(ENTRY).replace(b',"cut_at":null,"cut_position":null', b"")

    assert decode_entry(value) == ENTRY


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"not json",
        b"\xff",
        encode_value(ENTRY).replace(b'"started":10', b'"started":-1'),
        encode_value(ENTRY).replace(b'"started":10', b'"started":"10"'),
        encode_value(ENTRY).replace(b'"watermark":null', b'"watermark":true'),
        encode_value(ENTRY).replace(b'"watermark":null', b'"watermark":false'),
        encode_value(ENTRY).replace(b'"cut_at":null', b'"cut_at":-1'),
        encode_value(ENTRY).replace(b'"started":10,', b""),
        encode_value(ENTRY).replace(b'"group":"g"', b'"group":1'),
    ],
)
def test_what_is_not_an_entry_is_refused_not_taken_for_missing(value: bytes) -> None:
    with pytest.raises(BadEntry):
        decode_entry(value)


def test_of_two_starts_the_smaller_wins_and_the_newer_watermark_stays() -> None:
    one = replace(ENTRY, started=10, watermark=20)
    two = replace(ENTRY, started=12, watermark=None)
    three = replace(ENTRY, started=12, watermark=15)

    assert fold([one, two]) == {ENTRY.key: replace(ENTRY, started=10, watermark=20)}
    assert fold([two, one]) == {ENTRY.key: replace(ENTRY, started=10, watermark=20)}
    assert fold([one, two, three]) == {ENTRY.key: replace(ENTRY, started=10, watermark=15)}


def test_entries_of_another_group_under_our_prefix_are_found() -> None:
    others = [replace(ENTRY, group="theirs"), ENTRY, replace(ENTRY, group="g.retry")]

    assert other_groups(others, {"g", "g.retry"}) == ["theirs"]


# ── topics ──────────────────────────────────────────────────────────────────────────────────────


def test_a_topic_never_begun_is_begun_by_the_rule() -> None:
    assert beginning({}) == Beginning(by_rule=(0, 1), at_committed={})


def test_a_group_older_than_its_entries_goes_on_where_it_is() -> None:
    assert beginning({}, committed={0: 7}) == Beginning(by_rule=(1,), at_committed={0: 7})


def test_a_topic_wholly_begun_needs_nothing() -> None:
    known = entries(ENTRY, replace(ENTRY, partition=1))

    assert beginning(known, committed={0: 11}) == Beginning(at_committed={})


def test_a_beginning_cut_short_by_a_crash_is_finished_by_the_rule() -> None:
    assert beginning(entries(ENTRY)) == Beginning(by_rule=(1,), at_committed={})


def test_partitions_added_later_begin_at_zero() -> None:
    known = entries(ENTRY, replace(ENTRY, partition=1))

    assert beginning(known, partitions=4) == Beginning(at_zero=(2, 3), at_committed={})


def test_a_topic_made_anew_begins_at_zero_whatever_was_committed() -> None:
    known = entries(ENTRY, replace(ENTRY, partition=1))

    assert beginning(known, topic_id="id-2", committed={0: 99}) == Beginning(at_zero=(0, 1), at_committed={})


def test_entries_written_before_the_cluster_gave_ids_do_not_make_a_topic_new() -> None:
    known = entries(replace(ENTRY, topic_id=""))

    assert beginning(known, committed={0: 9, 1: 9}) == Beginning(at_committed={0: 9, 1: 9})


def test_another_topic_or_group_says_nothing() -> None:
    known = entries(replace(ENTRY, topic="u", topic_id="id-u"), replace(ENTRY, group="other"))

    assert beginning(known) == Beginning(by_rule=(0, 1), at_committed={})


# ── partitions ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("watermark", "committed", "is_recreated", "expected"),
    [
        (None, None, False, Place(offset=10)),
        (None, 15, False, Place(offset=15, is_committed=True)),
        (14, 15, False, Place(offset=15, is_committed=True)),
        (14, None, False, Place(offset=14, why="expired")),
        (None, 15, True, Place(offset=10, why="recreated")),
        (None, None, True, Place(offset=10, why="recreated")),
        (14, 15, True, Place(offset=15, is_committed=True)),
    ],
)
def test_a_partition_is_read_from(
    watermark: int | None, committed: int | None, is_recreated: bool, expected: Place
) -> None:
    entry = replace(ENTRY, watermark=watermark)

    assert place(entry, committed=committed, is_recreated=is_recreated) == expected


CUT = cut(ENTRY, at=30, position=50, settled=40)


@pytest.mark.parametrize(
    ("committed", "cut_at"),
    [
        (50, 30),  # all that was read
        (45, 30),  # as far as its work had come when the worker died
        (40, 30),
        (39, None),  # back behind what was committed: somebody's word
        (30, None),
        (51, None),  # beyond all that was read: somebody's word
    ],
)
def test_a_log_that_was_cut_stays_held_until_somebody_says_where_to_go_on(
    committed: int, cut_at: int | None
) -> None:
    assert place(CUT, committed=committed, is_recreated=False) == Place(
        offset=committed, is_committed=True, cut_at=cut_at
    )


def test_a_position_at_or_below_the_cut_skips_nothing() -> None:
    entry = cut(ENTRY, at=30, position=50, settled=10)

    assert place(entry, committed=30, is_recreated=False).cut_at is None
    assert place(entry, committed=31, is_recreated=False).cut_at == 30


def test_a_cut_is_remembered_without_a_commit_too() -> None:
    fresh = cut(ENTRY, at=5, position=10, settled=10)

    assert fresh.watermark is None
    assert place(fresh, committed=None, is_recreated=False) == Place(offset=10, cut_at=5)
    assert place(CUT, committed=None, is_recreated=False) == Place(offset=40, why="expired", cut_at=30)
    assert place(uncut(CUT), committed=50, is_recreated=False).cut_at is None


@pytest.mark.parametrize(
    ("position", "found_id", "is_cut", "expected"),
    [
        (2, "id-1", False, Overtaken(offset=5, lost=3)),
        (2, "", False, Overtaken(offset=5, lost=3)),
        (21, "id-1", False, BeyondEnd()),
        (21, "", False, BeyondEnd()),
        (12, "id-1", True, BeyondEnd()),
        (5, "id-1", False, Readable()),
        (20, "id-1", False, Readable()),
        (2, "id-2", False, MadeAnew()),
        (12, "id-2", True, MadeAnew()),
        (21, "id-2", False, MadeAnew()),
    ],
)
def test_a_position_that_cannot_be_read(
    position: int, found_id: str, is_cut: bool, expected: object
) -> None:
    verdict = after_reset(
        position=position, log_start=5, log_end=20, known_id="id-1", found_id=found_id, is_cut=is_cut
    )

    assert verdict == expected
