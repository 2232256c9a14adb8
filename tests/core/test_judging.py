"""An answer becomes an outcome by the dialect's rules, and Retry-After is never cut short."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.dialect import Accepted
from connector.core.judging import FINAL_STATUSES, RETRY_AFTER_MS_MAX, judge, retry_after_ms
from connector.core.outcome import Deferred, Delivered, Failure, FailureKind, Outcome, Refused, Reply

NOW_MS = 1_700_000_000_000  # Tue, 14 Nov 2023 22:13:20 GMT
FUTURE = b"Tue, 14 Nov 2023 22:14:20 GMT"  # a minute later


def judged(answer: Reply | Failure, *, accepted: Accepted = "2xx", gone_is_final: bool = False) -> Outcome:
    return judge(answer, accepted=accepted, gone_is_final=gone_is_final, now_ms=NOW_MS)


def wait_ms(retry_after: bytes | None, date: bytes | None = None) -> int:
    return retry_after_ms(Reply(503, retry_after=retry_after, date=date), now_ms=NOW_MS)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered_where_the_dialect_says_so(status: int) -> None:
    assert judged(Reply(status)) == Delivered(status)


def test_200_is_delivered_where_the_dialect_accepts_200_alone() -> None:
    assert judged(Reply(200), accepted="200") == Delivered(200)


@pytest.mark.parametrize("status", [201, 202, 204, 299])
def test_another_2xx_fails_where_the_dialect_accepts_200_alone(status: int) -> None:
    outcome = judged(Reply(status), accepted="200")

    assert outcome == Deferred(
        error_class=f"http-{status}",
        detail=f"The endpoint answered {status}, but its dialect accepts 200 alone.",
        status=status,
    )


def test_successes_of_one_status_share_one_outcome() -> None:
    assert judged(Reply(204)) is judged(Reply(204))
    assert judged(Reply(204, retry_after=b"0")) is judged(Reply(204))


def test_what_is_accepted_may_ask_to_be_left_alone_too() -> None:
    assert judged(Reply(202, retry_after=b"120")) == Delivered(202, retry_after_ms=120_000)


def test_what_is_gone_may_ask_to_be_left_alone_too() -> None:
    outcome = judged(Reply(410, retry_after=b"120"), gone_is_final=True)

    assert isinstance(outcome, Refused)
    assert outcome.retry_after_ms == 120_000


def test_a_redirect_is_a_failure_and_says_why() -> None:
    outcome = judged(Reply(302))

    assert outcome == Deferred(
        error_class="http-302",
        detail="The endpoint answered 302: redirects are never followed.",
        status=302,
    )


@pytest.mark.parametrize("status", [100, 199, 300, 400, 404, 415, 429, 500, 503, 599, 999])
def test_every_other_status_is_deferred(status: int) -> None:
    outcome = judged(Reply(status))

    assert isinstance(outcome, Deferred)
    assert outcome.error_class == f"http-{status}"
    assert outcome.status == status
    assert outcome.is_counted


def test_gone_is_refused_where_it_is_final() -> None:
    outcome = judged(Reply(410), gone_is_final=True)

    assert outcome == Refused(
        reason="gone",
        error_class="http-410",
        detail="The endpoint answered 410: it is gone for good.",
        status=410,
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415, 422])
def test_a_status_that_the_subscription_takes_as_final_is_refused(status: int) -> None:
    outcome = judge(
        Reply(status, retry_after=b"60"),
        accepted="2xx",
        gone_is_final=False,
        now_ms=NOW_MS,
        final_statuses=FINAL_STATUSES,
    )

    assert outcome == Refused(
        reason="refused",
        error_class=f"http-{status}",
        detail=f"The endpoint answered {status}, which its subscription takes as final.",
        status=status,        retry_after_ms=60_000,
    )


@pytest.mark.parametrize("status", [402, 408, 409, 410, 425, 429, 500, 503])
def test_the_preset_of_final_statuses_holds_none_that_may_pass(status: int) -> None:
    assert status not in FINAL_STATUSES


@given(st.integers(200, 599), st.booleans())
def test_the_rules_of_the_dialect_stand_above_final_statuses(status: int, gone_is_final: bool) -> None:
    def outcome(final_statuses: frozenset[int]) -> Outcome:
        return judge(
            Reply(status),
            accepted="2xx",
            gone_is_final=gone_is_final,
            now_ms=NOW_MS,
            final_statuses=final_statuses,
        )

    without = outcome(frozenset())

    if isinstance(without, Deferred):
        assert isinstance(outcome(frozenset({status})), Refused)
    else:
        assert outcome(frozenset({status})) == without


def test_without_an_answer_no_status_is_final() -> None:
    failure = Failure("timeout", "No reply within 30 s.")

    outcome = judge(
        failure, accepted="2xx", gone_is_final=True, now_ms=NOW_MS, final_statuses=FINAL_STATUSES
    )

    assert isinstance(outcome, Deferred)


def test_gone_is_an_ordinary_failure_elsewhere() -> None:
    assert judged(Reply(410)) == Deferred(
        error_class="http-410", detail="The endpoint answered 410.", status=410
    )


@pytest.mark.parametrize("kind", sorted(set(get_args(FailureKind)) - {"resources", "proxy"}))
def test_a_failure_is_deferred_under_its_own_name(kind: FailureKind) -> None:
    assert judged(Failure(kind, "It did not work.")) == Deferred(error_class=kind, detail="It did not work.")


@pytest.mark.parametrize("kind", ["resources", "proxy"])
def test_a_fault_of_our_own_is_not_counted(kind: FailureKind) -> None:
    assert judged(Failure(kind, "It is ours.")) == Deferred(
        error_class=kind, detail="It is ours.", is_counted=False
    )


@pytest.mark.parametrize(("kind", "is_ours"), [("proxy", True), ("connect", False)])
def test_what_a_proxy_seems_to_say_keeps_its_retry_after_and_excuses_with_a_doubt(
    kind: FailureKind, is_ours: bool
) -> None:
    reply = Reply(503, retry_after=b"3600")
    outcome = judged(Failure(kind, "So it says.", is_doubtful=is_ours, reply=reply))

    assert outcome == Deferred(
        error_class=kind,
        detail="So it says.",
        retry_after_ms=3_600_000,
        is_counted=not is_ours,
        is_doubtful=is_ours,
    )


@pytest.mark.parametrize("status", [202, 302, 404, 429, 503])
def test_retry_after_counts_on_any_status(status: int) -> None:
    outcome = judged(Reply(status, retry_after=b"120"), accepted="200")

    assert isinstance(outcome, Deferred)
    assert outcome.retry_after_ms == 120_000


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        (b"0", 0),
        (b"1", 1_000),
        (b" 120 ", 120_000),
        (b"000000000000000120", 120_000),
        (b"1.5", 2_000),  # rounded up: a lower bound
        (b"1.0", 1_000),
        (b"3.", 3_000),
        (b"2678400", RETRY_AFTER_MS_MAX),
        (b"2678401", RETRY_AFTER_MS_MAX),
        (b"9" * 12, RETRY_AFTER_MS_MAX),
        (b"9" * 8_000, RETRY_AFTER_MS_MAX),
    ],
)
def test_seconds_are_read_rounded_up_and_capped_at_31_days(text: bytes, expected_ms: int) -> None:
    assert wait_ms(text) == expected_ms


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"-1", b"-9999999999", b"+5", b"1e3", b"0x10", b"NaN", b"inf", b"soon", b"1 2", b"1;2",
        b",", b"Tue,",
        "\u0663".encode(), b"\xff\xfe", b"Tue, 99 Foo 2023", b"Tue, 14 Nov 99999999999999999999 22:14:20 GMT",
        b"Tue, 31 Feb 0000 22:14:20 GMT", b"Tue, 14 Nov 2023 22:14:20 GMT" + b" " * 40 + b"x",
    ],
)  # fmt: skip
def test_what_cannot_be_read_asks_for_nothing(text: bytes) -> None:
    assert wait_ms(text) == 0


@pytest.mark.parametrize(
    "values",
    [b"60\n0", b"0\n60", b"soon\n60", b"60\nsoon", b"\n60\n", b"30\n" + FUTURE, FUTURE + b"\n30\n-1"],
)
def test_of_several_values_the_longest_counts_and_what_cannot_be_read_says_nothing(values: bytes) -> None:
    assert wait_ms(values) == 60_000


@pytest.mark.parametrize(
    "joined",
    [
        b"60, 60", b"60,0", b"0, 60", b"60,", b", 60", b"30 , 60\t, 0", b"soon, 60", b"0\n30, 60\n1",
        FUTURE + b", " + FUTURE, FUTURE + b",Tue, 14 Nov 2023 22:13:50 GMT", b"30, " + FUTURE,
        FUTURE + b",30", b"Tuesday, 14-Nov-23 22:14:20 GMT, 30", b"Tue Nov 14 22:14:20 2023, 30",
    ],
)  # fmt: skip
def test_of_values_that_were_joined_on_the_way_the_longest_counts(joined: bytes) -> None:
    assert wait_ms(joined) == 60_000


@given(
    st.lists(
        st.integers(0, 3_000_000).map(lambda seconds: b"%d" % seconds)
        | st.sampled_from([FUTURE, b"Tuesday, 14-Nov-23 22:15:20 GMT", b"Tue Nov 14 22:16:20 2023", b"soon"]),
        min_size=1,
        max_size=16,
    ),
    st.sampled_from([b",", b", ", b" ,", b"\n"]),
)
def test_joined_values_ask_for_as_long_as_the_longest_of_them(values: list[bytes], between: bytes) -> None:
    assert wait_ms(between.join(values)) == max(wait_ms(value) for value in values)


def test_of_thousands_of_values_no_more_than_the_first_32_are_read() -> None:
    assert wait_ms(b"0," * 31 + b"60") == 60_000
    assert wait_ms(b"0," * 32 + b"60") == 0
    assert wait_ms(b"60," * 20_000) == 60_000


def test_no_header_asks_for_nothing() -> None:
    assert wait_ms(None) == 0


@pytest.mark.parametrize(
    "text",
    [
        FUTURE,
        b"Tuesday, 14-Nov-23 22:14:20 GMT",
        b"Tue Nov 14 22:14:20 2023",
        b"Tue, 14 Nov 2023 23:14:20 +0100",
    ],
)
def test_all_forms_of_a_date_are_read(text: bytes) -> None:
    assert wait_ms(text) == 60_000


def test_a_date_is_judged_against_the_replys_own_date() -> None:
    assert wait_ms(FUTURE, date=b"Tue, 14 Nov 2023 22:12:20 GMT") == 120_000


def test_a_receiver_whose_clock_is_years_off_is_understood() -> None:
    assert wait_ms(b"Thu, 01 Jan 1970 00:05:00 GMT", date=b"Thu, 01 Jan 1970 00:00:00 GMT") == 300_000


@pytest.mark.parametrize("date", [b"", b"yesterday", b"\xff", b"x" * 1_000])
def test_an_unreadable_date_falls_back_to_now(date: bytes) -> None:
    assert wait_ms(FUTURE, date=date) == 60_000


def test_a_date_in_the_past_asks_for_nothing() -> None:
    assert wait_ms(b"Tue, 14 Nov 2023 22:12:20 GMT") == 0


def test_a_date_far_ahead_is_capped() -> None:
    assert wait_ms(b"Fri, 31 Dec 9999 23:59:59 GMT") == RETRY_AFTER_MS_MAX


@given(st.binary(max_size=80), st.none() | st.binary(max_size=80))
def test_no_header_whatever_breaks_the_judgement(retry_after: bytes, date: bytes | None) -> None:
    assert 0 <= wait_ms(retry_after, date) <= RETRY_AFTER_MS_MAX


@given(st.text(alphabet="0123456789 -+:,.GMTuesNovJanEST()/", max_size=50))
def test_nothing_that_looks_like_a_date_breaks_the_judgement(text: str) -> None:
    assert 0 <= wait_ms(text.encode(), text.encode()) <= RETRY_AFTER_MS_MAX


@given(st.integers(min_value=0, max_value=2_678_400))
def test_seconds_within_the_cap_are_taken_exactly(seconds: int) -> None:
    assert wait_ms(str(seconds).encode()) == seconds * 1_000
