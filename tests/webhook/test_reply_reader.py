"""Reading replies, without sockets: any cut of the bytes gives the same reply, and caps are exact."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.outcome import Reply
from connector.webhook.reply import (
    HEAD_BYTES_MAX,
    INTERIM_REPLIES_MAX,
    KNOWN_BYTES_MAX,
    REPLY_BYTES_MAX,
    RETRY_AFTER_BYTES_MAX,
    KnownReply,
    ReplyFault,
    ReplyReader,
)

CONTINUE = b"HTTP/1.1 100 Continue\r\nRetry-After: 9\r\n\r\n"
WHOLE = (
    CONTINUE + b"HTTP/1.1 429 Too Many\r\nretry-AFTER: 30\r\nDATE: now\r\nContent-Type: a/b\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nRetry-After: 99\r\n\r\n"
)


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6))
def test_any_cut_of_the_bytes_gives_the_same_reply(cuts: list[int]) -> None:
    reader = ReplyReader(KnownReply())
    edges = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[start:end] for start, end in pairwise(edges) if start < end]

    replies = [reader.feed(piece) for piece in pieces]

    assert replies[:-1] == [None] * (len(pieces) - 1)
    assert replies[-1] == Reply(429, b"30", b"now", b"hello", b"a/b")
    assert reader.may_reuse


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail_otherwise(data: bytes) -> None:
    for prefix in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        reader = ReplyReader(KnownReply())
        try:
            reader.feed(prefix + data)
            reader.feed(data)
        except ReplyFault:
            pass


def head_of(size_bytes: int) -> bytes:
    start, end = b"HTTP/1.1 200 OK\r\nX: ", b"\r\nContent-Length: 0\r\n\r\n"
    return start + b"x" * (size_bytes - len(start) - len(end)) + end


def test_a_head_of_exactly_the_limit_is_read() -> None:
    assert ReplyReader(KnownReply()).feed(head_of(HEAD_BYTES_MAX)) == Reply(200)


def test_a_head_one_byte_longer_is_a_fault() -> None:
    with pytest.raises(ReplyFault, match="longer than 65536 bytes"):
        ReplyReader(KnownReply()).feed(head_of(HEAD_BYTES_MAX + 1))


def test_interim_replies_up_to_the_limit_are_passed_over() -> None:
    reader = ReplyReader(KnownReply())

    assert reader.feed(CONTINUE * INTERIM_REPLIES_MAX + b"HTTP/1.1 204 X\r\n\r\n") == Reply(204)


def test_one_interim_reply_more_is_a_fault() -> None:
    with pytest.raises(ReplyFault, match="more than 16 interim replies"):
        ReplyReader(KnownReply()).feed(CONTINUE * (INTERIM_REPLIES_MAX + 1))


def test_a_reply_of_exactly_the_limit_is_waited_for_and_one_byte_more_is_cut() -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    reader = ReplyReader(KnownReply())

    assert reader.feed(head + b"x" * (REPLY_BYTES_MAX - len(head))) is None
    assert reader.feed(b"x") == Reply(200, body=b"x" * 1024)
    assert not reader.may_reuse


def test_endless_trailers_are_cut_like_an_endless_body() -> None:
    reader = ReplyReader(KnownReply())
    reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n")

    replies = [reader.feed(b"X: " + b"y" * 60_000 + b"\r\n") for _ in range(5)]

    assert replies == [None, None, None, None, Reply(200, body=b"ok")]


def test_a_reply_is_whole_at_the_end_of_the_connection_only_if_it_names_no_length() -> None:
    unnamed, named, chunked, coded, headless = (ReplyReader(KnownReply()) for _ in range(5))
    unnamed.feed(b"HTTP/1.1 200 OK\r\n\r\nab")
    named.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab")
    chunked.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n2\r\nab\r\n")
    coded.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab")
    headless.feed(b"HTTP/1.1 200 OK\r\n")

    ends = [reader.end() for reader in (unnamed, named, chunked, coded, headless)]

    assert ends == [Reply(200, body=b"ab"), None, None, Reply(200, body=b"ab"), None]


@pytest.mark.parametrize(
    ("reply", "may_reuse"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\nx", False),
    ],
)
def test_a_connection_may_be_reused_only_after_a_clean_end(reply: bytes, may_reuse: bool) -> None:
    reader = ReplyReader(KnownReply())

    assert reader.feed(reply) == Reply(200)
    assert reader.may_reuse == may_reuse


@pytest.mark.parametrize(
    ("reply", "may_reuse"),
    [
        (b"HTTP/1.1 204 No\r\n\r\n", True),
        (b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", False),
        (b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", False),
        (b"HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n", False),
    ],
)
def test_a_connection_is_not_reused_when_a_body_may_come_that_must_not(reply: bytes, may_reuse: bool) -> None:
    reader = ReplyReader(KnownReply())

    assert reader.feed(reply) is not None
    assert reader.may_reuse == may_reuse


def test_every_retry_after_is_kept_a_line_each_and_only_the_last_of_anything_else() -> None:
    head = b"HTTP/1.1 503 X\r\nRetry-After: 3600\r\nDate: then\r\nretry-after: 0\r\nDATE: now\r\n"

    reply = ReplyReader(KnownReply()).feed(head + b"Content-Length: 0\r\n\r\n")

    assert reply == Reply(503, b"3600\n0", b"now")


def test_of_a_thousand_retry_afters_only_the_first_are_kept() -> None:
    head = b"HTTP/1.1 503 X\r\n" + b"Retry-After: 3600\r\n" * 1_000

    reply = ReplyReader(KnownReply()).feed(head + b"Content-Length: 0\r\n\r\n")

    assert reply is not None
    assert reply.retry_after is not None
    assert RETRY_AFTER_BYTES_MAX < len(reply.retry_after) <= RETRY_AFTER_BYTES_MAX + 5


def test_a_restarted_reader_has_forgotten_everything() -> None:
    reader = ReplyReader(KnownReply())
    reader.feed(WHOLE)

    reader.restart()

    assert reader.read_bytes == 0
    assert reader.feed(b"HTTP/1.1 204 No Content\r\n\r\n") == Reply(204)


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000


@given(st.lists(st.tuples(st.sampled_from([PLAIN, BUSY, LONG, CONTINUE + PLAIN]), st.integers(0, 30))))
def test_what_is_known_of_an_origin_changes_no_reply(exchanges: list[tuple[bytes, int]]) -> None:
    knowing = ReplyReader(KnownReply())
    for data, cut in exchanges:
        fresh = ReplyReader(KnownReply())
        knowing.restart()

        pieces = [piece for piece in (data[:cut], data[cut:]) if piece]
        replies = [knowing.feed(piece) for piece in pieces]

        assert replies == [fresh.feed(piece) for piece in pieces]
        assert (knowing.may_reuse, knowing.read_bytes) == (True, len(data))


def test_the_same_bytes_again_are_the_same_reply_to_any_connection_of_the_origin() -> None:
    known = KnownReply()
    first = ReplyReader(known).feed(PLAIN)

    assert ReplyReader(known).feed(PLAIN) is first


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        PLAIN + b"x",
        LONG[: KNOWN_BYTES_MAX + 1].replace(b"2000", b"%4d" % (KNOWN_BYTES_MAX + 1 - LONG.index(b"x"))),
    ],
    ids=["closing", "followed by more", "long"],
)
def test_a_reply_that_is_not_kept_is_read_anew(data: bytes) -> None:
    known = KnownReply()

    ReplyReader(known).feed(data)

    assert known.data == b""
