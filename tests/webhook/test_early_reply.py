"""What the senders' contract cannot show of early replies: a connection that ends, and other systems."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import IO

import pytest

from connector.webhook.early_reply import may_be_early


class Written(asyncio.Transport):
    """A transport over ``file`` that holds ``unsent_bytes`` back."""

    def __init__(
        self, file: socket.socket | IO[bytes], *, unsent_bytes: int = 0, is_closing: bool = False
    ) -> None:
        super().__init__({"socket": file})
        self._unsent_bytes = unsent_bytes
        self._is_closing = is_closing

    def get_write_buffer_size(self) -> int:
        return self._unsent_bytes

    def is_closing(self) -> bool:
        return self._is_closing


@pytest.mark.parametrize(("request_bytes", "status"), [(65_536, 413), (65_537, 200)])
def test_what_the_system_has_taken_and_nobody_acknowledged_matters_for_large_requests_alone(
    request_bytes: int, status: int
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        before = may_be_early(Written(ours), request_bytes=request_bytes, status=status)
        ours.send(b"x")
        after = may_be_early(Written(ours), request_bytes=request_bytes, status=status)

    assert (before, after) == (False, request_bytes > 65_536)


def test_of_a_small_request_the_transport_knows_what_is_unsent() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert may_be_early(Written(ours, unsent_bytes=1), request_bytes=65_536, status=200)


def test_a_connection_that_closes_is_not_asked() -> None:
    with socket.socket() as ended:
        pass

    assert may_be_early(Written(ended, is_closing=True), request_bytes=65_537, status=200)


@pytest.mark.parametrize(("unsent_bytes", "expected"), [(0, False), (1, True)])
def test_where_the_system_cannot_be_asked_the_transports_word_has_to_do(
    tmp_path: Path, unsent_bytes: int, expected: bool
) -> None:
    with (tmp_path / "no-socket").open("wb") as file:
        transport = Written(file, unsent_bytes=unsent_bytes)

        assert may_be_early(transport, request_bytes=65_537, status=200) is expected
