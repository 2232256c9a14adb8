"""What is known of how long a record has been in its log is never more than it has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connector.core.log_ends import SEEN_MAX, LogEnds


def test_a_record_below_an_end_was_there_when_that_end_was_seen() -> None:
    ends = LogEnds()
    ends.saw(10, 1_000)
    ends.saw(20, 4_000)

    assert ends.waited_ms(9, 6_000) == 5_000
    assert ends.waited_ms(10, 6_000) == 2_000
    assert ends.waited_ms(19, 6_000) == 2_000


def test_of_a_record_behind_all_ends_nothing_is_known() -> None:
    ends = LogEnds()
    ends.saw(10, 1_000)

    assert ends.waited_ms(10, 6_000) == 0
    assert LogEnds().waited_ms(0, 6_000) == 0


def test_an_end_that_is_seen_again_tells_what_the_first_time_told() -> None:
    ends = LogEnds()
    ends.saw(10, 1_000)
    ends.saw(10, 2_000)
    ends.saw(8, 3_000)  # an older answer

    assert ends.waited_ms(5, 6_000) == 5_000
    assert len(ends) == 1


def test_what_is_remembered_is_bounded_and_the_oldest_stays() -> None:
    ends = LogEnds()
    for second in range(10 * SEEN_MAX):
        ends.saw(second + 1, second * 1_000)
        assert len(ends) <= SEEN_MAX

    assert ends.waited_ms(0, 10 * SEEN_MAX * 1_000) == 10 * SEEN_MAX * 1_000


@given(
    appended=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=300),
    reads=st.lists(st.integers(1, 4), min_size=1, max_size=300),
)
def test_it_is_never_more_than_the_time_since_the_record_was_written(
    appended: list[tuple[int, int]], reads: list[int]
) -> None:
    """So many are written at each step, and the reader now and then sees the end; it reads so many."""
    ends, written_ms, offset, now_ms = LogEnds(), [], 0, 0
    for (count, looks), wanted in zip(appended, reads, strict=False):
        now_ms += 7
        written_ms += [now_ms] * count
        if not looks:
            ends.saw(len(written_ms), now_ms)
        for _ in range(min(wanted, len(written_ms) - offset)):
            assert 0 <= ends.waited_ms(offset, now_ms) <= now_ms - written_ms[offset]
            offset += 1
