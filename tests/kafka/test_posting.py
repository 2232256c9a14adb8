"""Posting: one write per key at a time, the newest value only, tried again until it is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from connector.core.record import Headers
from connector.engine.ports import NotWritten
from connector.kafka.posting import CLOSE_MS, RETRY_MAX_MS, Posting
from tests.support.virtual_time import virtual

PASSING = NotWritten("passing", "the brokers are down")
FORBIDDEN = NotWritten("forbidden", "not allowed")


class HeldWriter:
    """Keeps every write until the test answers it, or answers all by itself with ``answer``."""

    def __init__(self) -> None:
        self.writes: list[tuple[bytes | None, bytes | None]] = []
        self.at_s: list[float] = []
        self.answer: Callable[[], NotWritten | None] | None = None
        self._unanswered: list[Callable[[NotWritten | None], None]] = []

    def write(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers,
        done: Callable[[NotWritten | None], None],
    ) -> None:  # fmt: skip
        loop = asyncio.get_running_loop()
        self.writes.append((key, value))
        self.at_s.append(loop.time())
        if self.answer is None:
            self._unanswered.append(done)
        else:
            loop.call_soon(done, self.answer())

    def answer_next(self, result: NotWritten | None = None) -> None:
        self._unanswered.pop(0)(result)


    async def close(self) -> None:
        pass


def posting(writer: HeldWriter, told: list[str] | None = None) -> Posting:
    return Posting(writer, "shared", faulted=(told if told is not None else list[str]()).append)


@virtual
async def test_what_is_posted_during_a_write_waits_and_only_the_newest_is_written():
    writer = HeldWriter()
    posts = posting(writer)

    for value in (b"1", b"2", b"3"):
        posts.post(b"key", value)
    at_first = list(writer.writes)
    writer.answer_next()

    assert at_first == [(b"key", b"1")]
    assert writer.writes == [(b"key", b"1"), (b"key", b"3")]


@virtual
async def test_keys_do_not_wait_for_each_other():
    writer = HeldWriter()
    posts = posting(writer)

    posts.post(b"one", b"1")
    posts.post(b"other", None)

    assert writer.writes == [(b"one", b"1"), (b"other", None)]
    assert posts.keys_waiting == 2


@virtual
async def test_a_failed_write_gives_way_to_a_newer_value():
    writer = HeldWriter()
    posts = posting(writer)
    posts.post(b"key", b"old")

    writer.answer_next(PASSING)
    posts.post(b"key", b"new")
    await asyncio.sleep(0.2)
    writer.answer_next()

    assert writer.writes == [(b"key", b"old"), (b"key", b"new")]
    assert posts.keys_waiting == 0


@virtual
async def test_a_write_is_tried_again_ever_more_seldom_and_at_least_every_two_seconds():
    writer = HeldWriter()
    writer.answer = lambda: PASSING

    posting(writer).post(b"key", b"1")
    await asyncio.sleep(20)

    pauses = [round(b - a, 3) for a, b in zip(writer.at_s, writer.at_s[1:], strict=False)]
    assert pauses[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert max(pauses) == RETRY_MAX_MS / 1_000


@virtual
async def test_a_long_outage_keeps_one_value_per_key():
    writer = HeldWriter()
    writer.answer = lambda: PASSING
    posts = posting(writer)

    for n in range(1_000):
        posts.post(b"key", b"%d" % n)
        await asyncio.sleep(0.01)
    writer.answer = lambda: None
    await asyncio.sleep(3)

    assert len(writer.writes) < 20
    assert writer.writes[-1] == (b"key", b"999")


@virtual
async def test_a_fault_that_passes_is_not_told_and_one_that_does_not_is():
    writer, told = HeldWriter(), list[str]()
    writer.answer = lambda: PASSING

    posting(writer, told).post(b"key", b"1")
    await asyncio.sleep(1)
    at_first = list(told)
    await asyncio.sleep(1)

    assert at_first == []
    assert told == ["topic shared cannot be written: the brokers are down"]


@virtual
async def test_what_an_operator_must_mend_is_told_at_once():
    writer, told = HeldWriter(), list[str]()
    posts = posting(writer, told)
    posts.post(b"key", b"1")

    writer.answer_next(FORBIDDEN)

    assert told == ["topic shared cannot be written: not allowed"]


@virtual
async def test_closing_waits_for_what_can_be_written_and_gives_up_on_what_cannot():
    writer = HeldWriter()
    writer.answer = lambda: PASSING
    posts = posting(writer)
    loop = asyncio.get_running_loop()
    posts.post(b"key", b"1")

    began_s = loop.time()
    await posts.close()
    took_s = loop.time() - began_s
    tried = len(writer.writes)
    await asyncio.sleep(10)

    assert round(took_s * 1_000) == CLOSE_MS
    assert len(writer.writes) == tried


@virtual
async def test_closing_with_nothing_to_write_takes_no_time():
    posts = posting(HeldWriter())
    began_s = asyncio.get_running_loop().time()

    await posts.close()

    assert asyncio.get_running_loop().time() == began_s
