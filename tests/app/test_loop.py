"""A callback that raises is a bug, and ends the process instead of leaving something unsettled for ever."""

from __future__ import annotations

import asyncio

import pytest

from connector.app.loop import run_on_loop, watch_callbacks
from tests.support.world import Log


def failures_after(error: Exception) -> tuple[list[str], Log]:
    failures: list[str] = []
    log = Log()

    def broken() -> None:
        raise error

    async def main() -> None:
        loop = asyncio.get_running_loop()
        watch_callbacks(loop, failures.append, log)
        loop.call_soon(broken)
        await asyncio.sleep(0.01)

    run_on_loop(main())
    return failures, log


@pytest.mark.parametrize("error", [AssertionError("a delivery was settled twice"), KeyError("lane")])
def test_a_callback_that_raises_ends_the_worker(error: Exception) -> None:
    failures, log = failures_after(error)

    assert failures == [f"a fault of this program: {error!r}"]
    assert len(log.said("a callback failed")) == 1


def test_trouble_of_a_socket_is_told_and_ends_nothing() -> None:
    failures, log = failures_after(ConnectionResetError("gone"))

    assert failures == []
    assert len(log.said("a callback failed")) == 1
