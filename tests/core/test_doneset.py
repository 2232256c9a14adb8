"""A done-set is read back exactly or not at all."""

import base64
import random
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core import doneset
from connector.core.doneset import DoneSet, decode, encode

TOPIC_ID = "lQ3YpZ4sTKq0s1f0Y3yJ9w"


def text_of(base: int, done: list[int], *, leader_epoch: int = 7) -> str:
    text = encode(base, done, topic_id=TOPIC_ID, leader_epoch=leader_epoch)
    assert text is not None
    return text


def read(text: str) -> DoneSet:
    done_set = decode(text, topic_id=TOPIC_ID)
    assert done_set is not None
    return done_set


def offsets_of(done_set: DoneSet) -> list[int]:
    return [
        offset
        for start, end in zip(done_set.starts, done_set.ends, strict=True)
        for offset in range(start, end)
    ]


def sealed(body: bytes, *, is_packed: bool = False, topic_id: str = TOPIC_ID) -> str:
    """A text with a right checksum around any content, as an enemy would write it."""
    content = zlib.compress(body, 9) if is_packed else body
    flag = b"\1" if is_packed else b"\0"
    raw = flag + doneset._checksum(body, topic_id) + content
    return "ds1." + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_nothing_done_needs_no_text() -> None:
    assert encode(100, [], topic_id=TOPIC_ID, leader_epoch=7) == ""


def test_a_small_set_comes_back() -> None:
    done_set = read(text_of(100, [102, 103, 110]))

    assert done_set == DoneSet(base=100, leader_epoch=7, starts=[102, 110], ends=[104, 111])
    assert done_set.highest == 110
    assert [offset for offset in range(95, 120) if done_set.contains(offset)] == [102, 103, 110]


def test_an_unknown_leader_epoch_comes_back_as_unknown() -> None:
    assert read(text_of(100, [102], leader_epoch=-1)).leader_epoch == -1


def test_the_last_offset_there_can_be_is_kept() -> None:
    done_set = read(text_of(2**63 - 10, [2**63 - 2]))

    assert offsets_of(done_set) == [2**63 - 2]


def test_a_span_of_a_trillion_offsets_is_no_larger_than_its_runs() -> None:
    text = text_of(0, [1, 10**12])

    assert len(text) < 60
    assert read(text).contains(10**12)
    assert not read(text).contains(10**12 - 1)


def test_a_thousand_incomplete_in_a_window_of_a_hundred_thousand_fit() -> None:
    incomplete = {0, *random.Random(1).sample(range(100_000), 1_000)}
    done = [5_000_000 + offset for offset in range(100_000) if offset not in incomplete]

    text = text_of(5_000_000, done)

    assert len(text) <= 1_800
    assert offsets_of(read(text)) == done


def test_a_thousand_done_in_a_window_of_a_hundred_thousand_fit() -> None:
    done = sorted(random.Random(1).sample(range(1, 100_000), 1_000))

    text = text_of(0, done)

    assert len(text) <= 1_800
    assert offsets_of(read(text)) == done


@pytest.mark.parametrize("incomplete_count", [2_000, 4_000, 6_000])
def test_a_window_of_eight_thousand_fits_however_it_is_mixed(incomplete_count: int) -> None:
    incomplete = {0, *random.Random(1).sample(range(8_000), incomplete_count)}
    done = [offset for offset in range(8_000) if offset not in incomplete]

    text = text_of(0, done)

    assert len(text) <= 1_500
    assert offsets_of(read(text)) == done


def test_every_other_of_a_hundred_thousand_fits() -> None:
    done = list(range(1, 100_000, 2))

    assert offsets_of(read(text_of(0, done))) == done


def test_a_text_over_the_limit_is_left_out() -> None:
    done = sorted(random.Random(1).sample(range(1, 100_000), 50_000))

    assert encode(0, done, topic_id=TOPIC_ID, leader_epoch=7) is None


def test_the_limit_is_met_to_the_character() -> None:
    text = text_of(100, [102, 105, 109])

    assert encode(100, [102, 105, 109], topic_id=TOPIC_ID, leader_epoch=7, chars_max=len(text)) == text
    assert encode(100, [102, 105, 109], topic_id=TOPIC_ID, leader_epoch=7, chars_max=len(text) - 1) is None


def test_more_runs_than_may_be_read_back_are_not_written() -> None:
    done = list(range(20, 20 + 20 * 20_000, 20))  # regular, so that the compressed text would be short

    assert encode(0, done, topic_id=TOPIC_ID, leader_epoch=7) is None


def test_what_is_done_lies_above_the_watermark() -> None:
    with pytest.raises(AssertionError):
        encode(100, [100], topic_id=TOPIC_ID, leader_epoch=7)


@pytest.mark.parametrize("done", [[103, 102], [102, 102]])
def test_what_is_done_is_sorted(done: list[int]) -> None:
    with pytest.raises(AssertionError):
        encode(100, done, topic_id=TOPIC_ID, leader_epoch=7)


