"""The board that presence is tested on keeps the contract of the real one."""

from __future__ import annotations

import pytest

from tests.contracts.board_contract import BoardOutageContract, NewBoard
from tests.support.fake_board import FakeBoard, FakeTopic


class _Outage:
    def __init__(self, topic: FakeTopic) -> None:
        self._topic = topic

    def begin(self) -> None:
        self._topic.is_down = True

    def end(self) -> None:
        self._topic.is_down = False


class TestInMemory(BoardOutageContract):
    @pytest.fixture
    def topic(self) -> FakeTopic:
        return FakeTopic()

    @pytest.fixture
    def new_board(self, topic: FakeTopic) -> NewBoard:
        return lambda: FakeBoard(topic)

    @pytest.fixture
    def outage(self, topic: FakeTopic) -> _Outage:
        return _Outage(topic)
