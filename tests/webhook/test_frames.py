"""The filter of HTTP/2 frames: bounds exact, a graceful GOAWAY kept back, however the bytes come."""

from __future__ import annotations

import pytest

from connector.webhook.frames import BYTES_MAX, FRAMES_MAX, HEAD_BYTES_MAX, FrameFilter

DATA = b"\x00\x00\x05\x00\x01\x00\x00\x00\x01hello"
PING = b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"
GOAWAY = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00"
ANNOUNCED = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00"
ERROR = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x01"
SHORT = b"\x00\x00\x00\x07\x00\x00\x00\x00\x00"


def frame(kind: int, size_bytes: int) -> bytes:
    return size_bytes.to_bytes(3, "big") + bytes([kind, 0]) + b"\x00\x00\x00\x01" + bytes(size_bytes)


@pytest.mark.parametrize("step", [1, 2, 7, 9, 10, 1000])
def test_a_graceful_goaway_is_kept_back_and_what_is_around_it_is_not(step: int) -> None:
    frames = FrameFilter()
    data = DATA + ANNOUNCED + PING + GOAWAY + DATA

    shown = b"".join(frames.feed(data[at : at + step]) for at in range(0, len(data), step))

    assert shown == DATA + PING + DATA
    assert frames.last_stream == 7
    assert (frames.release(), frames.release()) == (GOAWAY, b"")


@pytest.mark.parametrize("data", [ERROR, SHORT, DATA, PING])
def test_anything_else_is_shown_at_once(data: bytes) -> None:
    frames = FrameFilter()

    assert frames.feed(data) == data
    assert frames.last_stream is None


@pytest.mark.parametrize("step", [1, 9, 100, 100_000])
def test_frames_up_to_the_bound_pass_and_the_next_one_is_a_fault(step: int) -> None:
    frames = FrameFilter()
    data = PING * (FRAMES_MAX + 1)

    shown = b"".join(frames.feed(data[at : at + step]) for at in range(0, len(data), step))

    assert shown == PING * FRAMES_MAX
    assert frames.fault == "more than 1000 frames of HTTP/2 without a whole reply"
    assert frames.feed(DATA) == b""


def test_goaways_are_counted_like_every_frame() -> None:
    frames = FrameFilter()

    frames.feed(ANNOUNCED * (FRAMES_MAX + 1))

    assert "more than 1000 frames" in frames.fault


def test_what_is_sent_allows_frames_that_confirm_it() -> None:
    frames = FrameFilter()
    frames.sent(10 * 1024)

    shown = frames.feed(PING * (FRAMES_MAX + 11))

    assert shown == PING * (FRAMES_MAX + 10)


def test_bytes_up_to_the_bound_pass_and_the_frame_that_would_bring_more_is_a_fault() -> None:
    frames = FrameFilter()
    whole = frame(0, 4_087) * (BYTES_MAX // 4096)

    assert frames.feed(whole) == whole
    assert frames.feed(frame(0, 0)) == b""
    assert frames.fault == "more than 1048576 bytes of HTTP/2 without a whole reply"


def test_a_whole_reply_begins_the_bounds_anew() -> None:
    frames = FrameFilter()
    frames.feed(PING * FRAMES_MAX)

    frames.restart()

    assert frames.feed(PING * FRAMES_MAX) == PING * FRAMES_MAX
    assert not frames.fault


def test_a_head_of_exactly_the_limit_passes_and_a_byte_more_is_a_fault() -> None:
    one, many = FrameFilter(), FrameFilter()
    head = frame(1, HEAD_BYTES_MAX - 10) + frame(9, 5) * 2

    assert one.feed(frame(1, HEAD_BYTES_MAX) + frame(1, HEAD_BYTES_MAX)) != b""
    assert many.feed(head + frame(9, 1)) == head
    assert not one.fault
    assert many.fault == "the head of the reply is longer than 16384 bytes"