def test_a_recreated_topic_does_not_inherit_the_set() -> None:
    assert decode(text_of(100, [102]), topic_id="another") is None
    assert decode(text_of(100, [102]), topic_id="") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ds1.",
        "ds1.AAAA",
        "ds2.AAAAAAAAAAAAAAAA",
        "ds1.!!!!",
        "ds1.é",
        "ds1.A",
        "committed by host-7",
        '{"v":1}',
        "\x00",
        "ds1." + "A" * 70_000,
    ],
)
def test_other_peoples_metadata_is_not_a_done_set(text: str) -> None:
    assert decode(text, topic_id=TOPIC_ID) is None


def test_every_cut_of_a_text_is_refused() -> None:
    text = text_of(100, [102, 103, 110])

    assert [decode(text[:length], topic_id=TOPIC_ID) for length in range(len(text))] == [None] * len(text)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x64",  # no epoch
        b"\x64\x08",  # no kind
        b"\x64\x08\x02\x01\x01",  # an unknown kind
        b"\x64\x08\x01",  # no run
        b"\x64\x08\x01\x01",  # a gap without a length
        b"\x64\x08\x01\x01\x00",  # a run of nothing
        b"\x64\x08\x01\x00\x01",  # a run at the watermark
        b"\x64\x08\x01\x01\x81",  # a number cut short
        b"\xff" * 40,  # a number without end
        b"\x64\x08\x01" + b"\xff" * 8 + b"\x7f" + b"\x01",  # past the last offset
        b"\xff" * 8 + b"\x7f" + b"\x08\x00" + b"\x01",  # bits past the last offset
        b"\x64\x08\x00",  # no bits
        b"\x64\x08\x00\x00\x00",  # no bit set
    ],
)
def test_content_that_makes_no_sense_is_refused_though_its_checksum_is_right(body: bytes) -> None:
    assert decode(sealed(body), topic_id=TOPIC_ID) is None


def test_a_decompression_bomb_is_refused_at_little_cost() -> None:
    bomb = sealed(b"\x64\x08\x01" + b"\x01" * 30_000_000, is_packed=True)
    began = time.perf_counter()

    assert len(bomb) < doneset._TEXT_CHARS_MAX
    assert decode(bomb, topic_id=TOPIC_ID) is None
    assert time.perf_counter() - began < 0.5


def test_the_largest_content_is_read() -> None:
    runs = sealed(b"\x64\x08\x01" + b"\x01" * 32_768, is_packed=True)
    bits = sealed(b"\x64\x08\x00" + b"\x55" * 32_768, is_packed=True)

    assert len(read(runs).starts) == 16_384
    assert len(read(bits).starts) == 131_072


def test_packed_content_with_something_behind_it_is_refused() -> None:
    body = b"\x64\x08\x01" + b"\x01" * 40
    raw = b"\1" + doneset._checksum(body, TOPIC_ID) + zlib.compress(body) + b"more"

    assert decode("ds1." + base64.urlsafe_b64encode(raw).rstrip(b"=").decode(), topic_id=TOPIC_ID) is None


windows = st.integers(0, 2**40) | st.integers(0, 100)


@given(
    base=windows,
    above=st.sets(st.integers(1, 3_000)) | st.sets(st.integers(1, 2**40), max_size=50),
    leader_epoch=st.integers(-1, 2**31 - 1),
    topic_id=st.text(max_size=22),
)
def test_what_is_written_is_read_back_exactly(
    base: int, above: set[int], leader_epoch: int, topic_id: str
) -> None:
    done = sorted(base + one for one in above)
    text = encode(base, done, topic_id=topic_id, leader_epoch=leader_epoch)
    assert text is not None
    assert len(text) <= 3_000

    done_set = decode(text, topic_id=topic_id)

    if done:
        assert done_set is not None
        assert (done_set.base, done_set.leader_epoch, done_set.highest) == (base, leader_epoch, done[-1])
        assert offsets_of(done_set) == done
        assert all(done_set.contains(offset) for offset in done)
        assert not any(done_set.contains(offset + 1) for offset in done if offset + 1 - base not in above)
        assert not done_set.contains(base)
    else:
        assert done_set is None


@given(st.text(max_size=200) | st.text(alphabet="ABCDEabcde0123456789-_", max_size=60).map("ds1.{}".format))
def test_no_text_whatever_breaks_the_reading(text: str) -> None:
    assert decode(text, topic_id=TOPIC_ID) is None


@given(st.binary(max_size=60), st.booleans())
def test_no_content_whatever_breaks_the_reading(body: bytes, is_packed: bool) -> None:
    done_set = decode(sealed(body, is_packed=is_packed), topic_id=TOPIC_ID)

    assert done_set is None or done_set.highest > done_set.base


@pytest.mark.parametrize("tail", ["=", "==", "\n", " ", "!"])
def test_anything_behind_a_text_is_noticed(tail: str) -> None:
    assert decode(text_of(100, [102, 103, 110]) + tail, topic_id=TOPIC_ID) is None


@given(st.integers(0, 200), st.integers(1, 93))
def test_a_changed_character_is_noticed(position: int, change: int) -> None:
    text = text_of(100, [102, 103, 110, 120])
    at = position % len(text)
    changed = text[:at] + chr(33 + (ord(text[at]) - 33 + change) % 94) + text[at + 1 :]

    assert decode(changed, topic_id=TOPIC_ID) is None
