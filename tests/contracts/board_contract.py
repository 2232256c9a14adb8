"""What every :class:`~connector.engine.shared.Board` must do. A subclass gives the fixture ``new_board``.

:class:`BoardContract` holds on any cluster, :class:`BoardOutageContract` on one that a test may break: its
subclass gives ``outage`` too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from connector.engine.shared import Board

NewBoard = Callable[[], Board]
"""Makes one more board on the topic of this test."""


class Outage(Protocol):
    def begin(self) -> None: ...
    def end(self) -> None: ...


class Heard:
    """What a board has told."""

    def __init__(self) -> None:
        self.told: list[tuple[bytes, bytes | None]] = []
        self.newest: dict[bytes, bytes | None] = {}
        self._news = asyncio.Event()

    def __call__(self, key: bytes, value: bytes | None) -> None:
        self.told.append((key, value))
        self.newest[key] = value
        self._news.set()

    async def until(self, is_so: Callable[[], bool], what: str, *, timeout_s: float = 20) -> None:
        """Wait until ``is_so()``; fails the test with ``what`` when that takes too long."""
        try:
            async with asyncio.timeout(timeout_s):
                while not is_so():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"not within {timeout_s:g} s: {what}") from None

    async def until_newest(self, key: bytes, value: bytes | None) -> None:
        await self.until(lambda: self.newest.get(key, b"") == value, f"{value!r} as the newest of {key!r}")


async def followed(board: Board) -> Heard:
    """Start the board and wait until it has told what is there."""
    heard = Heard()
    board.start(heard)
    async with asyncio.timeout(20):
        await board.caught_up()
    return heard


class BoardContract:
    async def test_an_empty_topic_is_told_at_once(self, new_board: NewBoard) -> None:
        heard = await followed(new_board())

        assert heard.told == []

    async def test_news_of_one_reaches_the_other_and_itself_within_a_second(
        self, new_board: NewBoard
    ) -> None:
        one, other = new_board(), new_board()
        mine, theirs = await followed(one), await followed(other)
        await self._exchanged(one, theirs, b"warm")  # a client asks for metadata before its first write

        began_s = asyncio.get_running_loop().time()
        for value in (b"1", b"2", b"3", b"4", b"5"):
            one.post(b"key", value)
            await theirs.until_newest(b"key", value)
            await mine.until_newest(b"key", value)
        took_s = asyncio.get_running_loop().time() - began_s

        assert took_s < 5 * 1.0

    async def test_who_comes_later_is_told_the_keys_in_the_order_in_which_they_were_last_written(
        self, new_board: NewBoard
    ) -> None:
        one = new_board()
        heard = await followed(one)
        for key, value in ((b"a", b"1"), (b"b", b"1"), (b"a", b"2")):
            one.post(key, value)
            await heard.until_newest(key, value)

        late = await followed(new_board())

        assert late.told == [(b"b", b"1"), (b"a", b"2")]

    async def test_of_several_values_the_newest_is_told_last(self, new_board: NewBoard) -> None:
        one, other = new_board(), new_board()
        heard = await followed(other)

        one.post(b"key", b"1")
        one.post(b"key", b"2")
        one.post(b"key", b"3")
        one.post(b"other", b"x")
        await heard.until_newest(b"other", b"x")
        await heard.until_newest(b"key", b"3")

        values = [value for key, value in heard.told if key == b"key"]
        assert values == sorted(values)

    async def test_all_that_is_there_is_told_newest_only_before_it_has_caught_up(
        self, new_board: NewBoard
    ) -> None:
        one = new_board()
        first = await followed(one)
        for n in range(1_200):
            one.post(b"%d" % n, b"old")
        await first.until(lambda: len(first.newest) == 1_200, "1,200 keys")
        for n in range(1_200):
            one.post(b"%d" % n, b"new")
        await first.until(lambda: set(first.newest.values()) == {b"new"}, "1,200 new values")

        late = await followed(new_board())

        assert sorted(late.told) == sorted((b"%d" % n, b"new") for n in range(1_200))

    async def test_a_key_removed_is_told_as_none(self, new_board: NewBoard) -> None:
        one, other = new_board(), new_board()
        heard = await followed(other)
        one.post(b"key", b"1")
        await heard.until_newest(b"key", b"1")

        one.post(b"key", None)
        await heard.until_newest(b"key", None)

        late = await followed(new_board())
        assert late.newest.get(b"key") is None

    async def test_an_empty_value_is_not_a_removal(self, new_board: NewBoard) -> None:
        board = new_board()
        heard = await followed(board)

        board.post(b"key", b"")
        await heard.until(lambda: bool(heard.told), "the empty value")

        assert heard.told == [(b"key", b"")]

    async def test_a_thousand_values_of_one_key_at_once_are_not_a_thousand_writes(
        self, new_board: NewBoard
    ) -> None:
        one, other = new_board(), new_board()
        heard = await followed(other)

        for n in range(1_000):
            one.post(b"key", b"%d" % n)
        await heard.until_newest(b"key", b"999")

        assert len(heard.told) <= 2

    async def test_closing_waits_until_what_was_posted_is_written(self, new_board: NewBoard) -> None:
        one, other = new_board(), new_board()
        heard = await followed(other)
        await followed(one)

        one.post(b"key", b"1")
        one.post(b"key", b"2")
        await one.close()

        await heard.until_newest(b"key", b"2")

    async def test_a_closed_board_tells_nothing(self, new_board: NewBoard) -> None:
        one, other = new_board(), new_board()
        closed, heard = await followed(one), await followed(other)
        await one.close()

        other.post(b"key", b"1")
        await heard.until_newest(b"key", b"1")

        assert closed.told == []

    async def _exchanged(self, one: Board, theirs: Heard, value: bytes) -> None:
        one.post(b"warm", value)
        await theirs.until_newest(b"warm", value)


class BoardOutageContract(BoardContract):
    async def test_what_is_posted_during_an_outage_comes_after_it_newest_only(
        self, new_board: NewBoard, outage: Outage
    ) -> None:
        one, other = new_board(), new_board()
        heard = await followed(other)
        one.post(b"before", b"1")
        await heard.until_newest(b"before", b"1")

        outage.begin()
        for n in range(10):
            one.post(b"during", b"%d" % n)
            await asyncio.sleep(0.1)  # lets writes fail
        outage.end()
        await heard.until_newest(b"during", b"9")

        assert len(heard.told) <= 3

    async def test_one_that_starts_during_an_outage_catches_up_after_it(
        self, new_board: NewBoard, outage: Outage
    ) -> None:
        one, other = new_board(), new_board()
        mine = await followed(one)
        one.post(b"key", b"1")
        await mine.until_newest(b"key", b"1")
        heard = Heard()

        outage.begin()
        other.start(heard)
        await asyncio.sleep(0.3)  # lets it try
        before = list(heard.told)
        outage.end()
        async with asyncio.timeout(20):
            await other.caught_up()

        assert before == []
        assert heard.told == [(b"key", b"1")]
