"""What workers tell one another: read back as it was written, or told as a fault."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.breaker import BreakerSnapshot
from connector.core.sharing import (
    VALUE_BYTES_MAX,
    BacklogNews,
    Disabled,
    EndpointNews,
    Fault,
    Forgotten,
    News,
    ParkingNews,
    Told,
    WorkerNews,
    decode,
    digest_of,
    encode,
    key_of,
)

ENDPOINT = EndpointNews(
    subscription_id="partner-a",
    url_digest=digest_of("https://partner-a.example/hooks"),
    url_since_ms=1_690_000_000_000,
    worker="w1",
    at_ms=1_700_000_000_000,
    breaker=BreakerSnapshot(
        state="open", until_ms=1_700_000_030_000, cool_down_ms=30_000, failures=5, why="http-503",
        opened_ms=1_700_000_000_000,
    ),
    disabled=Disabled(since_ms=1_699_999_000_000, why="Gone.", probes_at_ms=1_700_000_060_000),
    failing_since_ms=1_699_000_000_000,
    failed_attempts=21,
    succeeded_at_ms=1_698_999_999_000,
    reset_at_ms=0,
    cleared_at_ms=0,
)  # fmt: skip
WORKER = WorkerNews(worker="w1", at_ms=1_700_000_000_000, parking_number=7, is_leaving=False)
PARKING = ParkingNews(worker="w1", number=7, subscription_ids=("partner-a", "partner-b"))
BACKLOG = BacklogNews(
    subscription_id="partner-a", at_ms=1_700_000_000_000, openings=3, topic_id="Zm9v",
    cursor={10: 7, 2: 99}, is_done=True,
)  # fmt: skip

_NUMBERS = st.integers(0, 2**53 - 1)
_IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64)
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=1_024)
_BREAKERS = st.builds(
    BreakerSnapshot,
    state=st.sampled_from(["open", "closed"]),
    until_ms=_NUMBERS,
    cool_down_ms=_NUMBERS,
    failures=_NUMBERS,
    why=_TEXTS,
    opened_ms=st.integers(-1, 2**53 - 1),
)
_DISABLED = st.builds(Disabled, since_ms=_NUMBERS, why=_TEXTS, probes_at_ms=_NUMBERS)
_NEWS = st.one_of(
    st.builds(
        EndpointNews,
        subscription_id=_IDS,
        url_digest=_TEXTS,
        url_since_ms=_NUMBERS,
        worker=_TEXTS,
        at_ms=_NUMBERS,
        breaker=_BREAKERS,
        disabled=st.none() | _DISABLED,
        failing_since_ms=_NUMBERS,
        failed_attempts=_NUMBERS,
        succeeded_at_ms=_NUMBERS,
        reset_at_ms=_NUMBERS,
        cleared_at_ms=_NUMBERS,
    ),
    st.builds(
        WorkerNews,
        worker=_IDS,
        at_ms=_NUMBERS,
        parking_number=_NUMBERS,
        is_leaving=st.booleans(),
    ),
    st.builds(
        ParkingNews,
        worker=_IDS,
        number=_NUMBERS,
        subscription_ids=st.lists(_TEXTS, max_size=5).map(tuple),
    ),
    st.builds(
        BacklogNews,
        subscription_id=_IDS,
        at_ms=_NUMBERS,
        openings=_NUMBERS,
        topic_id=_TEXTS,
        cursor=st.dictionaries(st.integers(0, 9_999_999_999), _NUMBERS, max_size=5),
        is_done=st.booleans(),
    ),
)


def changed(news: Told, **members: Any) -> News | Fault:
    """What is read when these members of the value are others."""
    key, value = encode(news)
    return decode(key, orjson.dumps(orjson.loads(value) | members))


@pytest.mark.parametrize(
    ("news", "key", "value"),
    [
        (
            ENDPOINT,
            b"endpoint/partner-a",
            b'{"v":1,"url_digest":"5386246030651f34","url_since_ms":1690000000000,"worker":"w1",'
            b'"at_ms":1700000000000,"breaker":{"state":"open","until_ms":1700000030000,'
            b'"cool_down_ms":30000,"failures":5,"why":"http-503","opened_ms":1700000000000},"disabled":'
            b'{"since_ms":1699999000000,"why":"Gone.","probes_at_ms":1700000060000},'
            b'"failing_since_ms":1699000000000,"failed_attempts":21,'
            b'"succeeded_at_ms":1698999999000,"reset_at_ms":0,"cleared_at_ms":0}',
        ),
        (
            WORKER,
            b"worker/w1",
            b'{"v":1,"at_ms":1700000000000,"parking_number":7,"is_leaving":false}',
        ),
        (
            PARKING,
            b"parking/w1",
            b'{"v":1,"number":7,"subscription_ids":["partner-a","partner-b"]}',
        ),
        (
            BACKLOG,
            b"backlog/partner-a",
            b'{"v":1,"at_ms":1700000000000,"openings":3,"topic_id":"Zm9v","cursor":{"2":99,"10":7},"is_done":true}',
        ),
    ],
)
def test_the_bytes_of_every_kind_of_news(news: Told, key: bytes, value: bytes) -> None:
    assert encode(news) == (key, value)
    assert key_of(news) == key
    assert decode(key, value) == news


@given(_NEWS)
def test_news_are_read_back_as_they_were_written(news: Told) -> None:
    assert decode(*encode(news)) == news


def test_a_reason_longer_than_is_read_is_cut() -> None:
    news = replace(ENDPOINT, disabled=Disabled(since_ms=1, why="x" * 2_000, probes_at_ms=2))

    told = decode(*encode(news))

    assert told == replace(ENDPOINT, disabled=Disabled(since_ms=1, why="x" * 1_024, probes_at_ms=2))


def test_members_that_a_later_release_added_are_ignored() -> None:
    assert changed(WORKER, mood="fine") == WORKER


def test_news_hold_for_the_url_they_were_learnt_of() -> None:
    assert ENDPOINT.are_of("https://partner-a.example/hooks")
    assert not ENDPOINT.are_of("https://partner-a.example/other")


def test_news_of_a_release_that_did_not_tell_the_url_hold_for_any() -> None:
    news = changed(ENDPOINT, url_digest=None)

    assert isinstance(news, EndpointNews)
    assert news.are_of("https://partner-a.example/other")


def test_every_reset_ends_a_hold_off_that_a_release_tells_which_knew_no_other() -> None:
    news = changed(ENDPOINT, reset_at_ms=1_700_000_000_000, cleared_at_ms=None)

    assert isinstance(news, EndpointNews)
    assert news.cleared_at_ms == 1_700_000_000_000


def test_news_of_a_release_that_did_not_tell_since_when_it_leads_there_are_of_no_change() -> None:
    news = changed(ENDPOINT, url_since_ms=None)

    assert isinstance(news, EndpointNews)
    assert news.url_since_ms == 0


def test_an_enabled_endpoint_is_not_disabled() -> None:
    news = changed(ENDPOINT, disabled=None)

    assert isinstance(news, EndpointNews)
    assert news.disabled is None


@pytest.mark.parametrize("value", [None, b""])
@pytest.mark.parametrize("key", ["endpoint/partner-a", "worker/w1", "backlog/partner-a"])
def test_a_record_without_a_value_withdraws_the_fact(key: str, value: bytes | None) -> None:
    assert decode(key.encode(), value) == Forgotten(key)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (None, "it has no key"),
        (b"", "it has no key"),
        (b"worker/", "its key names nobody"),
        (b"worker", "its key names nobody"),
        (b"worker/\xff", "its key is not UTF-8"),
        (b"worker/" + b"x" * 506, "its key is longer than 512 bytes"),
        (b"weather/today", "its key begins with no kind of news known here"),
    ],
)
def test_a_key_that_cannot_be_read_is_a_fault(key: bytes | None, why: str) -> None:
    fault = decode(key, b'{"v":1}')

    assert isinstance(fault, Fault)
    assert fault.why == why
    assert len(fault.key) <= 512 * 4


def test_the_longest_key_is_read() -> None:
    news = WorkerNews(worker="x" * 505, at_ms=1, parking_number=0, is_leaving=True)

    assert decode(*encode(news)) == news


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"garbage", "its value is not JSON"),
        (b"[" * 100_000, "its value is not JSON"),
        (b"[]", "its value is not an object"),
        (b"1", "its value is not an object"),
        (b"{}", "its value is not of version 1"),
        (b'{"v":2}', "its value is not of version 1"),
        (b'{"v":"1"}', "its value is not of version 1"),
        (b'{"v":1}', "at_ms is not a whole number from 0 on"),
        (b'"' + b"x" * VALUE_BYTES_MAX + b'"', f"its value is longer than {VALUE_BYTES_MAX} bytes"),
    ],
)
def test_a_value_that_cannot_be_read_is_a_fault(value: bytes, why: str) -> None:
    assert decode(b"worker/w1", value) == Fault("worker/w1", why)


@pytest.mark.parametrize("at_ms", [-1, 2**53, 2**80, 1.5, "1", True, None])
def test_a_time_is_a_whole_number(at_ms: object) -> None:
    fault = decode(b"worker/w1", b'{"v":1,"at_ms":%s,"parking_number":0,"is_leaving":false}' % _json(at_ms))

    assert fault == Fault("worker/w1", "at_ms is not a whole number from 0 on")


def _json(value: object) -> bytes:
    return str(2**80).encode() if value == 2**80 else orjson.dumps(value)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"parking_number": -1}, "parking_number is not a whole number from 0 on"),
        ({"parking_number": None}, "parking_number is not a whole number from 0 on"),
        ({"is_leaving": 1}, "is_leaving is not true or false"),
        ({"is_leaving": None}, "is_leaving is not true or false"),
    ],
)
def test_members_of_a_worker_are_checked(members: dict[str, object], why: str) -> None:
    assert changed(WORKER, **members) == Fault("worker/w1", why)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"number": "1"}, "number is not a whole number from 0 on"),
        ({"subscription_ids": "partner-a"}, "subscription_ids is not a list"),
        ({"subscription_ids": [1]}, "subscription_ids is not a text of at most 1024 characters"),
        ({"subscription_ids": ["x" * 1_025]}, "subscription_ids is not a text of at most 1024 characters"),
    ],
)
def test_members_of_what_a_worker_parks_for_are_checked(members: dict[str, object], why: str) -> None:
    assert changed(PARKING, **members) == Fault("parking/w1", why)


def test_to_park_for_ten_thousand_of_the_longest_names_fits_the_smallest_own_topic() -> None:
    names = tuple(f"{number:064}" for number in range(10_000))

    _, value = encode(ParkingNews(worker="w1", number=1, subscription_ids=names))

    assert len(value) < 1 << 20


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"openings": -1}, "openings is not a whole number from 0 on"),
        ({"topic_id": 1}, "topic_id is not a text of at most 1024 characters"),
        ({"cursor": [1]}, "cursor is not an object"),
        ({"cursor": {"one": 1}}, "cursor has a partition that is no number"),
        ({"cursor": {"-1": 1}}, "cursor has a partition that is no number"),
        ({"cursor": {"²": 1}}, "cursor has a partition that is no number"),
        ({"cursor": {"1" * 11: 1}}, "cursor has a partition that is no number"),
        ({"cursor": {"1": -1}}, "cursor is not a whole number from 0 on"),
        ({"cursor": {"1": None}}, "cursor is not a whole number from 0 on"),
    ],
)
def test_members_of_a_backlog_are_checked(members: dict[str, object], why: str) -> None:
    assert changed(BACKLOG, **members) == Fault("backlog/partner-a", why)


def test_a_backlog_told_without_a_topic_id_is_of_an_unknown_one() -> None:
    assert changed(BACKLOG, topic_id=None) == replace(BACKLOG, topic_id="")


BREAKER = {"state": "open", "until_ms": 1, "cool_down_ms": 1, "failures": 1, "why": "", "opened_ms": -1}


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"breaker": None}, "breaker is not an object"),
        ({"breaker": {}}, "state is not a text of at most 1024 characters"),
        ({"breaker": BREAKER | {"state": "half-open"}}, "state is neither open nor closed"),
        ({"breaker": BREAKER | {"opened_ms": -2}}, "opened_ms is not a whole number from -1 on"),
        ({"breaker": BREAKER | {"until_ms": -1}}, "until_ms is not a whole number from 0 on"),
        ({"disabled": 5}, "disabled is not an object"),
        ({"disabled": {}}, "since_ms is not a whole number from 0 on"),
        ({"worker": 7}, "worker is not a text of at most 1024 characters"),
    ],
)
def test_members_of_an_endpoint_are_checked(members: dict[str, object], why: str) -> None:
    assert changed(ENDPOINT, **members) == Fault("endpoint/partner-a", why)


@given(st.none() | st.binary(max_size=600), st.none() | st.binary(max_size=200))
def test_whatever_a_record_holds_nothing_is_raised(key: bytes | None, value: bytes | None) -> None:
    assert isinstance(decode(key, value), News | Fault)


@given(
    st.sampled_from([b"endpoint/a", b"worker/a", b"backlog/a"]),
    st.dictionaries(
        st.sampled_from(["v", "worker", "at_ms", "breaker", "disabled", "parking", "is_leaving", "cursor"]),
        st.recursive(
            st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=3),
            lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=3), each, max_size=3),
        ),
    ),
)
def test_whatever_its_members_are_nothing_is_raised(key: bytes, members: dict[str, object]) -> None:
    assert isinstance(decode(key, orjson.dumps(members | {"v": 1})), News | Fault)
