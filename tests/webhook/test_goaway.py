"""A graceful GOAWAY is kept back, and nothing else is touched, however the bytes come."""

from __future__ import annotations

import pytest

from connector.webhook.goaway import GoawayHolder

DATA = b"\x00\x00\x05\x00\x01\x00\x00\x00\x01hello"
PING = b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"
GOAWAY = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00"
ANNOUNCED = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00"
ERROR = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x01"
SHORT = b"\x00\x00\x00\x07\x00\x00\x00\x00\x00"


@pytest.mark.parametrize("step", [1, 2, 7, 9, 10, 1000])
def test_a_graceful_goaway_is_kept_back_and_what_is_around_it_is_not(step: int) -> None:
    holder = GoawayHolder()
    data = DATA + ANNOUNCED + PING + GOAWAY + DATA

    shown = b"".join(holder.feed(data[at : at + step]) for at in range(0, len(data), step))

    assert shown == DATA + PING + DATA
    assert holder.last_stream == 7
    assert (holder.release(), holder.release()) == (GOAWAY, b"")


@pytest.mark.parametrize("frame", [ERROR, SHORT, DATA, PING])
def test_anything_else_is_shown_at_once(frame: bytes) -> None:
    holder = GoawayHolder()

    assert holder.feed(frame) == frame
    assert holder.last_stream is None
